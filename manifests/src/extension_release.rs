//! extension-release files: which hosts an extension may be merged on.
//!
//! The rules and their order are those of systemd 262. Unlike systemd, this module returns the reason for a mismatch.

use std::fmt::Write as _;

use crate::architecture::Architecture;
use crate::hint::Hint;
use crate::os_release::{OsRelease, OsReleaseError, OsReleaseWarning, quote};

/// The directory of extension-release files in a system extension.
pub const DIRECTORY: &str = "usr/lib/extension-release.d";

/// The value of `ID=` and `ARCHITECTURE=` that matches any host.
const ANY: &str = "_any";
/// Where an extension may be merged by default.
const SCOPE_DEFAULT: &str = "system portable";

/// The contents of an extension-release file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtensionRelease {
    fields: OsRelease,
}

/// Where an extension is to be merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The running system.
    System,
    /// The initial RAM disk: `/etc/initrd-release` exists.
    Initrd,
}

/// Why an extension does not match a host.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message says it")]
pub enum Mismatch {
    #[error("its extension-release file is empty")]
    Empty,
    #[error("it is for {extension:?}, not for {wanted}")]
    Scope { extension: String, wanted: &'static str },
    #[error("it is for the architecture {extension:?}, this host is {host}")]
    Architecture { extension: String, host: Architecture },
    #[error("its extension-release has no ID=")]
    NoId,
    #[error("it is for the distribution {extension:?}, this host is {host}")]
    Id { extension: String, host: String },
    #[error("it is for SYSEXT_LEVEL={extension}, this host has {host}")]
    Level { extension: String, host: String },
    #[error("its extension-release has no VERSION_ID=, this host has {host}")]
    NoVersion { host: String },
    #[error("it is for VERSION_ID={extension}, this host has {host}")]
    Version { extension: String, host: String },
}

impl Hint for Mismatch {}

impl ExtensionRelease {
    /// Reads a file's text.
    pub fn parse(text: &str) -> Result<(Self, Vec<OsReleaseWarning>), OsReleaseError> {
        let (fields, warnings) = OsRelease::parse(text)?;
        Ok((Self { fields }, warnings))
    }

    /// An extension for every distribution: the default of recipes.
    pub fn for_any(architecture: Option<Architecture>) -> Self {
        let architecture = architecture.map(|architecture| ("ARCHITECTURE", architecture.as_str()));
        std::iter::once(("ID", ANY)).chain(architecture).collect()
    }

    /// The fields.
    pub fn fields(&self) -> &OsRelease {
        &self.fields
    }

    /// Whether the service manager is reloaded after the merge.
    pub fn reloads_manager(&self) -> bool {
        self.fields.get("EXTENSION_RELOAD_MANAGER").and_then(crate::ini::boolean).unwrap_or(false)
    }

    /// Checks whether the extension may be merged on a host; returns the first mismatch.
    pub fn matches(
        &self,
        host: &OsRelease,
        architecture: Architecture,
        scope: Scope,
    ) -> Result<(), Mismatch> {
        let extension = &self.fields;
        let own = |key| extension.get_set(key).map(str::to_owned);
        if extension.is_empty() {
            return Err(Mismatch::Empty);
        }

        let scopes = extension.get("SYSEXT_SCOPE").unwrap_or(SCOPE_DEFAULT);
        let wanted = match scope {
            Scope::System => "system",
            Scope::Initrd => "initrd",
        };
        if !scopes.split_ascii_whitespace().any(|scope| scope == wanted) {
            return Err(Mismatch::Scope { extension: scopes.to_owned(), wanted });
        }

        if let Some(extension) = own("ARCHITECTURE").filter(|own| own != ANY && own != architecture.as_str())
        {
            return Err(Mismatch::Architecture { extension, host: architecture });
        }

        let id = own("ID").ok_or(Mismatch::NoId)?;
        if id == ANY {
            return Ok(());
        }
        // The default of os-release(5).
        let host_id = host.get_set("ID").unwrap_or("linux");
        if id != host_id && !host.words("ID_LIKE").any(|like| like == id) {
            let like = host.get_set("ID_LIKE").map(|like| format!(" (like {like})")).unwrap_or_default();
            return Err(Mismatch::Id { extension: id, host: format!("{host_id}{like}") });
        }

        let host_level = host.get_set("SYSEXT_LEVEL");
        let host_version = host.get_set("VERSION_ID");
        match (host_level, own("SYSEXT_LEVEL"), host_version) {
            // If both have a level, the version is not compared.
            (Some(host), Some(extension), _) if host == extension => Ok(()),
            (Some(host), Some(extension), _) => Err(Mismatch::Level { extension, host: host.to_owned() }),
            // A rolling distribution has no version to compare.
            (_, _, None) => Ok(()),
            (_, _, Some(host)) => match own("VERSION_ID") {
                None => Err(Mismatch::NoVersion { host: host.to_owned() }),
                Some(extension) if extension == host => Ok(()),
                Some(extension) => Err(Mismatch::Version { extension, host: host.to_owned() }),
            },
        }
    }

