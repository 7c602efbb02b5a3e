//! An image as a mount: erofs straight from the file where the kernel can, else through a loop device.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{self, FsMountFlags, FsOpenFlags, MountAttrFlags};
use sysext_image::Format;
use sysext_image::probe::{ImageKind, probe};

use crate::host::errno::{is_of_the_machine, may_be_of_the_machine};
use crate::host::sys::mount as sys;

/// The longest string that the kernel accepts as an option of a mount, in bytes.
const OPTION_MAX: usize = 255;
/// How often another process may take the free loop device before this one gives up.
const LOOP_ATTEMPTS: u32 = 64;

/// Why an image was not mounted.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum ImageError {
    #[error("cannot be read: {0}")]
    Read(#[source] io::Error),
    #[error("has a partition table")]
    Partitioned,
    #[error("is not an erofs or squashfs image")]
    Unknown,
    /// This machine could not mount anything now, which says nothing about the image.
    #[error("cannot be mounted now: {0}")]
    Host(#[source] io::Error),
    /// The image may be damaged, or a disk of this machine fails.
    #[error("cannot be mounted now: {0}")]
    NotNow(String),
    #[error("the kernel cannot mount it as {}: {message}", .format.name())]
    Mount { format: Format, message: String },
}

impl ImageError {
    /// The kernel refused to mount an image, for its own reason or for the machine's.
    pub(in crate::host) fn refused(format: Format, source: io::Error, message: String) -> Self {
        if is_of_the_machine(&source) {
            Self::Host(source)
        } else if may_be_of_the_machine(&source) {
            Self::NotNow(format!("{}: {message}", format.name()))
        } else {
            Self::Mount { format, message }
        }
    }

    /// An image could not be read, for its own reason or for the machine's.
    pub(crate) fn unreadable(source: io::Error) -> Self {
        if is_of_the_machine(&source) {
            Self::Host(source)
        } else if may_be_of_the_machine(&source) {
            Self::NotNow(source.to_string())
        } else {
            Self::Read(source)
        }
    }
}

/// Opens an image as a detached, read-only mount.
pub(super) fn open(image: &Path) -> Result<OwnedFd, ImageError> {
    let file = File::open(image).map_err(ImageError::unreadable)?;
    let format = match probe(&mut &file).map_err(|error| ImageError::unreadable(error.source))? {
        ImageKind::Filesystem(format) => format,
        ImageKind::Disk => return Err(ImageError::Partitioned),
        ImageKind::Unknown => return Err(ImageError::Unknown),
    };
    let failed = |(errno, message): (Errno, String)| ImageError::refused(format, errno.into(), message);
    if format == Format::Erofs {
        match mount_source(format, image) {
            // Before 6.12, or without CONFIG_EROFS_FS_BACKED_BY_FILE, erofs needs a block device
            Err((Errno::NOTBLK, _)) => {}
            result => return result.map_err(failed),
        }
    }
    let name = image.file_name().unwrap_or_default().to_string_lossy();
    let (device, path) = attach_loop(&file, &name).map_err(|error| {
        ImageError::Host(io::Error::new(error.kind(), format!("cannot get a loop device: {error}")))
    })?;
    let mounted = mount_source(format, Path::new(&path)).map_err(failed);
    // Until here the descriptor kept the device from being freed; now the mount does
    drop(device);
    mounted
}

fn mount_source(format: Format, source: &Path) -> Result<OwnedFd, (Errno, String)> {
    let plain = |errno: Errno| (errno, errno.to_string());
    let context = mount::fsopen(format.name(), FsOpenFlags::FSOPEN_CLOEXEC).map_err(plain)?;
    let said = |errno: Errno| (errno, explain(&context, errno));
    if source.as_os_str().len() <= OPTION_MAX {
        mount::fsconfig_set_string(&context, "source", source).map_err(said)?;
    } else {
        let held = File::open(source).map_err(|error| (Errno::IO, error.to_string()))?;
        mount::fsconfig_set_string(&context, "source", super::fd::path_of(&held)).map_err(said)?;
        return finish(&context).map_err(said);
    }
    finish(&context).map_err(said)
}

fn finish(context: &OwnedFd) -> Result<OwnedFd, Errno> {
    mount::fsconfig_set_flag(context, "ro")?;
    mount::fsconfig_create(context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NODEV;
    mount::fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// The messages of the kernel in the context, which explain more than the error number.
fn explain(context: &OwnedFd, errno: Errno) -> String {
    let mut messages = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = rustix::io::read(context, &mut buffer) {
        let text = String::from_utf8_lossy(&buffer[..length]);
        let text = text.trim_end();
        // "e ", "w " and "i " precede errors, warnings and information
        if let Some(error) = text.strip_prefix("e ") {
            messages.push(error.to_owned());
        }
    }
    if messages.is_empty() { errno.to_string() } else { format!("{errno}: {}", messages.join("; ")) }
}

/// Attaches a file to a free loop device. The device is freed when both the file descriptor that is
/// returned and every mount of it are gone.
fn attach_loop(file: &File, name: &str) -> io::Result<(File, String)> {
    let control = File::options().read(true).write(true).open("/dev/loop-control")?;
    let mut last = io::Error::from(Errno::BUSY);
    for _ in 0..LOOP_ATTEMPTS {
        let path = format!("/dev/loop{}", sys::free_loop_device(control.as_fd())?);
        let device = File::open(&path)?;
        match sys::configure_loop_device(device.as_fd(), file.as_fd(), name) {
            Ok(()) => return Ok((device, path)),
            Err(error) if error.raw_os_error() == Some(Errno::BUSY.raw_os_error()) => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_no_kernel_mounts_is_told_by_its_first_bytes() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("x.raw");
        let mut disk = vec![0; 8192];
        disk[512..520].copy_from_slice(b"EFI PART");
        std::fs::write(&path, disk).unwrap();
        assert!(matches!(open(&path), Err(ImageError::Partitioned)));
        for unknown in [&b""[..], b"hsq", &[0; 4096]] {
            std::fs::write(&path, unknown).unwrap();
            assert!(matches!(open(&path), Err(ImageError::Unknown)));
        }
    }
}
