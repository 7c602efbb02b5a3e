//! An image as a mount: erofs straight from the file where the kernel can, else through a loop device.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{self, FsMountFlags, FsOpenFlags, MountAttrFlags};
use serde::{Deserialize, Serialize};

use crate::host::sys::mount as sys;

/// How much of an image tells what it is: a partition table of 4096-byte sectors needs the most.
const HEAD: usize = 4096 + 8;
/// The kernel takes no longer strings as an option of a mount.
const OPTION_MAX: usize = 255;
/// How often a free loop device may be snatched by another process before we give up.
const LOOP_ATTEMPTS: u32 = 64;

/// The file systems that are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filesystem {
    /// erofs.
    Erofs,
    /// squashfs.
    Squashfs,
}

impl Filesystem {
    /// As the kernel calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Erofs => "erofs",
            Self::Squashfs => "squashfs",
        }
    }
}

/// Why an image was not mounted.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[source] io::Error),
    /// It has partitions.
    #[error("has a partition table")]
    Partitioned,
    /// Its first bytes are of no file system that is merged.
    #[error("is neither erofs nor squashfs")]
    Unknown,
    /// This machine could not mount anything now; nothing is said about the image.
    #[error("cannot be mounted now: {0}")]
    Host(#[source] io::Error),
    /// The kernel refused it.
    #[error("the kernel does not mount it as {}: {message}", .filesystem.name())]
    Mount {
        /// What it says it is.
        filesystem: Filesystem,
        /// What the kernel said.
        message: String,
    },
}

/// What an image is, from its first bytes.
pub fn identify(head: &[u8]) -> Result<Filesystem, ImageError> {
    let at = |offset: usize, magic: &[u8]| head.get(offset..offset + magic.len()) == Some(magic);
    if at(512, b"EFI PART") || at(4096, b"EFI PART") {
        Err(ImageError::Partitioned)
    } else if at(1024, &0xE0F5_E1E2_u32.to_le_bytes()) {
        Ok(Filesystem::Erofs)
    } else if at(0, b"hsqs") {
        Ok(Filesystem::Squashfs)
    } else {
        Err(ImageError::Unknown)
    }
}

/// Opens an image as a detached, read-only mount.
pub(super) fn open(image: &Path) -> Result<OwnedFd, ImageError> {
    let file = File::open(image).map_err(ImageError::Read)?;
    let mut head = Vec::with_capacity(HEAD);
    (&file).take(HEAD as u64).read_to_end(&mut head).map_err(ImageError::Read)?;
    let filesystem = identify(&head)?;
    let failed = |(errno, message): (Errno, String)| {
        if is_of_the_host(errno) {
            ImageError::Host(errno.into())
        } else {
            ImageError::Mount { filesystem, message }
        }
    };
    if filesystem == Filesystem::Erofs {
        match mount_source(filesystem, image) {
            // Before 6.12, or where that is configured away, erofs wants a block device.
            Err((Errno::NOTBLK, _)) => {}
            result => return result.map_err(failed),
        }
    }
    let name = image.file_name().unwrap_or_default().to_string_lossy();
    let (device, path) = attach_loop(&file, &name).map_err(|error| {
        ImageError::Host(io::Error::new(error.kind(), format!("no loop device: {error}")))
    })?;
    let mounted = mount_source(filesystem, Path::new(&path)).map_err(failed);
    // Until here it kept the device from being freed; from here on the mount does.
    drop(device);
    mounted
}

/// Whether an error says more about this process, or this moment, than about the image.
fn is_of_the_host(errno: Errno) -> bool {
    matches!(errno, Errno::PERM | Errno::ACCESS | Errno::NOMEM | Errno::MFILE | Errno::NFILE | Errno::AGAIN)
}

fn mount_source(filesystem: Filesystem, source: &Path) -> Result<OwnedFd, (Errno, String)> {
    let plain = |errno: Errno| (errno, errno.to_string());
    let context = mount::fsopen(filesystem.name(), FsOpenFlags::FSOPEN_CLOEXEC).map_err(plain)?;
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

/// What the kernel wrote into the context: far more than the number of the error.
fn explain(context: &OwnedFd, errno: Errno) -> String {
    let mut messages = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = rustix::io::read(context, &mut buffer) {
        let text = String::from_utf8_lossy(&buffer[..length]);
        let text = text.trim_end();
        // "e ", "w " and "i " stand before errors, warnings and information.
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
    fn a_lack_of_privilege_or_memory_is_not_the_images_fault() {
        assert!([Errno::PERM, Errno::NOMEM, Errno::MFILE].into_iter().all(is_of_the_host));
        assert!(![Errno::INVAL, Errno::IO, Errno::UCLEAN, Errno::NODEV].into_iter().any(is_of_the_host));
    }

    fn head_with(offset: usize, magic: &[u8]) -> Vec<u8> {
        let mut head = vec![0; HEAD];
        head[offset..offset + magic.len()].copy_from_slice(magic);
        head
    }

    #[test]
    fn first_bytes_tell_what_an_image_is() {
        let erofs = head_with(1024, &[0xe2, 0xe1, 0xf5, 0xe0]);
        assert_eq!(identify(&erofs).unwrap(), Filesystem::Erofs);
        assert_eq!(identify(&head_with(0, b"hsqs")).unwrap(), Filesystem::Squashfs);
        for sector in [512, 4096] {
            assert!(matches!(identify(&head_with(sector, b"EFI PART")), Err(ImageError::Partitioned)));
        }
        for unknown in [&[] as &[u8], b"hsq", &erofs[..1027], &head_with(1080, &[0x53, 0xef])] {
            assert!(matches!(identify(unknown), Err(ImageError::Unknown)));
        }
    }
}
