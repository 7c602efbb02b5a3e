//! A plan for people and programs.

use std::fmt;
use std::path::Path;

use serde::{Serialize, Serializer};
use sysext_manifests::digest::Sha256;
use sysext_manifests::trust::Evidence;
use sysext_manifests::version::Version;

use super::{
    Activation, ComponentPlan, Decision, Keep, MetRequirement, NewFile, Objection, OfferedFile, Origin, Plan,
    Removal, Resume, Skipped,
};
use crate::host::transport::without_password;
use crate::targets::Location;

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
            Decision::Resume { resume: Resume::Check, activation } => {
                writeln!(f, "check {}, activated by an interrupted run", activation.version)?;
            }
            Decision::Resume { resume: Resume::RollBack { reason }, activation } => {
                let Activation { version, previous, .. } = activation;
                writeln!(f, "finish the rollback from {version} to {}: {reason}", or_nothing(previous))?;
            }
            Decision::Install { remove, files, activation } => {
                writeln!(f, "install {}{}", activation.version, from())?;
                self.files(f, remove, files)?;
            }
            Decision::Download { version, remove, files } => {
                writeln!(f, "download {version}{}", from())?;
                self.files(f, remove, files)?;
            }
            Decision::Activate { activation } => {
                writeln!(f, "activate {} (already downloaded){}", activation.version, from())?;
            }
            Decision::Keep { reason } => writeln!(f, "keep {}: {reason}", or_nothing(&self.active))?,
            Decision::Refuse { version, objections } => writeln!(f, "{}", Refused(version, objections))?,
        }
        for MetRequirement { requirement, by, version, changed } in &self.requires {
            let version = version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
            match changed {
                true => writeln!(f, "  requires {requirement}: this run installs {by}{version}")?,
                false => writeln!(f, "  requires {requirement}: {by}{version} is installed")?,
            }
        }
        self.removals.iter().try_for_each(|removal| removal.fmt(f))?;
        self.skipped.iter().try_for_each(|skipped| writeln!(f, "  {skipped}"))?;
        if let Some(reason) = &self.source_failure {
            writeln!(f, "  could not check for updates: {reason}")?;
        }
        Ok(())
    }
}

impl ComponentPlan {
    fn files(&self, f: &mut fmt::Formatter<'_>, remove: &[Location], files: &[NewFile]) -> fmt::Result {
        for location in remove {
            writeln!(f, "  remove {location}")?;
        }
        for NewFile { source: OfferedFile { origin, target, .. }, .. } in files {
            writeln!(f, "  get {origin}")?;
            writeln!(f, "    as {target}")?;
        }
        Ok(())
    }
}

fn or_nothing(version: &Option<Version>) -> &str {
    version.as_ref().map_or("nothing", Version::as_str)
}

/// That a requested version is not used, and why.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a>(pub &'a Version, pub &'a [Objection]);

impl fmt::Display for Refused<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot use {}: {}", self.0, list(self.1))
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "skipped {}: {}", self.version, list(&self.objections))
    }
}

fn list(objections: &[Objection]) -> String {
    objections.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl fmt::Display for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  remove {}: {}", self.transfer, self.reason)?;
        self.link.iter().try_for_each(|link| writeln!(f, "    remove {}", link.display()))?;
        self.files.iter().try_for_each(|file| writeln!(f, "    remove {}", file.location))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claimed(claim) => {
                let what = claim.get();
                let url = what.urls.first().map(|url| without_password(url));
                f.write_str(url.as_deref().unwrap_or("no URL"))?;
                if let Some(size) = what.size {
                    write!(f, ", {size} bytes")?;
                }
                write!(f, ", sha256 {}, {}", what.sha256.short(), claim.evidence())
            }
            Self::File(path) => write!(f, "{} (no known digest or signature)", path.display()),
        }
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UpToDate => f.write_str("no newer version is eligible"),
            Self::Nothing => f.write_str("no eligible version is available"),
            Self::Held { candidate } => write!(f, "on hold; {candidate} is available"),
        }
    }
}

/// An offered file as it is printed.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct PrintedFile<'a> {
    #[serde(flatten)]
    origin: PrintedOrigin<'a>,
    /// Where it will be installed.
    target: &'a Location,
}

/// Where a file comes from.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
enum PrintedOrigin<'a> {
    /// A download, or a local file with a known digest.
    Claimed { urls: Vec<String>, sha256: Sha256, size: Option<u64>, evidence: &'a Evidence },
    /// A local file without a known digest.
    File { file: &'a Path },
}

impl<'a> From<&'a OfferedFile> for PrintedFile<'a> {
    fn from(OfferedFile { origin, target, .. }: &'a OfferedFile) -> Self {
        let origin = match origin {
            Origin::Claimed(claim) => PrintedOrigin::Claimed {
                urls: claim.get().urls.iter().map(|url| without_password(url)).collect(),
                sha256: claim.get().sha256,
                size: claim.get().size,
                evidence: claim.evidence(),
            },
            Origin::File(path) => PrintedOrigin::File { file: path },
        };
        Self { origin, target }
    }
}

impl Serialize for OfferedFile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        PrintedFile::from(self).serialize(serializer)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for OfferedFile {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OfferedFile".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        PrintedFile::json_schema(generator)
    }
}
