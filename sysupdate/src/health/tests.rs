use sysext_manifests::health::HealthCheck;

use super::*;
use crate::host::fake::FakeHost;

const CHECK: &str = "/usr/bin/check";

fn failed(how: &str, output: &str) -> Ending {
    Ending::Failed { how: how.to_owned(), output: output.to_owned() }
}

fn verdict(world: &FakeHost, checks: &[&str]) -> Verdict {
    let checks: Vec<HealthCheck> = checks.iter().map(|check| check.parse().unwrap()).collect();
    let checks: Vec<_> = checks.iter().map(|check| check.runnable().unwrap()).collect();
    let (version, previous) = ("2".parse().unwrap(), "1".parse().unwrap());
    let subject =
        Subject { root: Path::new("/root"), name: "x", version: &version, previous: Some(&previous) };
    check(&world.host(), &checks, subject, Duration::from_secs(3))
}

#[test]
fn a_version_is_healthy_once_every_check_passed() {
    let world = FakeHost::new();
    assert_eq!(verdict(&world, &[]), Verdict::Healthy);
    world.processes.answer(CHECK, failed("exit status 1", "not yet"));
    world.processes.answer(CHECK, Ending::Passed);
    world.processes.answer("/usr/bin/other", Ending::Passed);
    assert_eq!(verdict(&world, &["exec:/usr/bin/check --fast", "exec:/usr/bin/other"]), Verdict::Healthy);
    let runs = world.processes.runs();
    assert_eq!(runs.len(), 3, "the first check runs again, and then the second");
    assert_eq!(runs[0].argv, [CHECK, "--fast"]);
    assert_eq!(runs[0].root, Path::new("/root"));
    let variables = [("NAME", "x"), ("OLD_VERSION", "1"), ("VERSION", "2")];
    let variables = variables.map(|(name, value)| (format!("SYSUPDATE_{name}"), value.to_owned()));
    assert_eq!(runs[0].environment, variables.into());
    assert_eq!(world.clock.sleeps(), [PAUSE]);
}

#[test]
fn a_check_that_keeps_failing_is_reported_with_its_output() {
    let world = FakeHost::new();
    world.processes.answer(CHECK, failed("exit status 3", "no containers"));
    let Verdict::Unhealthy { output } = verdict(&world, &["exec:/usr/bin/check"]) else { panic!("healthy") };
    assert_eq!(output, "exec:/usr/bin/check failed for 3s: exit status 3: no containers");
    assert_eq!(world.clock.sleeps().len(), 3);
}

#[test]
fn a_check_that_cannot_start_fails_at_once() {
    let world = FakeHost::new();
    let Verdict::Unhealthy { output } = verdict(&world, &["exec:/usr/bin/check"]) else { panic!("healthy") };
    assert_eq!(output, "exec:/usr/bin/check cannot start: /usr/bin/check: not found");
    assert_eq!((world.processes.runs().len(), world.clock.sleeps().len()), (1, 0));
}

#[test]
fn a_check_that_lacks_a_program_fails_at_once() {
    for status in [126, 127] {
        let world = FakeHost::new();
        world.processes.answer(CHECK, failed(&format!("exit status {status}"), "curl: not found"));
        let Verdict::Unhealthy { output } = verdict(&world, &["exec:/usr/bin/check"]) else {
            panic!("healthy")
        };
        let expected = format!("exec:/usr/bin/check can never pass: exit status {status}: curl: not found");
        assert_eq!(output, expected);
        assert_eq!((world.processes.runs().len(), world.clock.sleeps().len()), (1, 0));
    }
}

#[test]
fn an_error_of_the_host_is_not_the_fault_of_the_version() {
    let error = || Ending::HostError { reason: "Resource temporarily unavailable".to_owned() };
    let world = FakeHost::new();
    world.processes.answer(CHECK, error());
    world.processes.answer(CHECK, Ending::Passed);
    assert_eq!(verdict(&world, &["exec:/usr/bin/check"]), Verdict::Healthy);
    let world = FakeHost::new();
    world.processes.answer(CHECK, error());
    let reason =
        "exec:/usr/bin/check could not be started for 3s: Resource temporarily unavailable".to_owned();
    assert_eq!(verdict(&world, &["exec:/usr/bin/check"]), Verdict::NotChecked { reason });
    let world = FakeHost::new();
    world.processes.answer(CHECK, error());
    world.processes.answer(CHECK, failed("exit status 1", "broken"));
    assert!(matches!(verdict(&world, &["exec:/usr/bin/check"]), Verdict::Unhealthy { .. }));
}
