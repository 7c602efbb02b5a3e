//! Running a program of the host and waiting for its end.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};

use super::errno::prevents_any_program;

mod descendants;
mod interpreter;

use descendants::Descendants;

/// How much of the output of a program is kept, in bytes.
const OUTPUT_LIMIT: usize = 4096;

/// How often a running program is polled.
const POLL: Duration = Duration::from_millis(20);

/// The search path of a program, whose environment contains nothing else of ours.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program to run without a shell, in a clean environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The root it sees.
    pub root: PathBuf,
    /// The program, an absolute path below that root, and its arguments.
    pub argv: Vec<String>,
    /// Its environment, besides `PATH`.
    pub environment: BTreeMap<String, String>,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With status 0.
    Passed,
    /// With another status or by a signal.
    Failed {
        /// `exit status 1`, `signal 9`.
        how: String,
        /// The end of its output.
        output: String,
    },
    /// It exceeded its time limit and was killed with its process group.
    TimedOut {
        /// The end of its output.
        output: String,
    },
    /// This machine could not start it now, which says nothing about the program.
    HostError {
        /// The error.
        reason: String,
    },
    /// It could not be started.
    NotStarted {
        /// Why.
        reason: String,
    },
}

/// Runs programs.
pub trait Processes {
    /// Runs one to its end, or until the time is over. Then everything that it started is killed.
    fn run(&self, program: &Program, limit: Duration) -> Ending;
}

/// The real processes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spawner;

impl Processes for Spawner {
    fn run(&self, program: &Program, limit: Duration) -> Ending {
        let not_started = |reason: String| Ending::NotStarted { reason };
        let Some((path, arguments)) = program.argv.split_first() else {
            return not_started("the program has no name".to_owned());
        };
        let (reader, writer) = match std::io::pipe() {
            Ok(pipe) => pipe,
            Err(error) => return host_error(&error),
        };
        let output = match writer.try_clone() {
            Ok(output) => output,
            Err(error) => return host_error(&error),
        };
        // Opened here: another root may have no /dev
        let nothing = match File::open("/dev/null") {
            Ok(nothing) => nothing,
            Err(error) => return Ending::HostError { reason: format!("/dev/null: {error}") },
        };
        let mut command = Command::new(path);
        command.args(arguments).env_clear().env("PATH", SEARCH_PATH).envs(&program.environment);
        command.stdin(nothing).stdout(writer).stderr(output).current_dir("/").process_group(0);
        let tail = match collect(reader) {
            Ok(tail) => tail,
            Err(error) => return host_error(&error),
        };
        let descendants = Descendants::adopt();
        let child = match spawn(&mut command, &program.root) {
            Ok(child) => child,
            Err(error) if prevents_any_program(&error) => return host_error(&error),
            Err(error) => return not_started(explain(&program.root, path, &error)),
        };
        // Our ends of the pipe close with the command; the reader then ends when the last child does.
        drop(command);
        wait(child, limit, &tail, &descendants)
    }
}

fn host_error(error: &io::Error) -> Ending {
    Ending::HostError { reason: error.to_string() }
}

/// Why a program did not start. Where it exists, the kernel says "not found" of its interpreter.
fn explain(root: &Path, path: &str, error: &io::Error) -> String {
    let missing =
        (error.kind() == io::ErrorKind::NotFound).then(|| interpreter::missing(root, Path::new(path)));
    match missing.flatten() {
        Some(interpreter) => {
            format!("{path} needs the interpreter {}, which does not exist", interpreter.display())
        }
        None => format!("{path}: {error}"),
    }
}

/// Starts the command below a root: from a thread that changes the root for itself alone.
fn spawn(command: &mut Command, root: &Path) -> io::Result<Child> {
    if root == Path::new("/") {
        return command.spawn();
    }
    let confined = || {
        unshare(CloneFlags::CLONE_FS)?;
        rustix::process::chroot(root)?;
        command.spawn()
    };
    let failed = |_| Err(io::Error::other("the thread that starts it failed"));
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, confined)?;
        thread.join().unwrap_or_else(failed)
    })
}

fn wait(
    mut child: Child,
    limit: Duration,
    tail: &mpsc::Receiver<Vec<u8>>,
    descendants: &Descendants,
) -> Ending {
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => {
                descendants.end(&mut child);
                return match status.code() {
                    Some(0) => Ending::Passed,
                    Some(code) => Ending::Failed { how: format!("exit status {code}"), output: text(tail) },
                    None => Ending::Failed {
                        how: format!("signal {}", status.signal().unwrap_or_default()),
                        output: text(tail),
                    },
                };
            }
            Ok(None) if start.elapsed() < limit => std::thread::sleep(POLL),
            Ok(None) => {
                descendants.end(&mut child);
                return Ending::TimedOut { output: text(tail) };
            }
            Err(error) => {
                descendants.end(&mut child);
                return host_error(&error);
            }
        }
    }
}

/// Reads all output and keeps the end of it.
fn collect(mut reader: impl Read + Send + 'static) -> io::Result<mpsc::Receiver<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new().spawn(move || {
        let mut kept = Vec::new();
        let mut buffer = [0; OUTPUT_LIMIT];
        while let Ok(length @ 1..) = reader.read(&mut buffer) {
            kept.extend_from_slice(&buffer[..length]);
            let surplus = kept.len().saturating_sub(OUTPUT_LIMIT);
            kept.drain(..surplus);
        }
        // The receiver may be gone already
        let _unheard = sender.send(kept);
    })?;
    Ok(receiver)
}

