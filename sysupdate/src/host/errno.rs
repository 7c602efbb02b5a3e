//! Errors that say more about the machine at this moment than about a file.

use std::io;

use rustix::io::Errno;

/// Whether this process lacks a privilege or the machine a resource, so that the error says nothing about the file.
///
/// `EIO` is not among them: a damaged image gives it as well as a failing disk.
pub(crate) fn is_of_the_machine(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    errno.is_some_and(|errno| OF_THE_MACHINE.contains(&errno))
}

const OF_THE_MACHINE: [Errno; 10] = [
    Errno::PERM,
    Errno::ACCESS,
    Errno::NOMEM,
    Errno::MFILE,
    Errno::NFILE,
    Errno::AGAIN,
    Errno::NOSPC,
    Errno::BUSY,
    Errno::INTR,
    Errno::NOBUFS,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_privilege_or_memory_does_not_speak_against_a_file() {
        let of_the_machine = |errno: Errno| is_of_the_machine(&errno.into());
        assert!([Errno::PERM, Errno::NOMEM, Errno::MFILE, Errno::NOSPC].into_iter().all(of_the_machine));
        assert!(![Errno::INVAL, Errno::IO, Errno::UCLEAN, Errno::NODEV].into_iter().any(of_the_machine));
        assert!(!is_of_the_machine(&io::Error::other("no number")));
    }
}
