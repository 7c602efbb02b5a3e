//! Manual pages and shell completions, generated from the command lines of both programs. They are not part of
//! the programs, which would be larger for every node.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::builder::Resettable;
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// The shells with completions.
pub const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Fish, Shell::Zsh];

/// The section of the manual for commands.
const SECTION: &str = "1";

/// A file that was generated.
#[derive(Debug)]
pub struct Generated {
    /// The path below the directory of the documentation.
    pub path: PathBuf,
    /// The contents.
    pub text: String,
}

/// The command lines of both programs.
pub fn commands() -> [Command; 2] {
    [bakery::cli::Cli::command(), sysupdate::cli::command()]
}

/// The manual pages of both programs and of each of their verbs, and their completions.
pub fn generate() -> Result<Vec<Generated>> {
    let mut generated = Vec::new();
    for mut command in commands() {
        let name = command.get_name().to_owned();
        for shell in SHELLS {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command, &name, &mut script);
            let path = Path::new("completions").join(file_name(shell, &name));
            generated.push(Generated { path, text: String::from_utf8(script)? });
        }
        command.build();
        pages(&command, &name, &mut generated)?;
    }
    Ok(generated)
}

/// Writes everything below a directory.
pub fn write(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    for Generated { path, text } in generate()? {
        let path = directory.join(path);
        let failed = || format!("cannot write {}", path.display());
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(failed)?;
        }
        fs::write(&path, text).with_context(failed)?;
        written.push(path);
    }
    Ok(written)
}

/// The name under which a shell looks for the completions of a program.
fn file_name(shell: Shell, program: &str) -> String {
    match shell {
        Shell::Fish => format!("{program}.fish"),
        Shell::Zsh => format!("_{program}"),
        _ => program.to_owned(),
    }
}

/// The page of a command, called `name`, and those of its verbs.
fn pages(command: &Command, name: &str, generated: &mut Vec<Generated>) -> Result<()> {
    let verbs = || command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help");
    let program = name.split('-').next().unwrap_or(name);
    let after_help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let page = Man::new(command.clone().after_help(Resettable::Reset))
        .title(name.to_uppercase())
        .source(format!("{program} {}", env!("CARGO_PKG_VERSION")))
        .manual("User Commands");
    let mut text = Vec::new();
    page.render(&mut text)?;
    // The page of a verb is called PROGRAM-VERB, and verbs may contain a hyphen.
    let parent = name.strip_suffix(command.get_name()).and_then(|parent| parent.strip_suffix('-'));
    let others: Vec<String> = parent
        .map(str::to_owned)
        .into_iter()
        .chain(verbs().map(|verb| format!("{name}-{}", verb.get_name())))
        .collect();
    sections(&after_help).to_writer(&mut text)?;
    if !others.is_empty() {
        see_also(&others).to_writer(&mut text)?;
    }
    let path = PathBuf::from(format!("man/man{SECTION}/{name}.{SECTION}"));
    generated.push(Generated { path, text: String::from_utf8(text)? });
    verbs().try_for_each(|verb| pages(verb, &format!("{name}-{}", verb.get_name()), generated))
}

/// The paragraphs behind the help, each of which begins with a heading and a colon.
fn sections(after_help: &str) -> Roff {
    let mut roff = Roff::new();
    for paragraph in after_help.split("\n\n") {
        let Some((heading, lines)) = paragraph.trim().split_once(":\n") else { continue };
        roff.control("SH", [heading.to_uppercase().as_str()]);
        // Without filling, each line stays one.
        roff.control("nf", []);
        lines.lines().for_each(|line| {
            roff.text([roman(line.trim())]);
        });
        roff.control("fi", []);
    }
    roff
}

fn see_also(pages: &[String]) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    for (index, page) in pages.iter().enumerate() {
        let end = if index + 1 < pages.len() { format!("({SECTION}),") } else { format!("({SECTION})") };
        roff.text([bold(page), roman(end)]);
    }
    roff
}
