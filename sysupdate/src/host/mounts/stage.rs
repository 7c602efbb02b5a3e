//! Assembling overlays in private, where the host itself can be their lowest layer.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, XattrFlags, open, openat};
use rustix::mount::{MountFlags, MoveMountFlags, mount, move_mount, open_tree};

use super::fd::{copy_flags, path_of};
use super::private::uncover;
use super::{Overlay, SYSEXT_MARKER, StageError, Staging};

/// The kernel reads one page of options, the final zero included.
const OPTIONS_MAX: usize = 4095;
/// The most layers that the kernel accepts in one overlay.
const LAYERS_MAX: usize = 500;
/// The source that systemd gives its overlays in the mount table.
const SOURCE: &str = "sysext";

/// Assembles in a private namespace, whose working directory is the calling thread's own.
pub(super) fn assemble(staging: Staging) -> Result<Vec<OwnedFd>, StageError> {
    let Staging { workspace, uncover: covered, layers, overlays } = staging;
    for path in &covered {
        uncover(path).map_err(|source| StageError::Uncover { path: path.clone(), source })?;
    }
    // Opened before the workspace covers anything
    let hosts = overlays.iter().map(|overlay| open_host(&overlay.path)).collect::<Result<Vec<_>, _>>()?;

    mount(SOURCE, &workspace, "tmpfs", MountFlags::empty(), c"mode=0700")
        .map_err(|errno| StageError::Workspace { path: workspace.clone(), source: errno.into() })?;
    std::env::set_current_dir(&workspace)
        .map_err(|source| StageError::Workspace { path: workspace.clone(), source })?;

    let mut directories = Vec::new();
    let short =
        layers.iter().map(|layer| layer.name.len() + 2 * EXTENSIONS.len()).sum::<usize>() > OPTIONS_MAX / 2;
    for (number, layer) in layers.iter().enumerate() {
        let directory =
            layer_directory(number, &layer.name, if short { LayerNaming::Number } else { LayerNaming::Name });
        let failed = |source| StageError::Workspace { path: workspace.join(&directory), source };
        make_directory(&directory, 0o700).map_err(failed)?;
        move_mount(&layer.mount, "", CWD, &directory, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .map_err(|errno| failed(errno.into()))?;
        directories.push(directory);
    }
    overlays.iter().zip(&hosts).map(|(overlay, host)| build(overlay, host, &directories)).collect()
}

/// The directory of layers, relative to the workspace: short, since the list of all layers must fit in one page.
const EXTENSIONS: &str = "extensions";

#[derive(Clone, Copy)]
enum LayerNaming {
    Name,
    Number,
}

/// The directory of a layer, without characters that separate or escape in a list of layers.
fn layer_directory(number: usize, name: &str, naming: LayerNaming) -> PathBuf {
    match naming {
        LayerNaming::Name if name.chars().all(is_plain) && !matches!(name, "" | "." | "..") => {
            Path::new(EXTENSIONS).join(name)
        }
        // A letter before the number: an extension may be called "7".
        _ => Path::new("x").join(number.to_string()),
    }
}

/// The path of the host layer if it needs no escaping, so that the mount table is readable; else its descriptor.
fn host_layer(path: &Path, host: &OwnedFd) -> PathBuf {
    let plain = path.to_str().is_some_and(|text| text.chars().all(|c| c == '/' || is_plain(c)));
    if plain { path.to_owned() } else { PathBuf::from(path_of(host)) }
}

/// Whether a character neither separates nor escapes in a list of layers.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._+~^-".contains(c)
}

fn open_host(path: &Path) -> Result<OwnedFd, StageError> {
    open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| StageError::Workspace { path: path.to_owned(), source: errno.into() })
}

