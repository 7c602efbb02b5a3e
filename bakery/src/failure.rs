//! What the user reads when a command fails: what happened, what to do about it, and the exit status.

use std::error::Error;
use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use sysext_image::codec::CodecError;
use sysext_image::ddi;
use sysext_image::erofs::WriteError;
use sysext_image::extract::ExtractError;
use sysext_image::filesystem::FilesystemError;
use sysext_image::format::UnknownFormat;
use sysext_image::kernel::{FloorError, KernelError};
use sysext_image::tree::TreeError;
use sysext_manifests::architecture::UnknownArchitecture;
use sysext_manifests::checksums::ChecksumsError;
use sysext_manifests::health::UnsupportedCheckError;
use sysext_manifests::hint;
use sysext_manifests::ini::IniError;
use sysext_manifests::trust::TrustError;

/// An error that knows what its reader can do.
pub(crate) trait Hint {
    /// A next step, as a sentence without a full stop.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// The libraries know no trait of this crate, and `sysext-image` none of `sysext-manifests`.
macro_rules! has_hint {
    ($call:ident, $($kind:ty),+ $(,)?) => {
        $(impl Hint for $kind {
            fn hint(&self) -> Option<String> {
                $call!(self, $kind)
            }
        })+
    };
}

macro_rules! of_image {
    ($error:expr, $kind:ty) => {
        <$kind>::hint($error)
    };
}

macro_rules! of_manifests {
    ($error:expr, $kind:ty) => {
        hint::Hint::hint($error)
    };
}

has_hint!(
    of_image,
    CodecError,
    ExtractError,
    FilesystemError,
    FloorError,
    KernelError,
    TreeError,
    UnknownFormat,
    WriteError,
    ddi::ReadError,
);

has_hint!(of_manifests, ChecksumsError, IniError, TrustError, UnknownArchitecture, UnsupportedCheckError);

/// Why a command failed, ready to be printed.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
    status: Status,
}

/// How the program ends after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Failed,
    /// The options contradict each other: the status that the parser of the command line uses.
    Usage,
}

impl Failure {
    pub(crate) fn new(message: impl Display) -> Self {
        Self { message: message.to_string(), hint: None, status: Status::Failed }
    }

    /// An error without a hint of its own, with everything that caused it.
    pub(crate) fn of(error: &dyn Error) -> Self {
        Self::new(in_full(error))
    }

    pub(crate) fn with_hint(self, hint: impl Display) -> Self {
        Self { hint: Some(hint.to_string()), ..self }
    }

    /// The options are at fault.
    pub(crate) fn usage(self) -> Self {
        Self { status: Status::Usage, ..self }
    }

    /// Puts the subject in front of the message.
    pub(crate) fn at(self, subject: impl Display) -> Self {
        Self { message: format!("{subject}: {}", self.message), ..self }
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    pub(crate) fn status(&self) -> ExitCode {
        match self.status {
            Status::Failed => ExitCode::FAILURE,
            Status::Usage => ExitCode::from(2),
        }
    }
}

impl<E: Error + Hint> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { hint: error.hint(), ..Self::of(&error) }
    }
}

/// Puts the subject in front of the message of an error.
pub(crate) trait At<T> {
    fn at(self, subject: impl Display) -> Result<T, Failure>;
}

impl<T, E: Into<Failure>> At<T> for Result<T, E> {
    fn at(self, subject: impl Display) -> Result<T, Failure> {
        self.map_err(|error| error.into().at(subject))
    }
}

/// An error and its causes on one line.
pub(crate) fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Some errors already print what caused them.
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

/// Whether a file is missing: the reader then needs to know where it comes from.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot bake")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("disk full")]
    struct Inner;

    impl Hint for Outer {
        fn hint(&self) -> Option<String> {
            Some("free some space".to_owned())
        }
    }

    #[test]
    fn failure_keeps_causes_and_hint() {
        let failed: Result<(), Outer> = Err(Outer(Inner));
        let failure = failed.at("x.raw").unwrap_err();
        assert_eq!(failure.message(), "x.raw: cannot bake: disk full");
        assert_eq!(failure.hint(), Some("free some space"));
        assert_eq!(Failure::new("nothing known").hint(), None);
    }
}
