//! The test harness itself. This program runs itself with fixtures that misbehave, and checks what the
//! harness reports.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tests::needs::{self, Need, Suite};

/// Selects the suite of fixtures. Its value is a directory that they may write to.
const FIXTURE: &str = "NEEDS_FIXTURE";

fn main() -> ExitCode {
    let mut suite = Suite::new();
    if let Some(directory) = std::env::var_os(FIXTURE) {
        fixtures(&mut suite, directory.into());
        return suite.run();
    }
    suite.trial("cli_ignores_a_trial_with_a_missing_need_and_shows_the_reason", &[], ignored_with_reason);
    suite.trial("cli_require_all_fails_and_shows_the_reason", &[], required);
    suite.trial("cli_rejects_an_unknown_require", &[], || {
        let seen = fixture("", "some")?;
        ensure!(!seen.success && seen.text.contains("unknown value REQUIRE=some"), "{}", seen.text);
        Ok(())
    });
    suite.trial("cli_shows_the_chain_of_errors", &[], || {
        let seen = fixture("fault_fails", "")?;
        ensure!(!seen.success && seen.text.contains("upper") && seen.text.contains("lower"), "{}", seen.text);
        Ok(())
    });
    suite.trial("cli_builds_and_runs_the_programs", &[], || {
        for name in ["bakery", "sysupdate"] {
            let path = tests::programs::program(name)?;
            ensure!(path.is_absolute() && Command::new(&path).arg("--help").status()?.success(), "{path:?}");
        }
        ensure!(tests::programs::program("no-such-program").is_err());
        Ok(())
    });
    suite.trial("cli_records_the_duration_of_each_trial", &[], records_durations);
    let isolation = [Need::Root, Need::PrivateMounts];
    suite.trial("kernel_isolated_mount_is_invisible_outside", &isolation, mount_stays);
    suite.trial("kernel_isolated_failure_shows_its_output", &isolation, || {
        let seen = fixture("kernel_fails_isolated", "")?;
        ensure!(
            !seen.success && seen.text.contains("printed before") && seen.text.contains("lower"),
            "{}",
            seen.text
        );
        Ok(())
    });
    suite.trial("kernel_isolated_panic_is_reported_as_failure", &isolation, || {
        let seen = fixture("kernel_panics", "")?;
        ensure!(!seen.success && seen.text.contains("a panic with words"), "{}", seen.text);
        Ok(())
    });
    suite.trial("kernel_time_limit_kills_all_descendants", &isolation, limit_kills);
    suite.run()
}

/// Trials that fail on purpose. An ordinary run does not list them.
fn fixtures(suite: &mut Suite, directory: std::path::PathBuf) {
    suite.trial("peer_wants_a_tool", &[Need::Tool("no-such-tool")], || Ok(()));
    suite.trial("fault_passes", &[], || Ok(()));
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

fn records_durations() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let times = directory.path().join("times");
    let run = |filter: &str| {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(filter).env(FIXTURE, directory.path()).env("REQUIRE", "").env(needs::TIMES, &times);
        Ok::<_, anyhow::Error>(command.output()?)
    };
    run("fault_fails")?;
    run("fault_fails")?;
    let text = std::fs::read_to_string(&times)?;
    ensure!(text.lines().count() == 2, "{text}");
    for line in text.lines() {
        let (seconds, name) = line.split_once('\t').context("a line without a tab")?;
        ensure!(name == "fault_fails" && (0.0..30.0).contains(&seconds.parse::<f64>()?), "{line}");
    }
    // A duration that cannot be recorded must not get lost.
    std::fs::remove_file(&times)?;
    std::fs::create_dir(&times)?;
    let text = String::from_utf8_lossy(&run("fault_passes")?.stdout).into_owned();
    ensure!(text.contains("cannot write TRIAL_TIMES: Is a directory"), "{text}");
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
    command.arg(filter).env(FIXTURE, directory).env("REQUIRE", require).env_remove(needs::TIMES);
    let output = command.output()?;
    let text = [output.stdout, output.stderr].concat();
    Ok(Seen { success: output.status.success(), text: String::from_utf8_lossy(&text).into_owned() })
}
