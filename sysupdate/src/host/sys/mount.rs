//! Namespaces of a single thread, and loop devices.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::ioctl::{self, Ioctl, IoctlOutput, Opcode};
use rustix::thread::UnshareFlags;

/// From `linux/loop.h`: finds, or makes, a device that is free.
const LOOP_CTL_GET_FREE: Opcode = 0x4C82;
/// From `linux/loop.h`, Linux 5.8: attaches a file and sets every option in one step.
const LOOP_CONFIGURE: Opcode = 0x4C0A;
/// From `linux/loop.h`: nothing is ever written to the file.
const LO_FLAGS_READ_ONLY: u32 = 1;
/// From `linux/loop.h`: the last one to close or unmount the device frees it.
const LO_FLAGS_AUTOCLEAR: u32 = 4;
/// From `linux/loop.h`: how much of the file's name the device remembers, with the final zero.
const LO_NAME_SIZE: usize = 64;

/// Gives the calling thread, and no other, a mount namespace of its own.
///
/// Root and working directory are the thread's own from here on too; open files stay shared, which
/// is how a result leaves the thread.
pub(in crate::host) fn unshare_mounts() -> io::Result<()> {
    // SAFETY: the calls that make `unshare` unsafe are those that take open files away from other
    // threads (`CLONE_FILES`); neither of these two flags does.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::FS) }?;
    Ok(())
}

/// The number of a loop device that is free at this moment; another process may be faster.
pub(in crate::host) fn free_loop_device(control: BorrowedFd<'_>) -> io::Result<u32> {
    // SAFETY: `LOOP_CTL_GET_FREE` takes no argument and returns a number.
    Ok(unsafe { ioctl::ioctl(control, GetFree) }?)
}

/// Attaches a file to a loop device, read-only, to be freed when its last user goes away.
///
/// Reads go through the page cache (no direct I/O): the download or the hash has just filled
/// the cache.
pub(in crate::host) fn configure_loop_device(
    device: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    name: &str,
) -> io::Result<()> {
    let fd = u32::try_from(file.as_raw_fd()).map_err(io::Error::other)?;
    let mut config = LoopConfig { fd, ..LoopConfig::zeroed() };
    config.info.flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR;
    let length = name.len().min(LO_NAME_SIZE - 1);
    config.info.file_name[..length].copy_from_slice(&name.as_bytes()[..length]);
    // SAFETY: `LOOP_CONFIGURE` reads a `struct loop_config`, which `LoopConfig` is laid out as.
    let setter = unsafe { ioctl::Setter::<LOOP_CONFIGURE, LoopConfig>::new(config) };
    // SAFETY: as above; the kernel writes nothing back.
    unsafe { ioctl::ioctl(device.as_fd(), setter) }?;
    Ok(())
}

struct GetFree;

// SAFETY: nothing is passed in or written back; the result is the returned number.
unsafe impl Ioctl for GetFree {
    type Output = u32;

    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        LOOP_CTL_GET_FREE
    }

    fn as_ptr(&mut self) -> *mut std::ffi::c_void {
        std::ptr::null_mut()
    }

    unsafe fn output_from_ptr(
        output: IoctlOutput,
        _: *mut std::ffi::c_void,
    ) -> rustix::io::Result<Self::Output> {
        u32::try_from(output).map_err(|_| rustix::io::Errno::RANGE)
    }
}

/// `struct loop_config`.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    /// Zero: the kernel's default.
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

/// `struct loop_info64`.
#[repr(C)]
struct LoopInfo {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; LO_NAME_SIZE],
    crypt_name: [u8; LO_NAME_SIZE],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

impl LoopConfig {
    fn zeroed() -> Self {
        Self {
            fd: 0,
            block_size: 0,
            info: LoopInfo {
                device: 0,
                inode: 0,
                rdevice: 0,
                offset: 0,
                size_limit: 0,
                number: 0,
                encrypt_type: 0,
                encrypt_key_size: 0,
                flags: 0,
                file_name: [0; LO_NAME_SIZE],
                crypt_name: [0; LO_NAME_SIZE],
                encrypt_key: [0; 32],
                init: [0; 2],
            },
            reserved: [0; 8],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel's sizes, from `linux/loop.h` on a 64-bit machine.
    #[test]
    fn the_structures_are_laid_out_as_the_kernels() {
        assert_eq!(size_of::<LoopInfo>(), 232);
        assert_eq!(size_of::<LoopConfig>(), 304);
    }
}
