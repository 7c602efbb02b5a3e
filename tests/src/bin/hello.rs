//! The payload of `cargo quickstart`: prints the greeting that is installed with it, in `../share/hello`.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let program = std::env::args_os().next().unwrap_or_default();
    let usr = Path::new(&program).ancestors().nth(2).unwrap_or(Path::new("/usr"));
    match std::fs::read_to_string(usr.join("share/hello/greeting")) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("no greeting: {error}");
            ExitCode::FAILURE
        }
    }
}
