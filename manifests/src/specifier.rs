//! Specifiers: `%a`, `%w` and the others that systemd-sysupdate expands in transfer files.
//!
//! The values are passed in as an [`Identity`].

use crate::architecture::Architecture;
use crate::hint::Hint;
use crate::os_release::OsRelease;

/// The values of specifiers on a node.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The architecture, `%a`.
    pub architecture: Architecture,
    /// The machine id, `%m`; `None` before the first boot.
    pub machine_id: Option<String>,
    /// The boot id, `%b`; `None` if the kernel does not tell.
    pub boot_id: Option<String>,
    /// The host name, `%H` and up to its first dot `%l`.
    pub hostname: String,
    /// The kernel release (`uname -r`), `%v`.
    pub kernel_release: String,
    /// The host's os-release, for `%A %B %M %o %w %W`.
    pub os_release: OsRelease,
    /// The directory for temporary files, `%T`.
    pub tmp: String,
    /// The directory for larger and persistent temporary files, `%V`.
    pub var_tmp: String,
}

impl Identity {
    /// A host for tests: `node`, x86-64, without most other values.
    pub fn fake() -> Self {
        Self {
            architecture: Architecture::X86_64,
            machine_id: None,
            boot_id: None,
            hostname: "node".to_owned(),
            kernel_release: "6.18".to_owned(),
            os_release: OsRelease::default(),
            tmp: "/tmp".to_owned(),
            var_tmp: "/var/tmp".to_owned(),
        }
    }
}

/// Why a text cannot be expanded.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message says it")]
pub enum SpecifierError {
    #[error("unknown specifier %{specifier} in {text:?}")]
    Unknown { specifier: char, text: String },
    #[error("{text:?} ends in a single %")]
    Trailing { text: String },
    #[error("%{specifier} in {text:?} needs the {what}, which this host does not have")]
    Unset { specifier: char, text: String, what: &'static str },
}

impl Hint for SpecifierError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { .. } => Some(
                "the specifiers are %a %A %b %B %H %l %m %M %o %v %w %W %T %V; write %% for a %".to_owned(),
            ),
            Self::Trailing { .. } => Some("write %% for a %".to_owned()),
            Self::Unset { .. } => None,
        }
    }
}

/// Expands all specifiers of a text. Unset os-release fields expand to nothing.
///
/// `%` before a digit is kept, as in systemd, so that `%20` in a URL need not be escaped.
pub fn expand(text: &str, identity: &Identity) -> Result<String, SpecifierError> {
    let mut expanded = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            expanded.push(character);
            continue;
        }
        let specifier =
            characters.next().ok_or_else(|| SpecifierError::Trailing { text: text.to_owned() })?;
        let needed = |value: &Option<String>, what| {
            value.clone().ok_or_else(|| SpecifierError::Unset { specifier, text: text.to_owned(), what })
        };
        let os_release = |key| identity.os_release.get(key).unwrap_or_default();
        match specifier {
            '%' => expanded.push('%'),
            'a' => expanded.push_str(identity.architecture.as_str()),
            'A' => expanded.push_str(os_release("IMAGE_VERSION")),
            'b' => expanded.push_str(&needed(&identity.boot_id, "boot id")?),
            'B' => expanded.push_str(os_release("BUILD_ID")),
            'H' => expanded.push_str(&identity.hostname),
            'l' => expanded.push_str(identity.hostname.split('.').next().unwrap_or_default()),
            'm' => expanded.push_str(&needed(&identity.machine_id, "machine id")?),
            'M' => expanded.push_str(os_release("IMAGE_ID")),
            'o' => expanded.push_str(os_release("ID")),
            'v' => expanded.push_str(&identity.kernel_release),
            'w' => expanded.push_str(os_release("VERSION_ID")),
            'W' => expanded.push_str(os_release("VARIANT_ID")),
            'T' => expanded.push_str(&identity.tmp),
            'V' => expanded.push_str(&identity.var_tmp),
            digit if digit.is_ascii_digit() => expanded.extend(['%', digit]),
            _ => return Err(SpecifierError::Unknown { specifier, text: text.to_owned() }),
        }
    }
    Ok(expanded)
}

/// Doubles every `%`, so that the text expands to itself.
pub fn escape(text: &str) -> String {
    text.replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            architecture: Architecture::X86_64,
            machine_id: Some("0123456789abcdef0123456789abcdef".to_owned()),
            boot_id: None,
            hostname: "node7.example.org".to_owned(),
            kernel_release: "6.18.2".to_owned(),
            os_release: [
                ("ID", "flatcar"),
                ("VERSION_ID", "4081.2.0"),
                ("IMAGE_ID", "i"),
                ("IMAGE_VERSION", "7"),
                ("BUILD_ID", "b1"),
            ]
            .into_iter()
            .collect(),
            tmp: "/tmp".to_owned(),
            var_tmp: "/var/tmp".to_owned(),
        }
    }

    #[test]
    fn expands_every_specifier() {
        let text = "%a %A %B %H %l %m %M %o %v %w [%W] %T %V %%a";
        assert_eq!(
            expand(text, &identity()).unwrap(),
            "x86-64 7 b1 node7.example.org node7 0123456789abcdef0123456789abcdef i flatcar 6.18.2 4081.2.0 [] \
             /tmp /var/tmp %a"
        );
        let booted = Identity { boot_id: Some("b".repeat(32)), ..identity() };
        assert_eq!(expand("%b", &booted).unwrap(), "b".repeat(32));
    }

    #[test]
    fn keeps_percent_escapes_of_urls() {
        assert_eq!(expand("https://x/a%20b/", &identity()).unwrap(), "https://x/a%20b/");
    }

    #[test]
    fn rejects_an_unknown_specifier() {
        let error = expand("x-%q.raw", &identity()).unwrap_err();
        assert_eq!(error.to_string(), "unknown specifier %q in \"x-%q.raw\"");
        assert!(error.hint().unwrap().contains("%%"));
    }

    #[test]
    fn rejects_a_trailing_percent() {
        assert_eq!(expand("50%", &identity()).unwrap_err().to_string(), "\"50%\" ends in a single %");
    }

    #[test]
    fn rejects_an_id_that_the_host_lacks() {
        assert_eq!(
            expand("%b", &identity()).unwrap_err().to_string(),
            "%b in \"%b\" needs the boot id, which this host does not have"
        );
    }

    #[test]
    fn escaped_text_expands_to_itself() {
        let text = "100%a%%";
        assert_eq!(expand(&escape(text), &identity()).unwrap(), text);
    }
}
