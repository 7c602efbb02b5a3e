//! Writes the transfer files that a publisher offers.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Activate, format_span};
use crate::health::HealthCheck;
use crate::hint::Hint;
use crate::version::Version;

/// A transfer file to write. Specifiers in values remain specifiers; escape other `%` with
/// [`crate::specifier::escape`].
#[derive(Clone, Debug)]
pub struct TransferText {
    /// A comment for the top of the file.
    pub comment: String,
    /// Whether stock tools require an OpenPGP signature.
    pub verify: VerifyText,
    /// `MinVersion=`.
    pub min_version: Option<Version>,
    /// `ProtectVersion=`; `%A` is usual for an operating system.
    pub protect_versions: Vec<String>,
    /// The URL of the directory that contains `SHA256SUMS`.
    pub url: String,
    /// The names of versions.
    pub source_patterns: Vec<String>,
    /// The directory for installed versions.
    pub target_path: String,
    /// The names of installed versions; empty for those of the source.
    pub target_patterns: Vec<String>,
    /// The symlink to the installed version.
    pub current_symlink: Option<String>,
    /// Access mode of installed files.
    pub mode: Option<u32>,
    /// How many versions are kept.
    pub instances_max: Option<u64>,
    /// The repository whose catalog lists the versions.
    pub repository: Option<String>,
    /// How a new version is activated.
    pub activate: Option<Activate>,
    /// The checks that must pass after activation.
    pub health_checks: Vec<HealthCheck>,
    /// How long the checks may fail.
    pub health_timeout: Option<Duration>,
}

/// The value of `Verify=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyText {
    /// `yes`: an OpenPGP signature is published beside the manifest.
    OpenPgp,
    /// `no`, with a comment that explains it.
    Unsigned,
}

/// Why a transfer file cannot be written.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message says it")]
pub enum TextError {
    #[error("{key}= cannot be written as {value:?}: {reason}")]
    Value { key: &'static str, value: String, reason: &'static str },
    #[error("MatchPattern= is missing in [Source]")]
    NoPattern,
}

impl Hint for TextError {}

impl TransferText {
    /// A file with only the mandatory keys.
    pub fn new(
        url: impl Into<String>,
        pattern: impl Into<String>,
        target_path: impl Into<String>,
        verify: VerifyText,
    ) -> Self {
        Self {
            comment: String::new(),
            verify,
            min_version: None,
            protect_versions: Vec::new(),
            url: url.into(),
            source_patterns: vec![pattern.into()],
            target_path: target_path.into(),
            target_patterns: Vec::new(),
            current_symlink: None,
            mode: None,
            instances_max: None,
            repository: None,
            activate: None,
            health_checks: Vec::new(),
            health_timeout: None,
        }
    }

    /// The file's text.
    pub fn render(&self) -> Result<String, TextError> {
        if self.source_patterns.is_empty() {
            return Err(TextError::NoPattern);
        }
        let mut text = Text::default();
        text.comment(&self.comment);
        text.section("Transfer");
        match self.verify {
            VerifyText::OpenPgp => text.key("Verify", "yes")?,
            VerifyText::Unsigned => {
                text.comment(
                    "No OpenPGP signature is published here. systemd-sysupdate then trusts the server and\n\
                     its TLS certificate; sysupdate with Repository= checks the signed catalog all the same.",
                );
                text.key("Verify", "no")?;
            }
        }
        if let Some(version) = &self.min_version {
            text.key("MinVersion", version.as_str())?;
        }
        for version in &self.protect_versions {
            text.key("ProtectVersion", version)?;
        }
        text.section("Source");
        text.key("Type", "url-file")?;
        text.key("Path", &self.url)?;
        text.key("MatchPattern", &self.source_patterns.join(" "))?;
        text.section("Target");
        text.key("Type", "regular-file")?;
        text.key("Path", &self.target_path)?;
        let names =
            if self.target_patterns.is_empty() { &self.source_patterns } else { &self.target_patterns };
        text.key("MatchPattern", &names.join(" "))?;
        if let Some(mode) = self.mode {
            text.key("Mode", &format!("{mode:04o}"))?;
        }
        if let Some(instances_max) = self.instances_max {
            text.key("InstancesMax", &instances_max.to_string())?;
        }
        if let Some(symlink) = &self.current_symlink {
            text.key("CurrentSymlink", symlink)?;
        }
        self.render_ours(&mut text)?;
        Ok(text.0)
    }

    fn render_ours(&self, text: &mut Text) -> Result<(), TextError> {
        let nothing = self.repository.is_none()
            && self.activate.is_none()
            && self.health_checks.is_empty()
            && self.health_timeout.is_none();
        if nothing {
            return Ok(());
        }
        text.section("X-Sysupdate");
        if let Some(repository) = &self.repository {
            text.key("Repository", repository)?;
        }
        if let Some(activate) = self.activate {
            text.key("Activate", activate.as_str())?;
        }
        for check in &self.health_checks {
            text.key("HealthCheck", &check.to_string())?;
        }
        if let Some(timeout) = self.health_timeout {
            text.key("HealthTimeout", &format_span(timeout))?;
        }
        Ok(())
    }
}

/// The text of a file while it is written.
#[derive(Default)]
pub(crate) struct Text(String);

impl Text {
    pub(crate) fn into_string(self) -> String {
        self.0
    }

    /// Lines that start with `#`; a line break of any kind ends one, so a comment cannot become a key.
    fn comment(&mut self, comment: &str) {
        for line in comment.split(['\n', '\r', '\0']) {
            let line = line.trim_end();
            if line.is_empty() && comment.is_empty() {
                continue;
            }
            self.0.push('#');
            if !line.is_empty() {
                self.0.push(' ');
                self.0.push_str(line);
            }
            self.0.push('\n');
        }
    }

    pub(crate) fn section(&mut self, name: &str) {
        let gap = if self.0.is_empty() { "" } else { "\n" };
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{gap}[{name}]");
    }

    pub(crate) fn key(&mut self, key: &'static str, value: &str) -> Result<(), TextError> {
        let refuse = |reason| Err(TextError::Value { key, value: value.to_owned(), reason });
        if value.is_empty() {
            return refuse("an empty value would remove the setting");
        }
        if value.chars().any(char::is_control) {
            return refuse("it contains a control character");
        }
        if value.trim_matches([' ', '\t']) != value {
            return refuse("leading or trailing white space would be lost");
        }
        if value.ends_with('\\') {
            return refuse("a trailing backslash would continue the next line");
        }
        let _ = writeln!(self.0, "{key}={value}");
        Ok(())
    }
}
