//! `sysupdate` in a world that ends at a chosen instant, and whose clock shows a chosen time: see
//! `tests::interrupt` for the environment variables that choose.

use std::process::ExitCode;

fn main() -> ExitCode {
    match tests::interrupt::host() {
        Ok(host) => sysupdate::cli::main(std::env::args_os(), || host),
        Err(error) => {
            eprintln!("{error:#}");
            // Not a status of `sysupdate`'s own.
            ExitCode::from(99)
        }
    }
}