fn build(overlay: &Overlay, host: &OwnedFd, directories: &[PathBuf]) -> Result<OwnedFd, StageError> {
    let meta = Path::new("meta").join(&overlay.inside);
    let target = Path::new("overlay").join(&overlay.inside);
    let workspace = |path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| StageError::Workspace { path, source }
    };
    write_meta(overlay, host, &meta, directories).map_err(workspace(&meta))?;
    make_directory(&target, 0o700).map_err(workspace(&target))?;

    // Topmost first.
    let mut lower = vec![meta.clone()];
    lower.extend(overlay.layers.iter().rev().map(|number| directories[*number].join(&overlay.inside)));
    let host_path = host_layer(&overlay.path, host);
    let host_entries = fs::read_dir(&host_path).map_err(workspace(&overlay.path))?.next();
    if host_entries.transpose().map_err(workspace(&overlay.path))?.is_some() {
        lower.push(host_path);
    }
    if lower.len() > LAYERS_MAX {
        return Err(StageError::TooMany { path: overlay.path.clone(), count: lower.len() });
    }
    let list: Vec<&[u8]> = lower.iter().map(|layer| layer.as_os_str().as_bytes()).collect();
    let options = [b"lowerdir=".as_slice(), &list.join(&b':')].concat();
    if options.len() > OPTIONS_MAX {
        return Err(StageError::TooMany { path: overlay.path.clone(), count: lower.len() });
    }
    let failed = |source: io::Error| StageError::Overlay { path: overlay.path.clone(), source };
    let options = CString::new(options).map_err(|error| failed(io::Error::other(error)))?;
    mount(SOURCE, &target, "overlay", MountFlags::RDONLY | MountFlags::NODEV, options.as_c_str())
        .map_err(|errno| failed(errno.into()))?;

    // The number is known only now. The overlay has not cached that the file is missing, since no program looked for it
    let device = fs::symlink_metadata(&target).map_err(failed)?.dev();
    let marker = meta.join(SYSEXT_MARKER);
    write(&marker.join("dev"), device_number(device).as_bytes()).map_err(workspace(&marker))?;

    let mounted = open(&target, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| failed(errno.into()))?;
    for submount in &overlay.submounts {
        let path = || overlay.path.join(&submount.inside);
        let failed = |errno: rustix::io::Errno| StageError::Submount { path: path(), source: errno.into() };
        let point = openat(
            &mounted,
            &submount.inside,
            OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(failed)?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        move_mount(&submount.mount, "", &point, "", flags).map_err(failed)?;
    }
    // A copy, because only a detached mount may be attached in another namespace
    open_tree(CWD, &target, copy_flags()).map_err(|errno| failed(errno.into()))
}

/// The topmost layer: the marker, and the permissions of the merged directory itself.
fn write_meta(overlay: &Overlay, host: &OwnedFd, meta: &Path, directories: &[PathBuf]) -> io::Result<()> {
    let marker = meta.join(SYSEXT_MARKER);
    make_directory(&marker, 0o755)?;
    fs::set_permissions(&marker, fs::Permissions::from_mode(0o755))?;
    let host_path = PathBuf::from(path_of(host));
    let found = fs::metadata(&host_path)?;
    chown(meta, Some(found.uid()), Some(found.gid()))?;
    fs::set_permissions(meta, fs::Permissions::from_mode(found.mode() & 0o7777))?;
    copy_label(&host_path, meta)?;
    copy_label(&host_path, &marker)?;

    // A copy of a merged tree contains an old marker, whose files must not appear in the new one
    let shipped = overlay.layers.iter().map(|number| directories[*number].join(&overlay.inside));
    let mut below = shipped.chain([host_path]).map(|layer| layer.join(SYSEXT_MARKER));
    if below.any(|stale| stale.symlink_metadata().is_ok()) {
        rustix::fs::setxattr(&marker, "trusted.overlay.opaque", b"y", XattrFlags::empty())?;
    }

    for (name, bytes) in &overlay.marker {
        write(&marker.join(name), bytes)?;
    }
    // Only a real block device: gpt-auto finds the disk of /usr by it
    if rustix::fs::major(found.dev()) != 0 {
        write(&marker.join("backing"), device_number(found.dev()).as_bytes())?;
    }
    Ok(())
}

/// Copies the security label, where labels are in use: services must be allowed to read the merged directory.
fn copy_label(from: &Path, to: &Path) -> io::Result<()> {
    const LABEL: &str = "security.selinux";
    let mut label = [0; 4096];
    match rustix::fs::getxattr(from, LABEL, label.as_mut_slice()) {
        Ok(length) => Ok(rustix::fs::setxattr(to, LABEL, &label[..length], XattrFlags::empty())?),
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn device_number(device: u64) -> String {
    format!("{}:{}\n", rustix::fs::major(device), rustix::fs::minor(device))
}

/// Writes a file that everyone can read, whatever the umask.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::write(path, bytes)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}

fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(mode).create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_named_for_its_extension_unless_the_list_of_layers_would_misread_it() {
        let name = |name| layer_directory(3, name, LayerNaming::Name);
        assert_eq!(name("kubernetes-v1.32"), Path::new("extensions/kubernetes-v1.32"));
        for odd in ["a:b", "a,b", "a\\b", "..", "a b"] {
            assert_eq!(name(odd), Path::new("x/3"), "{odd}");
        }
        assert_eq!(layer_directory(3, "a", LayerNaming::Number), Path::new("x/3"));
    }
}
