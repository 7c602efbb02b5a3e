//! The harness itself, run as a stranger would run it: this program calls itself with fixtures that
//! misbehave and looks at what is reported.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tests::needs::{Need, Suite};

/// Selects the suite of fixtures; its value is a directory they may write to.
const FIXTURE: &str = "NEEDS_FIXTURE";

fn main() -> ExitCode {
    let mut suite = Suite::new();
    if let Some(directory) = std::env::var_os(FIXTURE) {
        fixtures(&mut suite, directory.into());
        return suite.run();
    }
    suite.trial("cli_missing_need_is_ignored_with_its_reason", &[], ignored_with_reason);
    suite.trial("cli_require_all_fails_with_the_reason", &[], required);
    suite.trial("cli_unknown_require_is_refused", &[], || {
        let seen = fixture("", "some")?;
        ensure!(!seen.success && seen.text.contains("REQUIRE=some is not known"), "{}", seen.text);
        Ok(())
    });
    suite.trial("cli_chain_of_errors_is_shown", &[], || {
        let seen = fixture("fault_fails", "")?;
        ensure!(!seen.success && seen.text.contains("upper") && seen.text.contains("lower"), "{}", seen.text);
        Ok(())
    });
    suite.trial("cli_programs_are_built_and_run", &[], || {
        for name in ["bakery", "sysupdate"] {
            let path = tests::programs::program(name)?;
            ensure!(path.is_absolute() && Command::new(&path).arg("--help").status()?.success(), "{path:?}");
        }
        ensure!(tests::programs::program("no-such-program").is_err());
        Ok(())
    });
    let isolation = [Need::Root, Need::PrivateMounts];
    suite.trial("kernel_isolated_mount_stays_inside", &isolation, mount_stays);
    suite.trial("kernel_isolated_failure_shows_output", &isolation, || {
        let seen = fixture("kernel_fails_isolated", "")?;
        ensure!(
            !seen.success && seen.text.contains("printed before") && seen.text.contains("lower"),
            "{}",
            seen.text
        );
        Ok(())
    });
    suite.trial("kernel_isolated_panic_is_a_failure", &isolation, || {
        let seen = fixture("kernel_panics", "")?;
        ensure!(!seen.success && seen.text.contains("a panic with words"), "{}", seen.text);
        Ok(())
    });
    suite.trial("kernel_limit_kills_all_descendants", &isolation, limit_kills);
    suite.run()
}

/// Runs wrongly on purpose; never listed in an ordinary run.
fn fixtures(suite: &mut Suite, directory: std::path::PathBuf) {
    suite.trial("peer_wants_a_tool", &[Need::Tool("no-such-tool")], || Ok(()));
    suite.trial("fault_fails", &[], || Err(anyhow::anyhow!("lower").context("upper")));
    suite.isolated("kernel_fails_isolated", &[], || {
        println!("printed before");
        bail!("lower")
    });
    suite.isolated("kernel_panics", &[], || panic!("a panic with words"));
    let mountpoint = directory.clone();
    suite.isolated("kernel_mounts", &[], move || {
        let none = None::<&str>;
        nix::mount::mount(Some("tmpfs"), &mountpoint, Some("tmpfs"), nix::mount::MsFlags::empty(), none)?;
        std::fs::write(mountpoint.join("inside"), "")?;
        let mounts = std::fs::read_to_string("/proc/self/mounts")?;
        ensure!(mounts.contains(mountpoint.to_str().context("path")?), "not mounted: {mounts}");
        Ok(())
    });
    suite.isolated_within(Duration::from_secs(1), "kernel_hangs", &[], move || {
        // A new session is outside the process group that the time limit kills.
        let beat = format!("while :; do date +%N >{}/beat; sleep 0.05; done", directory.display());
        let status = Command::new("setsid").args(["sh", "-c", &beat]).status()?;
        bail!("the loop ended: {status}")
    });
}

fn ignored_with_reason() -> Result<()> {
    let seen = fixture("peer_wants", "")?;
    ensure!(seen.success, "{}", seen.text);
    ensure!(seen.text.contains("peer_wants_a_tool [ignored: needs no-such-tool]"), "{}", seen.text);
    ensure!(seen.text.contains("0 passed; 0 failed; 1 ignored"), "{}", seen.text);
    Ok(())
}

fn required() -> Result<()> {
    let seen = fixture("peer_wants", "all")?;
    ensure!(!seen.success, "{}", seen.text);
    ensure!(seen.text.contains("needs no-such-tool") && seen.text.contains("1 failed"), "{}", seen.text);
    Ok(())
}

fn mount_stays() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let seen = fixture_in(directory.path(), "kernel_mounts", "all")?;
    ensure!(seen.success && seen.text.contains("1 passed"), "{}", seen.text);
    ensure!(!directory.path().join("inside").exists(), "the mount is seen outside");
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    ensure!(!mounts.contains(directory.path().to_str().context("path")?), "{mounts}");
    Ok(())
}

fn limit_kills() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let start = Instant::now();
    let seen = fixture_in(directory.path(), "kernel_hangs", "all")?;
    ensure!(!seen.success && seen.text.contains("killed after 1 s"), "{}", seen.text);
    ensure!(start.elapsed() < Duration::from_secs(30), "took {:?}", start.elapsed());
    let beat = directory.path().join("beat");
    let last = std::fs::read(&beat).context("the loop never ran")?;
    std::thread::sleep(Duration::from_millis(500));
    ensure!(std::fs::read(&beat)? == last, "the loop still runs");
    Ok(())
}

struct Seen {
    success: bool,
    text: String,
}

fn fixture(filter: &str, require: &str) -> Result<Seen> {
    fixture_in(Path::new("/nonexistent"), filter, require)
}

fn fixture_in(directory: &Path, filter: &str, require: &str) -> Result<Seen> {
    let mut command = Command::new(std::env::current_exe()?);
    let output = command.arg(filter).env(FIXTURE, directory).env("REQUIRE", require).output()?;
    let text = [output.stdout, output.stderr].concat();
    Ok(Seen { success: output.status.success(), text: String::from_utf8_lossy(&text).into_owned() })
}
