//! The facts about this host that conditions test, as far as they can be read from files.

use std::path::Path;

use sysext_manifests::condition::Facts;
use sysext_manifests::os_release::OsRelease;
use sysext_manifests::specifier::Identity;

use crate::host::store::Store;
use crate::paths::Paths;

/// The largest of these files that is read, in bytes.
const SIZE_LIMIT: u64 = 1 << 20;

/// Gathers the facts. One that cannot be read is unknown, and conditions report that. Virtualization is unknown:
/// detecting it needs instructions of the processor.
pub fn gather(store: &dyn Store, paths: &Paths, identity: &Identity) -> Facts {
    let exists = |path: &str| {
        let path = Path::new(path);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let entries = store.list(path.parent().unwrap_or(path)).ok()?;
        Some(entries.iter().any(|entry| entry.name == name))
    };
    let present = |candidates: &[(&str, &str)]| {
        let mut found = Vec::new();
        for (name, path) in candidates {
            if exists(path)? {
                found.push((*name).to_owned());
            }
        }
        Some(found)
    };
    Facts {
        architecture: identity.architecture,
        firmware: present(&[("uefi", "/sys/firmware/efi"), ("device-tree", "/sys/firmware/devicetree")]),
        virtualization: None,
        hostname: identity.hostname.clone(),
        machine_id: identity.machine_id.clone(),
        command_line: text(store, Path::new("/proc/cmdline")),
        kernel: identity.kernel_release.clone(),
        credentials: credentials(store),
        security: security(
            store,
            present(&[
                ("selinux", "/sys/fs/selinux/enforce"),
                ("smack", "/sys/fs/smackfs/load2"),
                ("ima", "/sys/kernel/security/ima"),
                ("tomoyo", "/sys/kernel/security/tomoyo"),
            ]),
        ),
        os_release: identity.os_release.clone(),
        tags: tags(store, paths),
    }
}

fn text(store: &dyn Store, path: &Path) -> Option<String> {
    let bytes = store.read(path, SIZE_LIMIT).ok()??;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The names of the system's credentials, which PID 1 stores in these directories.
fn credentials(store: &dyn Store) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for directory in ["/run/credentials/@system", "/run/credentials/@encrypted"] {
        names.extend(store.list(Path::new(directory)).ok()?.into_iter().map(|entry| entry.name));
    }
    Some(names)
}

fn security(store: &dyn Store, found: Option<Vec<String>>) -> Option<Vec<String>> {
    let mut found = found?;
    let apparmor = text(store, Path::new("/sys/module/apparmor/parameters/enabled"));
    if apparmor.is_some_and(|text| text.starts_with('Y')) {
        found.push("apparmor".to_owned());
    }
    if is_secure_boot(store) {
        found.push("uefi-secureboot".to_owned());
    }
    if has_tpm2(store) {
        found.push("tpm2".to_owned());
    }
    Some(found)
}

/// Whether secure boot is enabled: an EFI variable of four bytes of attributes and one of value. Without the variable
/// it is not, as in systemd.
fn is_secure_boot(store: &dyn Store) -> bool {
    let path = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
    let variable = store.read(Path::new(path), SIZE_LIMIT).ok().flatten();
    matches!(variable.as_deref(), Some([_, _, _, _, 1]))
}

/// Whether the kernel supports a TPM 2 and the EFI firmware reports one, whether or not its driver is loaded yet.
fn has_tpm2(store: &dyn Store) -> bool {
    let has = |directory: &str, name: &str| {
        let entries = store.list(Path::new(directory)).unwrap_or_default();
        entries.iter().any(|entry| entry.name == name)
    };
    has("/sys/class", "tpmrm")
        && has("/sys/firmware", "efi")
        && (has("/sys/firmware/acpi/tables", "TPM2")
            || has("/sys/kernel/security/tpm0", "binary_bios_measurements"))
}

/// `TAGS=` of machine-info, which has the format of os-release; empty without the file.
fn tags(store: &dyn Store, paths: &Paths) -> Option<Vec<String>> {
    let bytes = store.read(&paths.root.join("etc/machine-info"), SIZE_LIMIT).ok()?;
    let text = String::from_utf8(bytes.unwrap_or_default()).ok()?;
    let (info, _) = OsRelease::parse(&text).ok()?;
    let tags = info.get("TAGS").unwrap_or_default();
    Some(tags.split([':', ' ']).filter(|tag| !tag.is_empty()).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeStore;

    #[test]
    fn secure_boot_is_what_its_variable_says() {
        let path = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
        for (bytes, expected) in [(&[6, 0, 0, 0, 1][..], true), (&[6, 0, 0, 0, 0], false), (&[1], false)] {
            let store = FakeStore::default();
            assert!(!is_secure_boot(&store));
            store.put(path, bytes);
            assert_eq!(is_secure_boot(&store), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_tpm_needs_the_kernel_and_the_firmware() {
        let parts = ["/sys/class/tpmrm/tpmrm0", "/sys/firmware/efi/x", "/sys/firmware/acpi/tables/TPM2"];
        for missing in 0..=parts.len() {
            let store = FakeStore::default();
            for (number, part) in parts.iter().enumerate() {
                if number != missing {
                    store.put(part, b"");
                }
            }
            assert_eq!(has_tpm2(&store), missing == parts.len(), "without {missing}");
        }
    }
}
