//! What conditions may ask about this host, as far as it can be read from files.

use std::path::Path;

use sysext_manifests::condition::Facts;
use sysext_manifests::os_release::OsRelease;
use sysext_manifests::specifier::Identity;

use crate::host::store::Store;
use crate::paths::Paths;

/// More than any of these files has, in bytes.
const SIZE_LIMIT: u64 = 1 << 20;

/// Gathers what is known. What cannot be read is not known, and conditions say so; what the system runs in
/// would have to be asked of the processor, and is not looked up.
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

/// The names of the system's credentials; PID 1 puts them there.
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
    Some(found)
}

/// `TAGS=` of machine-info, which is written like os-release; without the file there are none.
fn tags(store: &dyn Store, paths: &Paths) -> Option<Vec<String>> {
    let bytes = store.read(&paths.root.join("etc/machine-info"), SIZE_LIMIT).ok()?;
    let text = String::from_utf8(bytes.unwrap_or_default()).ok()?;
    let (info, _) = OsRelease::parse(&text).ok()?;
    let tags = info.get("TAGS").unwrap_or_default();
    Some(tags.split([':', ' ']).filter(|tag| !tag.is_empty()).map(str::to_owned).collect())
}
