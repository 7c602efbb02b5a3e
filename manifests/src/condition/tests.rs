use super::*;

fn facts() -> Facts {
    Facts {
        architecture: Architecture::X86_64,
        firmware: Some(vec!["uefi".to_owned()]),
        virtualization: Some(Virtualization::Machine("kvm".to_owned())),
        hostname: "Node7.example.org".to_owned(),
        machine_id: Some("0123456789abcdef0123456789abcdef".to_owned()),
        command_line: Some("BOOT_IMAGE=/a quiet flatcar.x=1 name=\"a b\"".to_owned()),
        kernel: "6.18.2-flatcar".to_owned(),
        credentials: Some(vec!["join.token".to_owned()]),
        security: Some(vec!["apparmor".to_owned()]),
        os_release: [("ID", "flatcar"), ("VERSION_ID", "4081.2.0"), ("PRETTY", "a b")].into_iter().collect(),
        tags: Some(vec!["role=worker".to_owned(), "edge".to_owned()]),
    }
}

#[test]
fn every_subject_is_tested_against_the_facts() {
    use Subject::*;
    let table = [
        (Architecture, "x86-64", true),
        (Architecture, "arm64", false),
        (Architecture, "nonsense", false),
        (Architecture, "!nonsense", true),
        (Architecture, "native", true),
        (Architecture, "!arm64", true),
        (Firmware, "uefi", true),
        (Firmware, "device-tree", false),
        (Virtualization, "yes", true),
        (Virtualization, "no", false),
        (Virtualization, "vm", true),
        (Virtualization, "container", false),
        (Virtualization, "!container", true),
        (Virtualization, "kvm", true),
        (Host, "node*.EXAMPLE.org", true),
        (Host, "node8*", false),
        (Host, "01234567-89ab-cdef-0123-456789abcdef", true),
        (Host, "11234567-89ab-cdef-0123-456789abcdef", false),
        (Fraction, "0%", false),
        (Fraction, "wave 100%", true),
        (Fraction, "! 100%", false),
        (KernelCommandLine, "quiet", true),
        (KernelCommandLine, "qui", false),
        (KernelCommandLine, "flatcar.x", true),
        (KernelCommandLine, "flatcar.x=1", true),
        (KernelCommandLine, "flatcar.x=", false),
        (KernelCommandLine, "name=a b", true),
        (Version, ">=6.5", true),
        (Version, "kernel >= 6.5 <7", true),
        (Version, "\">= 6.5\" \"< 7\"", true),
        (Version, "<6.18", false),
        (Version, "6.18.*", true),
        (Version, "!$=6.18.*", false),
        (Credential, "join.token", true),
        (Credential, "other", false),
        (Security, "apparmor", true),
        (Security, "selinux", false),
        (OsRelease, "ID=flatcar", true),
        (OsRelease, "ID=flatcar VERSION_ID>=4000", true),
        (OsRelease, "ID!=flatcar", false),
        (OsRelease, "VERSION_ID==4081.2.0", true),
        (OsRelease, "VERSION_ID<>4081.2.0", false),
        (OsRelease, "ID$=flat*", true),
        (OsRelease, "\"PRETTY=a b\"", true),
        (OsRelease, "VARIANT=", true),
        (MachineTag, "edge", true),
        (MachineTag, "role=*", true),
        (MachineTag, "role=control", false),
    ];
    for (subject, text, expected) in table {
        assert_eq!(Condition::parse(subject, text).holds(&facts()), Ok(expected), "{subject} {text}");
    }
}

#[test]
fn rejects_invalid_conditions_and_unknown_facts() {
    use Subject::*;
    let malformed = [
        (Firmware, "bios"),
        (Fraction, "ten"),
        (Fraction, "a b 10%"),
        (Fraction, ""),
        (Version, ">="),
        (Version, ">= 4 < 9"),
        (Version, "kernel"),
        (Credential, "../x"),
        (OsRelease, "ID"),
        (OsRelease, "=x"),
        (OsRelease, ""),
    ];
    for (subject, text) in malformed {
        let error = Condition::parse(subject, text).holds(&facts()).unwrap_err();
        assert!(matches!(error, ConditionError::Malformed { .. }), "{error}");
    }
    let error = Condition::parse(Fraction, "ten").holds(&facts()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Fraction condition \"ten\" is invalid; expected a share such as 10%, optionally after a tag"
    );
    let blind = Facts {
        firmware: None,
        virtualization: None,
        machine_id: None,
        command_line: None,
        credentials: None,
        security: None,
        tags: None,
        ..facts()
    };
    let unknown = [
        (Firmware, "uefi"),
        (Firmware, "smbios-field(a=b)"),
        (Virtualization, "!vm"),
        (Host, "0123456789abcdef0123456789abcdef"),
        (Fraction, "50%"),
        (KernelCommandLine, "quiet"),
        (Version, "systemd >=257"),
        (Credential, "x"),
        (Security, "tpm2"),
        (MachineTag, "*"),
    ];
    for (subject, text) in unknown {
        let error = Condition::parse(subject, text).holds(&blind).unwrap_err();
        assert!(matches!(error, ConditionError::Unknown { .. }), "{error}");
    }
}

#[test]
fn combines_conditions_as_units_do() {
    let table: [(&[&str], bool); 9] = [
        (&[], true),
        (&["yes"], true),
        (&["yes", "no"], false),
        (&["|yes", "|no"], true),
        (&["|no", "|no"], false),
        (&["yes", "|no"], false),
        (&["yes", "|no", "|yes"], true),
        (&["no", "|yes"], false),
        (&["| ! no"], true),
    ];
    for (list, expected) in table {
        let list: Vec<_> = list.iter().map(|text| Condition::parse(Subject::Virtualization, text)).collect();
        assert_eq!(hold(&list, &facts()), Ok(expected), "{list:?}");
    }
}

#[test]
fn a_written_condition_reads_back() {
    for text in ["a", "|a", "!a", "|!a b"] {
        let condition = Condition::parse(Subject::Host, text);
        assert_eq!(condition.to_string(), text);
        assert_eq!(Condition::parse(Subject::Host, &condition.to_string()), condition);
    }
}

#[test]
fn does_not_call_undetectable_technologies_absent() {
    for name in ["audit", "cvm", "measured-os", "measured-uki"] {
        let error = Condition::parse(Subject::Security, name).holds(&facts()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "Security condition {name:?}: whether this security technology is active cannot be determined on this host"
            )
        );
    }
    // A name that systemd does not know either is no technology, and systemd says so, too
    assert_eq!(Condition::parse(Subject::Security, "hopes").holds(&facts()), Ok(false));
}
