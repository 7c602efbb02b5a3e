//! Writes a parsed transfer as a file, to show how it was understood.

use super::writer::{Text, TextError};
use super::{INSTANCES_MAX_SLOTS, Transfer, format_span};
use crate::pattern::Patterns;
use crate::specifier::escape;
use crate::words;

impl Transfer {
    /// A file with the same meaning on any host: with all defaults, and without specifiers.
    pub fn render(&self) -> Result<String, TextError> {
        let mut text = Text::default();
        text.section("Transfer");
        text.key("Verify", yes_no(self.verify))?;
        if let Some(version) = &self.min_version {
            text.key("MinVersion", version.as_str())?;
        }
        for version in &self.protect_versions {
            text.key("ProtectVersion", version.as_str())?;
        }
        for url in &self.changelog {
            text.key("ChangeLog", &escape(url))?;
        }
        for url in &self.appstream {
            text.key("AppStream", &escape(url))?;
        }
        for feature in &self.features {
            text.key("Features", &words::quote(feature))?;
        }
        for feature in &self.requisite_features {
            text.key("RequisiteFeatures", &words::quote(feature))?;
        }
        self.source(&mut text)?;
        self.target(&mut text)?;
        self.ours(&mut text)?;
        Ok(text.into_string())
    }

    fn source(&self, text: &mut Text) -> Result<(), TextError> {
        let source = &self.source;
        text.section("Source");
        text.key("Type", source.kind.as_str())?;
        text.key("Path", &escape(&source.path))?;
        text.key("PathRelativeTo", source.relative_to.as_str())?;
        text.key("MatchPattern", &patterns(&source.patterns))
    }

    fn target(&self, text: &mut Text) -> Result<(), TextError> {
        let target = &self.target;
        text.section("Target");
        text.key("Type", target.kind.as_str())?;
        text.key("Path", &escape(&target.path))?;
        text.key("PathRelativeTo", target.relative_to.as_str())?;
        text.key("MatchPattern", &patterns(&target.patterns))?;
        if let Some(mode) = target.mode {
            text.key("Mode", &format!("{mode:04o}"))?;
        }
        // The default of partitions, one version in each slot, cannot be written.
        if target.instances_max != INSTANCES_MAX_SLOTS {
            text.key("InstancesMax", &target.instances_max.to_string())?;
        }
        text.key("RemoveTemporary", yes_no(target.remove_temporary))?;
        if let Some(symlink) = &target.current_symlink {
            text.key("CurrentSymlink", &escape(symlink))?;
        }
        if let Some(read_only) = target.read_only {
            text.key("ReadOnly", yes_no(read_only))?;
        }
        if let Some(number) = target.tries_left {
            text.key("TriesLeft", &number.to_string())?;
        }
        if let Some(number) = target.tries_done {
            text.key("TriesDone", &number.to_string())?;
        }
        let partition = &target.partition;
        text.key("MatchPartitionType", &partition.kind.to_string())?;
        if let Some(uuid) = partition.uuid {
            text.key("PartitionUUID", &uuid.to_string())?;
        }
        if let Some(flags) = partition.flags {
            text.key("PartitionFlags", &format!("{flags:#x}"))?;
        }
        let flags = [
            ("PartitionNoAuto", partition.no_auto),
            ("PartitionGrowFileSystem", partition.grow_file_system),
            ("PartitionZeroFill", partition.zero_fill),
        ];
        for (key, flag) in flags {
            if let Some(flag) = flag {
                text.key(key, yes_no(flag))?;
            }
        }
        Ok(())
    }

    fn ours(&self, text: &mut Text) -> Result<(), TextError> {
        text.section("X-Sysupdate");
        if let Some(repository) = &self.repository {
            text.key("Repository", repository)?;
        }
        for mirror in &self.mirrors {
            text.key("Mirror", &escape(mirror))?;
        }
        if let Some(version) = &self.version {
            text.key("Version", version.as_str())?;
        }
        if let Some(version) = &self.max_version {
            text.key("MaxVersion", version.as_str())?;
        }
        if let Some(channel) = self.channel {
            text.key("Channel", channel.as_str())?;
        }
        text.key("Hold", yes_no(self.hold))?;
        for requirement in &self.requires {
            text.key("Requires", &requirement.to_string())?;
        }
        text.key("Activate", self.activate.as_str())?;
        for check in &self.health_checks {
            text.key("HealthCheck", &check.to_string())?;
        }
        text.key("HealthTimeout", &format_span(self.health_timeout))?;
        if let Some(bandwidth) = self.bandwidth {
            text.key("Bandwidth", &bandwidth.to_string())?;
        }
        Ok(())
    }
}

fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// Patterns are separated by spaces, so spaces in them are escaped; quotes have no meaning there.
fn patterns(patterns: &Patterns) -> String {
    let words = patterns.iter().map(|pattern| escape(pattern.as_str()).replace(' ', "\\x20"));
    words.collect::<Vec<_>>().join(" ")
}
