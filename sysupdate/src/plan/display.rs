//! A plan as people and programs read it.

use std::fmt;

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use super::{
    Acquire, Activation, ComponentPlan, Decision, Keep, Objection, Origin, Plan, Refusal, Removal, Source,
};
use crate::host::transport::without_password;
use crate::merge::quarantine::Unread;
use crate::state::Stage;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.components.iter().try_for_each(|component| component.fmt(f))
    }
}

impl fmt::Display for ComponentPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.component)?;
        let from = || self.active.as_ref().map(|version| format!(" (now {version})")).unwrap_or_default();
        match &self.decision {
            Decision::Settle { activation, stage: Stage::Checking } => {
                writeln!(f, "judge {}, which an interrupted run put in use", activation.version)?;
            }
            Decision::Settle {
                activation: Activation { version, previous, .. },
                stage: Stage::Returning,
            } => {
                let previous = previous.as_ref().map_or("nothing", |version| version.as_str());
                writeln!(f, "finish the return from {version} to {previous}")?;
            }
            Decision::Install { remove, acquire, activation } => {
                writeln!(f, "install {}{}", activation.version, from())?;
                for path in remove {
                    writeln!(f, "  remove {}", path.display())?;
                }
                for Acquire { source: Source { origin, target, .. }, .. } in acquire {
                    writeln!(f, "  get {origin}")?;
                    writeln!(f, "    as {}", target.display())?;
                }
            }
            Decision::Activate { activation } => {
                writeln!(f, "put {}, which is here already, in use{}", activation.version, from())?;
            }
            Decision::Keep { reason } => {
                let active = self.active.as_ref().map_or("nothing", |version| version.as_str());
                writeln!(f, "keep {active}: {reason}")?;
            }
            Decision::Refuse { reason } => writeln!(f, "{reason}")?,
        }
        self.removals.iter().try_for_each(|removal| removal.fmt(f))?;
        for passed_over in &self.passed_over {
            writeln!(f, "  not {}: {}", passed_over.version, passed_over.reason)?;
        }
        if let Some(reason) = &self.source_failure {
            writeln!(f, "  what is offered is not known: {reason}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  drop {}: {}", self.transfer, self.because)?;
        let files = self.files.iter().map(|file| &file.path);
        self.link.iter().chain(files).try_for_each(|path| writeln!(f, "    remove {}", path.display()))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claimed(claim) => {
                let what = claim.get();
                let url = what.urls.first().map(|url| without_password(url));
                f.write_str(url.as_deref().unwrap_or("nowhere"))?;
                if let Some(size) = what.size {
                    write!(f, ", {size} bytes")?;
                }
                write!(f, ", sha256 {}, {}", what.sha256.short(), claim.evidence())
            }
            Self::File(path) => write!(f, "{}, about which nobody said anything", path.display()),
        }
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UpToDate => f.write_str("nothing newer may be used"),
            Self::Nothing => f.write_str("nothing is offered that may be used"),
            Self::Held { candidate } => write!(f, "held by its definition; {candidate} would be next"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOffered { version } => write!(f, "{version} is neither here nor offered"),
            Self::Obsolete { version, minimum } => write!(f, "{version} is below MinVersion={minimum}"),
            Self::TooNew { version, maximum } => write!(f, "{version} is above MaxVersion={maximum}"),
            Self::Unfulfilled { version, requirement } => {
                write!(f, "{version} does not fulfil Version={requirement}")
            }
            Self::NotReadYet { version, what } => write!(f, "{version} {}", of_a_kind(*what)),
            Self::CannotCheck { version, message } => {
                write!(f, "cannot check the health of {version}: {message}")
            }
            Self::Incomplete { version, missing } => {
                write!(f, "{version} is not whole: {} has no such version", missing.join(", "))
            }
        }
    }
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bad { output } if output.is_empty() => f.write_str("it did not pass its checks here"),
            Self::Bad { output } => {
                let last = output.lines().last().unwrap_or_default();
                write!(f, "it did not pass its checks here: {last}")
            }
            Self::Obsolete { minimum } => write!(f, "it is below MinVersion={minimum}"),
            Self::TooNew { maximum } => write!(f, "it is above MaxVersion={maximum}"),
            Self::Unfulfilled { requirement } => write!(f, "it does not fulfil Version={requirement}"),
            Self::NotReadYet { what } => write!(f, "it {}", of_a_kind(*what)),
            Self::CannotCheck { message } => write!(f, "cannot check its health: {message}"),
            Self::Withdrawn { message } => write!(f, "its publisher took it back: {message}"),
            Self::Incomplete { missing } => write!(f, "{} has no such version", missing.join(", ")),
        }
    }
}

/// A version would be taken back as soon as it was merged: better leave the one before in peace.
fn of_a_kind(what: Unread) -> String {
    format!("is one of the {what}, which are not merged yet (systemd-sysext does; then Activate=none)")
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut source = serializer.serialize_struct("Source", 5)?;
        match &self.origin {
            Origin::Claimed(claim) => {
                let urls: Vec<String> = claim.get().urls.iter().map(|url| without_password(url)).collect();
                source.serialize_field("urls", &urls)?;
                source.serialize_field("sha256", &claim.get().sha256)?;
                source.serialize_field("size", &claim.get().size)?;
                source.serialize_field("evidence", &claim.evidence().to_string())?;
            }
            Origin::File(path) => source.serialize_field("file", path)?,
        }
        source.serialize_field("target", &self.target)?;
        source.end()
    }
}
