//! The manual pages and shell completions that are generated from the command lines.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use tests::manuals;
use tests::needs::{Need, Suite};

fn main() -> ExitCode {
    let mut suite = Suite::new();
    suite.trial("cli_every_verb_has_a_manual_page", &[], pages);
    suite.trial("cli_bash_completes_verbs_and_options", &[Need::Tool("bash")], bash);
    suite.run()
}

fn pages() -> Result<()> {
    let generated = manuals::generate()?;
    let pages: BTreeSet<_> = generated.iter().map(|file| file.path.display().to_string()).collect();
    for command in manuals::commands() {
        let program = command.get_name().to_owned();
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let page = format!("man/man1/{program}-{}.1", verb.get_name());
            ensure!(pages.contains(&page), "{page} is missing");
        }
    }
    ensure!(pages.contains("man/man1/sysupdate-trust-reset.1"), "{pages:?}");
    ensure!(pages.len() == generated.len(), "a file is generated twice");
    for file in generated.iter().filter(|file| file.path.starts_with("man")) {
        let place = file.path.display();
        for section in [".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION", ".SH OPTIONS", ".SH \"SEE ALSO\""] {
            ensure!(file.text.contains(section), "{place} has no {section}:\n{}", file.text);
        }
        ensure!(!file.text.contains('\x1b'), "{place} has escape sequences");
        ensure!(
            !file.path.starts_with("man/man1/sysupdate") || file.text.contains(".SH \"EXIT STATUS\""),
            "{place}"
        );
    }
    Ok(())
}

fn bash() -> Result<()> {
    let directory = tempfile::tempdir()?;
    manuals::write(directory.path())?;
    let completed = |program: &str, word: &str| -> Result<String> {
        let script = directory.path().join("completions").join(program);
        let script = format!(
            "source {} && COMP_WORDS=({program} {word}) COMP_CWORD=1 && _{program} {program} {word} {program} && \
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            script.display()
        );
        let output = Command::new("bash").args(["--norc", "-c", &script]).output().context("bash")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    };
    ensure!(completed("sysupdate", "upd")? == "update\n");
    ensure!(completed("sysupdate", "--compo")? == "--component\n--component-all\n--component-suggested\n");
    ensure!(completed("bakery", "publ")? == "publish\n");
    for name in ["sysupdate.fish", "_sysupdate", "bakery.fish", "_bakery"] {
        let path = directory.path().join("completions").join(name);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        ensure!(text.contains("json"), "{name}");
    }
    Ok(())
}
