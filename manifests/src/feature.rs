//! Feature files (`*.feature`) and component files (`sysupdate.NAME.component`): what can be enabled and disabled, and
//! on which hosts that is suggested.

use crate::condition::{self, Condition, ConditionError, Facts, Subject};
use crate::ini::{self, IniError};
use crate::specifier::{self, Identity};
use crate::transfer::writer::Text;
use crate::transfer::{Place, TextError, Warning};
use crate::url::is_url;

/// The file in a feature's or component's drop-in directory that says whether it is enabled. Stock's name.
pub const ENABLED_FILE: &str = "50-systemd-sysupdate-enabled.conf";

/// What a file describes, and its section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A feature: disabled unless its file says otherwise.
    Feature,
    /// A component: enabled unless its file says otherwise.
    Component,
}

/// A feature or a component, as its file and its drop-ins describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// The kind.
    pub kind: Kind,
    /// A description for people.
    pub description: Option<String>,
    /// The URLs of its documentation.
    pub documentation: Vec<String>,
    /// The URL of AppStream metadata; features only.
    pub appstream: Option<String>,
    /// Whether it is enabled.
    pub enabled: bool,
    /// Whether it is suggested, regardless of the conditions.
    pub suggest: Option<bool>,
    /// The conditions under which it is suggested.
    pub conditions: Vec<Condition>,
}

impl Kind {
    /// The section's name.
    pub const fn section(self) -> &'static str {
        match self {
            Self::Feature => "Feature",
            Self::Component => "Component",
        }
    }
}

impl Feature {
    /// The defaults, as for an empty or missing file.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            description: None,
            documentation: Vec::new(),
            appstream: None,
            enabled: kind == Kind::Component,
            suggest: None,
            conditions: Vec::new(),
        }
    }

    /// Reads a file and its drop-ins, given as names and texts in the order in which they apply. An invalid value is
    /// ignored with a warning, as in systemd.
    pub fn parse(
        kind: Kind,
        files: &[(&str, &str)],
        identity: &Identity,
    ) -> Result<(Self, Vec<Warning>), IniError> {
        let mut feature = Self::new(kind);
        let mut warnings = Vec::new();
        for (file, text) in files {
            let ini = ini::parse(file, text)?;
            warnings.extend(ini.warnings.into_iter().map(Warning::Ini));
            for section in &ini.sections {
                if section.name != kind.section() && !section.name.starts_with("X-") {
                    warnings.push(Warning::UnknownSection {
                        file: (*file).to_owned(),
                        at: section.at,
                        section: section.name.clone(),
                        meant: Some(kind.section()),
                    });
                }
            }
            for entry in ini.entries.iter().filter(|entry| entry.section == kind.section()) {
                let place = Place {
                    file: (*file).to_owned(),
                    at: entry.at,
                    section: kind.section(),
                    key: entry.key.clone(),
                };
                warnings.extend(feature.value(place, &entry.value, identity));
            }
        }
        Ok((feature, warnings))
    }

    /// Whether it is suggested on a host with these facts.
    pub fn is_suggested(&self, facts: &Facts) -> Result<bool, ConditionError> {
        match self.suggest {
            Some(suggest) => Ok(suggest),
            None if self.conditions.is_empty() => Ok(false),
            None => condition::hold(&self.conditions, facts),
        }
    }

    /// A file with the same meaning on any host.
    pub fn render(&self) -> Result<String, TextError> {
        let yes_no = |value: bool| if value { "yes" } else { "no" };
        let mut text = Text::default();
        text.section(self.kind.section());
        if let Some(description) = &self.description {
            text.key("Description", description)?;
        }
        for url in &self.documentation {
            text.key("Documentation", &specifier::escape(url))?;
        }
        if let Some(url) = &self.appstream {
            text.key("AppStream", &specifier::escape(url))?;
        }
        text.key("Enabled", yes_no(self.enabled))?;
        if let Some(suggest) = self.suggest {
            text.key("Suggest", yes_no(suggest))?;
        }
        for condition in &self.conditions {
            text.key(suggest_on(condition.subject), &condition.to_string())?;
        }
        Ok(text.into_string())
    }

    fn value(&mut self, place: Place, value: &str, identity: &Identity) -> Option<Warning> {
        let subject = Subject::ALL.into_iter().find(|subject| suggest_on(*subject) == place.key);
        match (place.key.as_str(), subject) {
            ("Description", _) => self.description = (!value.is_empty()).then(|| value.to_owned()),
            ("Documentation", _) if value.is_empty() => self.documentation.clear(),
            ("AppStream", _) if value.is_empty() && self.kind == Kind::Feature => self.appstream = None,
            ("Documentation", _) => match url(place, value, identity) {
                Ok(url) => self.documentation.push(url),
                Err(warning) => return Some(warning),
            },
            ("AppStream", _) if self.kind == Kind::Feature => match url(place, value, identity) {
                Ok(url) => self.appstream = Some(url),
                Err(warning) => return Some(warning),
            },
            ("Enabled", _) if value.is_empty() => self.enabled = Self::new(self.kind).enabled,
            ("Enabled", _) => match ini::boolean(value) {
                Some(enabled) => self.enabled = enabled,
                None => return Some(Warning::Boolean { place, value: value.to_owned() }),
            },
            ("Suggest", _) => match ini::boolean(value) {
                None if !value.is_empty() => {
                    return Some(Warning::Boolean { place, value: value.to_owned() });
                }
                suggest => self.suggest = suggest,
            },
            (_, Some(subject)) if value.is_empty() => {
                self.conditions.retain(|condition| condition.subject != subject);
            }
            (_, Some(subject)) => self.conditions.push(Condition::parse(subject, value)),
            (key, None) if key.starts_with("X-") => {}
            (_, None) => return Some(Warning::UnknownKey { place, meant: None }),
        }
        None
    }
}

