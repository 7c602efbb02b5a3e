//! Transfer files, read and written.

use super::*;
use crate::architecture::Architecture;
use crate::os_release::OsRelease;
use crate::pattern::Captures;

const PLAIN: &str = "\
[Source]
Type=url-file
Path=https://example.org/k/
MatchPattern=k-@v-%a.raw

[Target]
Path=/var/lib/sysupdate/images/k
CurrentSymlink=/var/lib/extensions/k.raw
";

mod ignored;
mod read;
mod refused;
mod written;

fn identity() -> Identity {
    Identity {
        architecture: Architecture::Arm64,
        os_release: OsRelease::from_iter([("IMAGE_VERSION", "7"), ("VERSION_ID", "12")]),
        ..Identity::fake()
    }
}

fn parse(text: &str) -> (Transfer, Vec<String>) {
    let parsed = Transfer::parse("k.transfer", text, &[], &identity()).unwrap();
    (parsed.transfer, parsed.warnings.iter().map(ToString::to_string).collect())
}

/// A transfer whose file ends in some more lines, which stand from line 9 on.
fn with(more: &str) -> (Transfer, Vec<String>) {
    parse(&format!("{PLAIN}{more}"))
}

fn quiet(more: &str) -> Transfer {
    let (transfer, warnings) = with(more);
    assert_eq!(warnings, [""; 0]);
    transfer
}

fn error(text: &str) -> TransferError {
    Transfer::parse("k.transfer", text, &[], &identity()).unwrap_err()
}

fn message(more: &str) -> String {
    error(&format!("{PLAIN}{more}")).to_string()
}

fn warning(more: &str) -> String {
    let (_, mut warnings) = with(more);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    warnings.remove(0)
}