    /// The file's text, sorted by key so that equal contents are equal bytes.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for (key, value) in self.fields.iter() {
            // Writing to a string cannot fail
            let _ = writeln!(text, "{key}={}", quote(value));
        }
        text
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for ExtensionRelease {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(fields: I) -> Self {
        Self { fields: OsRelease::from_iter(fields) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "ID=flatcar\nID_LIKE=\"coreos gentoo\"\nVERSION_ID=4081.2.0\nSYSEXT_LEVEL=1.0\n";

    fn matches_on(host: &str, extension: &str, scope: Scope) -> Result<(), String> {
        let (host, _) = OsRelease::parse(host).unwrap();
        let (release, _) = ExtensionRelease::parse(extension).unwrap();
        release.matches(&host, Architecture::X86_64, scope).map_err(|mismatch| mismatch.to_string())
    }

    fn matches(extension: &str) -> Result<(), String> {
        matches_on(HOST, extension, Scope::System)
    }

    fn refused(reason: &str) -> Result<(), String> {
        Err(reason.to_owned())
    }

    #[test]
    fn an_extension_for_any_host_matches() {
        assert_eq!(matches("ID=_any\n"), Ok(()));
        assert_eq!(matches("ID=_any\nARCHITECTURE=_any\nVERSION_ID=1\n"), Ok(()));
        assert_eq!(matches("ID=_any\nARCHITECTURE=x86-64\n"), Ok(()));
    }

    #[test]
    fn an_empty_file_matches_nothing() {
        assert_eq!(matches("# nothing\n"), refused("its extension-release file is empty"));
    }

    #[test]
    fn the_scope_decides_first() {
        assert_eq!(
            matches("SYSEXT_SCOPE=initrd\nARCHITECTURE=arm64\n"),
            refused("it is for \"initrd\", not for system")
        );
        assert_eq!(matches("SYSEXT_SCOPE=\nID=_any\n"), refused("it is for \"\", not for system"));
        assert_eq!(matches("SYSEXT_SCOPE=\"initrd system\"\nID=_any\n"), Ok(()));
        assert_eq!(
            matches_on(HOST, "ID=_any\n", Scope::Initrd),
            refused("it is for \"system portable\", not for initrd")
        );
        assert_eq!(matches_on(HOST, "ID=_any\nSYSEXT_SCOPE=initrd\n", Scope::Initrd), Ok(()));
    }

    #[test]
    fn the_architecture_decides_before_the_distribution() {
        assert_eq!(
            matches("ARCHITECTURE=arm64\nID=debian\n"),
            refused("it is for the architecture \"arm64\", this host is x86-64")
        );
        assert_eq!(matches("ARCHITECTURE=\nID=_any\n"), Ok(()));
    }

    #[test]
    fn the_distribution_must_be_named_and_known() {
        assert_eq!(matches("ARCHITECTURE=x86-64\n"), refused("its extension-release has no ID="));
        assert_eq!(
            matches("ID=debian\n"),
            refused("it is for the distribution \"debian\", this host is flatcar (like coreos gentoo)")
        );
        assert_eq!(matches("ID=gentoo\nSYSEXT_LEVEL=1.0\n"), Ok(()));
        assert_eq!(matches_on("", "ID=linux\n", Scope::System), Ok(()));
    }

    #[test]
    fn a_rolling_host_accepts_any_version() {
        assert_eq!(matches_on("ID=arch\n", "ID=arch\nVERSION_ID=1\nSYSEXT_LEVEL=2\n", Scope::System), Ok(()));
    }

    #[test]
    fn levels_on_both_sides_decide_without_the_version() {
        assert_eq!(matches("ID=flatcar\nSYSEXT_LEVEL=1.0\nVERSION_ID=1\n"), Ok(()));
        assert_eq!(
            matches("ID=flatcar\nSYSEXT_LEVEL=2.0\nVERSION_ID=4081.2.0\n"),
            refused("it is for SYSEXT_LEVEL=2.0, this host has 1.0")
        );
    }

    #[test]
    fn otherwise_the_version_must_be_the_same() {
        assert_eq!(matches("ID=flatcar\nVERSION_ID=4081.2.0\n"), Ok(()));
        assert_eq!(
            matches("ID=flatcar\n"),
            refused("its extension-release has no VERSION_ID=, this host has 4081.2.0")
        );
        assert_eq!(
            matches("ID=flatcar\nVERSION_ID=4081.2\n"),
            refused("it is for VERSION_ID=4081.2, this host has 4081.2.0")
        );
        let level_only = "ID=flatcar\nSYSEXT_LEVEL=1.0\n";
        assert_eq!(matches_on(level_only, "ID=flatcar\nVERSION_ID=9\n", Scope::System), Ok(()));
    }

    #[test]
    fn writes_sorted_fields_that_read_back() {
        let ours = ExtensionRelease::for_any(Some(Architecture::X86_64));
        assert_eq!(ours.render(), "ARCHITECTURE=x86-64\nID=_any\n");
        assert_eq!(ExtensionRelease::for_any(None).render(), "ID=_any\n");
        let more: ExtensionRelease = [
            ("ID", "flatcar"),
            ("SYSEXT_LEVEL", "1.0"),
            ("SYSEXT_SCOPE", "system initrd"),
            ("EXTENSION_RELOAD_MANAGER", "1"),
        ]
        .into_iter()
        .collect();
        assert_eq!(
            more.render(),
            "EXTENSION_RELOAD_MANAGER=1\nID=flatcar\nSYSEXT_LEVEL=1.0\nSYSEXT_SCOPE=\"system initrd\"\n"
        );
        let (read, warnings) = ExtensionRelease::parse(&more.render()).unwrap();
        assert_eq!((&read, warnings.len()), (&more, 0));
        assert!(more.reloads_manager() && !ours.reloads_manager());
        assert_eq!(more.fields().get("SYSEXT_LEVEL"), Some("1.0"));
    }
}
