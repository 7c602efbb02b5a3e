//! Errors that say more about the machine at this moment than about a file.

use std::io;

use rustix::io::Errno;

/// Whether this process lacks a privilege or the machine a resource, so that the error says nothing about the file.
///
/// `EIO` is not among them: a damaged image gives it as well as a failing disk.
pub(crate) fn is_of_the_machine(error: &io::Error) -> bool {
    is_one_of(error, &DENIED) || is_one_of(error, &LACKS)
}

/// Whether an error may be the machine's fault as well as that of a file: a failing disk and a damaged image both give
/// `EIO`, and `ENODEV` a kernel module that is not loaded yet. It must not count against the file.
pub(crate) fn may_be_of_the_machine(error: &io::Error) -> bool {
    is_of_the_machine(error) || is_one_of(error, &UNCLEAR)
}

/// Whether this machine could not start a program now, which says nothing about the program. A program that may not be
/// executed gives `EACCES`.
pub(crate) fn prevents_any_program(error: &io::Error) -> bool {
    is_one_of(error, &LACKS) || is_one_of(error, &UNCLEAR)
}

fn is_one_of(error: &io::Error, list: &[Errno]) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    errno.is_some_and(|errno| list.contains(&errno))
}

/// The process lacks a privilege.
const DENIED: [Errno; 2] = [Errno::PERM, Errno::ACCESS];

/// The machine lacks a resource, or somebody else uses it now.
const LACKS: [Errno; 11] = [
    Errno::NOMEM,
    Errno::MFILE,
    Errno::NFILE,
    Errno::AGAIN,
    Errno::NOSPC,
    Errno::DQUOT,
    Errno::BUSY,
    Errno::TXTBSY,
    Errno::INTR,
    Errno::NOBUFS,
    Errno::NOLCK,
];

/// A device or a disk fails, or is missing.
const UNCLEAR: [Errno; 4] = [Errno::IO, Errno::NODEV, Errno::NXIO, Errno::TIMEDOUT];

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

    #[test]
    fn a_failing_disk_does_not_speak_against_a_file_for_sure() {
        for errno in [Errno::IO, Errno::NODEV, Errno::NOSPC, Errno::AGAIN, Errno::INTR, Errno::BUSY] {
            assert!(may_be_of_the_machine(&errno.into()) && prevents_any_program(&errno.into()), "{errno}");
        }
        assert!(
            !may_be_of_the_machine(&Errno::INVAL.into()) && !may_be_of_the_machine(&Errno::UCLEAN.into())
        );
        assert!(
            ![Errno::ACCESS, Errno::NOENT, Errno::NOEXEC]
                .iter()
                .any(|errno| prevents_any_program(&(*errno).into()))
        );
    }
}