/// The end of the output. A child that left the process group may keep the pipe open; this does not wait for it.
fn text(tail: &mpsc::Receiver<Vec<u8>>) -> String {
    let bytes = tail.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str, limit: Duration) -> Ending {
        let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        let environment = BTreeMap::from([("SYSUPDATE_NAME".to_owned(), "x".to_owned())]);
        Spawner.run(&Program { root: "/".into(), argv, environment }, limit)
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn the_environment_contains_only_the_given_variables_and_a_path() {
        assert_eq!(run("test \"$(env | grep -v ^PWD= | grep -v ^_= | wc -l)\" = 2", LONG), Ending::Passed);
        assert_eq!(run("test \"$SYSUPDATE_NAME\" = x", LONG), Ending::Passed);
    }

    #[test]
    fn a_failure_keeps_the_end_of_the_output() {
        let ending = run("seq 1 9999; echo last >&2; exit 3", LONG);
        let Ending::Failed { how, output } = ending else { panic!("{ending:?}") };
        assert_eq!(how, "exit status 3");
        assert!(output.ends_with("9999\nlast") && output.len() <= OUTPUT_LIMIT, "{output}");
    }

    #[test]
    fn a_program_that_exceeds_its_limit_is_killed_with_its_children() {
        let start = Instant::now();
        let ending = run("sleep 30 & echo waiting; wait", Duration::from_millis(300));
        assert_eq!(ending, Ending::TimedOut { output: "waiting".to_owned() });
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    /// Whether a process with this text in its command line is running.
    fn is_running(text: &str) -> bool {
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
        lines.into_iter().any(|line| String::from_utf8_lossy(&line).contains(text))
    }

    #[test]
    fn what_leaves_its_process_group_is_killed_too() {
        // Each sleeps for a time that no other test uses, so that it can be found
        for (script, sleep) in [
            ("exec setsid --fork --wait sleep 3011", "sleep\u{0}3011"),
            ("setsid sh -c '(setsid sleep 3012 &) ; sleep 3012'", "sleep\u{0}3012"),
            ("(setsid sh -c 'trap \"\" TERM; sleep 3013; sleep 3013' &); sleep 60", "sleep\u{0}3013"),
        ] {
            let start = Instant::now();
            let ending = run(script, Duration::from_millis(500));
            assert_eq!(ending, Ending::TimedOut { output: String::new() }, "{script}");
            assert!(start.elapsed() < Duration::from_secs(10), "{script}: {:?}", start.elapsed());
            assert!(!is_running(sleep), "{script}");
        }
    }

    /// The program that the next test runs. It joins the group of its child, so that its own group is empty.
    #[test]
    fn leaves_its_group() {
        if std::env::var("SYSUPDATE_NAME").is_ok_and(|name| name == "leaves-its-group") {
            let child = Command::new("/bin/sleep").arg("3014").process_group(0).spawn().unwrap();
            let group = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
            nix::unistd::setpgid(nix::unistd::Pid::from_raw(0), group).unwrap();
            // The other test kills both long before
            let _output = child.wait_with_output();
        }
    }

    #[test]
    fn the_program_itself_is_killed_in_another_group() {
        let this = std::env::current_exe().unwrap().display().to_string();
        let name = "host::processes::tests::leaves_its_group";
        let argv = vec![this, "--exact".to_owned(), name.to_owned()];
        let environment = BTreeMap::from([("SYSUPDATE_NAME".to_owned(), "leaves-its-group".to_owned())]);
        let start = Instant::now();
        let ending = Spawner.run(&Program { root: "/".into(), argv, environment }, Duration::from_secs(2));
        assert!(matches!(ending, Ending::TimedOut { .. }), "{ending:?}");
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        assert!(!is_running(&format!("--exact\u{0}{name}")) && !is_running("sleep\u{0}3014"));
    }

    #[test]
    fn what_stays_behind_after_a_success_is_killed() {
        assert_eq!(run("setsid sleep 3015 >/dev/null 2>&1 & exit 0", LONG), Ending::Passed);
        assert!(!is_running("sleep\u{0}3015"));
    }

    #[test]
    fn a_missing_interpreter_is_named() {
        use std::os::unix::fs::OpenOptionsExt as _;

        let scratch = tempfile::tempdir().unwrap();
        let script = scratch.path().join("script");
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o755).open(&script).unwrap();
        std::io::Write::write_all(&mut file, b"#!/nonexistent/sh\n").unwrap();
        drop(file);
        let argv = vec![script.display().to_string()];
        let program = Program { root: "/".into(), argv, environment: BTreeMap::new() };
        let reason =
            format!("{} needs the interpreter /nonexistent/sh, which does not exist", script.display());
        // Another test may have forked while the script was open for writing; its child closes it soon
        let busy =
            |ending: &Ending| matches!(ending, Ending::HostError { reason } if reason.contains("busy"));
        let ending = std::iter::repeat_with(|| Spawner.run(&program, LONG)).find(|ending| !busy(ending));
        assert_eq!(ending, Some(Ending::NotStarted { reason }));
    }

    #[test]
    fn a_program_that_cannot_start_is_reported_with_the_reason() {
        let program = Program {
            root: "/".into(),
            argv: vec!["/nonexistent/check".to_owned()],
            environment: BTreeMap::new(),
        };
        let ending = Spawner.run(&program, LONG);
        assert!(
            matches!(&ending, Ending::NotStarted { reason } if reason.starts_with("/nonexistent/check: ")),
            "{ending:?}"
        );
    }
}
