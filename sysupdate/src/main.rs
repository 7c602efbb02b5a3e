//! `sysupdate`: see `sysupdate --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    sysupdate::cli::main(std::env::args_os(), sysupdate::host::Host::of_this_machine)
}
