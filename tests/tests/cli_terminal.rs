//! What the programs do on a terminal: passwords stay invisible, and colours follow the environment.

use std::io::{Read as _, Write as _};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, ensure};
use tests::needs::{Need, Suite};
use tests::programs::program;

fn main() -> ExitCode {
    let mut suite = Suite::new();
    let terminal = [Need::Tool("script")];
    suite.trial("cli_password_is_not_shown_on_a_terminal", &terminal, password);
    suite.trial("cli_colors_follow_the_environment", &[], colors);
    suite.run()
}

fn password() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let command = format!("{} key key", program("bakery")?.display());
    let mut script = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .current_dir(directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = script.stdin.take().context("a pipe")?;
    let mut output = script.stdout.take().context("a pipe")?;
    let mut shown = String::new();
    for question in ["Password for the new keys: ", "Again: "] {
        // What is typed before the question would be shown by the terminal itself.
        while !shown.ends_with(question) {
            let mut byte = [0];
            ensure!(output.read(&mut byte)? == 1, "the program ended: {shown}");
            shown.push(byte[0].into());
        }
        input.write_all(b"open sesame\n")?;
    }
    output.read_to_string(&mut shown)?;
    ensure!(script.wait()?.success(), "{shown}");
    ensure!(!shown.contains("sesame"), "the password was shown: {shown}");
    let key = std::fs::read_to_string(directory.path().join("key.key"))?;
    ensure!(!key.contains("sesame") && key.lines().count() == 2, "{key}");
    // It is encrypted: without a terminal nobody can be asked.
    let sign = Command::new(program("bakery")?)
        .args(["root", "sign", "roots.json", "--key", "key.key"])
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .output()?;
    ensure!(!sign.status.success(), "{sign:?}");
    Ok(())
}

fn colors() -> Result<()> {
    let error = |variables: &[(&str, &str)]| -> Result<String> {
        let mut command = Command::new(program("sysupdate")?);
        command.args(["--root=/nonexistent", "list"]).env_clear().envs(variables.iter().copied());
        Ok(String::from_utf8(command.output()?.stderr)?)
    };
    let plain = "error: --root=/nonexistent: no such directory\n";
    for variables in
        [&[][..], &[("SYSTEMD_COLORS", "no")], &[("SYSTEMD_COLORS", "auto-16")], &[("NO_COLOR", "1")]]
    {
        let found = error(variables)?;
        ensure!(found == plain, "{variables:?}: {found:?}");
    }
    for value in ["yes", "256"] {
        let found = error(&[("SYSTEMD_COLORS", value)])?;
        ensure!(
            found.starts_with("\x1b[") && found.ends_with(" --root=/nonexistent: no such directory\n"),
            "{found:?}"
        );
    }
    Ok(())
}
