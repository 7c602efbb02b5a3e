//! The payload of `cargo quickstart`: prints the greeting that is installed with it, in `../share/hello`.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let program = std::env::args_os().next().unwrap_or_default();
    let usr = Path::new(&program).ancestors().nth(2).unwrap_or(Path::new("/usr"));
    let directory = usr.join("share/hello");
    let Ok(text) = std::fs::read_to_string(directory.join("greeting")) else {
        eprintln!("no greeting in {}", directory.display());
        return ExitCode::FAILURE;
    };
    print!("{text}");
    ExitCode::SUCCESS
}