/// The drop-in that enables or disables a feature or component; `verb` is the one that was used.
pub fn enabled_text(kind: Kind, verb: &str, enabled: bool) -> String {
    let value = if enabled { "yes" } else { "no" };
    format!("# Generated via 'systemd-sysupdate {verb}'\n\n[{}]\nEnabled={value}\n", kind.section())
}

/// The key of a condition.
fn suggest_on(subject: Subject) -> &'static str {
    match subject {
        Subject::Architecture => "SuggestOnArchitecture",
        Subject::Firmware => "SuggestOnFirmware",
        Subject::Virtualization => "SuggestOnVirtualization",
        Subject::Host => "SuggestOnHost",
        Subject::Fraction => "SuggestOnFraction",
        Subject::KernelCommandLine => "SuggestOnKernelCommandLine",
        Subject::Version => "SuggestOnVersion",
        Subject::Credential => "SuggestOnCredential",
        Subject::Security => "SuggestOnSecurity",
        Subject::OsRelease => "SuggestOnOSRelease",
        Subject::MachineTag => "SuggestOnMachineTag",
    }
}

fn url(place: Place, value: &str, identity: &Identity) -> Result<String, Warning> {
    let value = specifier::expand(value, identity)
        .map_err(|reason| Warning::Specifier { place: place.clone(), reason })?;
    if is_url(&value) { Ok(value) } else { Err(Warning::Url { place, value }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os_release::OsRelease;

    fn identity() -> Identity {
        Identity { os_release: OsRelease::from_iter([("ID", "flatcar")]), ..Identity::fake() }
    }

    fn parse(kind: Kind, files: &[(&str, &str)]) -> (Feature, Vec<String>) {
        let (feature, warnings) = Feature::parse(kind, files, &identity()).unwrap();
        (feature, warnings.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn defaults_are_systemds() {
        let (feature, warnings) = parse(Kind::Feature, &[("f.feature", "")]);
        assert!(!feature.enabled && warnings.is_empty());
        assert_eq!(feature, Feature::new(Kind::Feature));
        assert!(parse(Kind::Component, &[("c", "[Component]\n")]).0.enabled);
    }

    #[test]
    fn reads_and_writes_all_keys() {
        let text = "[Feature]\nDescription=Development tools 50%\nDocumentation=https://x/%o\nDocumentation=https://y/%%a\n\
                    AppStream=https://x/a.xml\nEnabled=yes\nSuggest=no\nSuggestOnHost=|node*\nSuggestOnHost=|!b\n\
                    SuggestOnOSRelease=ID=flatcar\nSuggestOnFraction=wave 10%\nX-Note=1\n";
        let (feature, warnings) = parse(Kind::Feature, &[("f.feature", text)]);
        assert_eq!(warnings, [""; 0]);
        assert_eq!(feature.documentation, ["https://x/flatcar", "https://y/%a"]);
        assert_eq!(feature.conditions.len(), 4);
        let (again, warnings) = parse(Kind::Feature, &[("f.feature", &feature.render().unwrap())]);
        assert_eq!((again, warnings), (feature, Vec::new()));
    }

    #[test]
    fn drop_ins_override_and_reset() {
        let text =
            "[Feature]\nEnabled=no\nSuggestOnHost=a\nSuggestOnSecurity=selinux\nDocumentation=https://x/\n";
        let drop_in = "[Feature]\nEnabled=yes\nSuggestOnHost=\nDocumentation=\n";
        let (feature, _) = parse(Kind::Feature, &[("f.feature", text), ("10.conf", drop_in)]);
        assert!(feature.enabled && feature.documentation.is_empty());
        assert_eq!(feature.conditions, [Condition::parse(Subject::Security, "selinux")]);
        let switched = enabled_text(Kind::Feature, "enable-feature", true);
        assert_eq!(
            switched,
            "# Generated via 'systemd-sysupdate enable-feature'\n\n[Feature]\nEnabled=yes\n"
        );
        assert!(parse(Kind::Feature, &[("f", text), (ENABLED_FILE, &switched)]).0.enabled);
    }

    #[test]
    fn warnings_name_their_place() {
        let text = "[Feature]\nEnabled=perhaps\nSuggest=x\nDocumentation=nowhere\nAppStream=%Z\nColour=red\n[Transfer]\n";
        let (feature, warnings) = parse(Kind::Feature, &[("f.feature", text)]);
        assert_eq!(feature, Feature::new(Kind::Feature));
        assert_eq!(
            warnings,
            [
                "f.feature:7:1: unknown section [Transfer], ignored (did you mean [Feature]?)",
                "f.feature:2:1: [Feature] Enabled=: \"perhaps\" is not a boolean, ignored",
                "f.feature:3:1: [Feature] Suggest=: \"x\" is not a boolean, ignored",
                "f.feature:4:1: [Feature] Documentation=: \"nowhere\" is not a valid URL, ignored",
                "f.feature:5:1: [Feature] AppStream=: unknown specifier %Z in \"%Z\", ignored",
                "f.feature:6:1: [Feature] Colour=: unknown key, ignored",
            ]
        );
        let (_, warnings) = parse(Kind::Component, &[("c", "[Component]\nAppStream=https://x/\n")]);
        assert_eq!(warnings, ["c:2:1: [Component] AppStream=: unknown key, ignored"]);
    }
}
