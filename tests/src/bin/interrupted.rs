//! `sysupdate` that kills itself at a chosen effect and has an adjustable clock. The environment variables are
//! in `tests::interrupt`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match tests::interrupt::host() {
        Ok(host) => sysupdate::cli::main(std::env::args_os(), || host),
        Err(error) => {
            eprintln!("{error:#}");
            // A status that `sysupdate` does not use.
            ExitCode::from(99)
        }
    }
}
