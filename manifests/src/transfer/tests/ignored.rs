//! What systemd warns of and goes on.

use super::*;

#[test]
fn ignores_invalid_values_as_systemd() {
    assert_eq!(
        warning("[Transfer]\nMinVersion=1 2\n"),
        "k.transfer:10:1: [Transfer] MinVersion=: character 2 of the version \"1 2\" is ' '; allowed are digits, \
         ASCII letters and . ~ ^ + _ , -, ignored"
    );
    assert_eq!(
        warning("[Transfer]\nProtectVersion=%B\n"),
        "k.transfer:10:1: [Transfer] ProtectVersion=: the version is empty, ignored"
    );
    assert_eq!(
        warning("[Transfer]\nVerify=maybe\n"),
        "k.transfer:10:1: [Transfer] Verify=: \"maybe\" is not a boolean, ignored"
    );
    assert_eq!(
        warning("[Transfer]\nChangeLog=nowhere\n"),
        "k.transfer:10:1: [Transfer] ChangeLog=: \"nowhere\" is not a valid URL, ignored"
    );
    assert_eq!(
        warning("[Transfer]\nFeatures='a\n"),
        "k.transfer:10:1: [Transfer] Features=: the ' is never closed, ignored"
    );
    assert_eq!(
        warning("InstancesMax=many\n"),
        "k.transfer:9:1: [Target] InstancesMax=: \"many\" is not a whole number, ignored"
    );
    assert_eq!(
        warning("Mode=rw\n"),
        "k.transfer:9:1: [Target] Mode=: \"rw\" is not an access mode in octal digits, ignored"
    );
    assert_eq!(warning("Mode=10000\n"), warning("Mode=rw\n").replace("rw", "10000"));
    assert_eq!(
        warning("CurrentSymlink=/a/../b\n"),
        "k.transfer:9:1: [Target] CurrentSymlink=: \"/a/../b\" is not a normalized path of a file, ignored"
    );
    assert_eq!(
        warning("CurrentSymlink=/%Z\n"),
        "k.transfer:9:1: [Target] CurrentSymlink=: unknown specifier %Z in \"/%Z\", ignored"
    );
    assert_eq!(
        warning("[X-Sysupdate]\nHealthTimeout=soon\n"),
        "k.transfer:10:1: [X-Sysupdate] HealthTimeout=: a number is missing in the time span \"soon\", ignored"
    );
    assert_eq!(
        warning("[X-Sysupdate]\nHealthTimeout=0\n"),
        "k.transfer:10:1: [X-Sysupdate] HealthTimeout=: a timeout of 0 is ignored"
    );
    assert_eq!(
        warning("[X-Sysupdate]\nHealthCheck=exec:/bin/grep a\\.b\n"),
        "k.transfer:10:1: [X-Sysupdate] HealthCheck=: unknown escape \"\\\\.\", left as it is"
    );
}

#[test]
fn an_ignored_value_keeps_the_previous_one() {
    let (transfer, _) = with("InstancesMax=7\nInstancesMax=many\n[Transfer]\nMinVersion=2\nMinVersion=/\n");
    assert_eq!(transfer.target.instances_max, 7);
    assert_eq!(transfer.min_version.unwrap().as_str(), "2");
    assert_eq!(with("InstancesMax=7\nInstancesMax=\n").0.target.instances_max, 3);
    assert_eq!(with("InstancesMax=0\n").0.target.instances_max, 3);
}

#[test]
fn warns_of_counters_without_a_wildcard() {
    assert_eq!(
        warning("TriesLeft=3\n"),
        "k.transfer:9:1: [Target] TriesLeft=: no effect, because the target's MatchPattern= does not use @l"
    );
    assert_eq!(
        warning("TriesDone=0\n"),
        "k.transfer:9:1: [Target] TriesDone=: no effect, because the target's MatchPattern= does not use @d"
    );
}

#[test]
fn warns_of_unknown_names_with_suggestions() {
    assert_eq!(
        warning("InstanceMax=3\n"),
        "k.transfer:9:1: [Target] InstanceMax=: unknown key, ignored (did you mean InstancesMax=?)"
    );
    assert_eq!(
        warning("Verify=no\n"),
        "k.transfer:9:1: [Target] Verify=: unknown key, ignored (did you mean the section [Transfer]?)"
    );
    assert_eq!(warning("Colour=red\n"), "k.transfer:9:1: [Target] Colour=: unknown key, ignored");
    assert_eq!(
        warning("[Transfers]\nMinVersion=1\n"),
        "k.transfer:9:1: unknown section [Transfers], ignored (did you mean [Transfer]?)"
    );
    assert_eq!(
        warning("[X-SysUpdate]\nHold=yes\n"),
        "k.transfer:9:1: unknown section [X-SysUpdate], ignored (did you mean [X-Sysupdate]?)"
    );
    assert_eq!(warning("nonsense\n"), "k.transfer:9:1: no '=' in \"nonsense\", line ignored");
}

#[test]
fn ignores_sections_and_keys_of_other_programs() {
    quiet("X-Note=1\n[X-Vendor]\nAnything=goes\n");
}
