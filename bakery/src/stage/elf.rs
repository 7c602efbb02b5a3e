//! Which machine a program is for: the first bytes of an ELF file.

use std::fmt;

use sysext_manifests::architecture::Architecture;

/// How many bytes of a file [`machine`] looks at.
pub(super) const HEAD: u64 = 20;

/// The machine of an ELF file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Machine {
    number: u16,
    bits: u8,
    is_big_endian: bool,
}

/// The machine that a file's first bytes name; nothing if it is no ELF file.
pub(super) fn machine(head: &[u8]) -> Option<Machine> {
    let [0x7f, b'E', b'L', b'F', class, data, ..] = *head else { return None };
    let number = [*head.get(18)?, *head.get(19)?];
    let is_big_endian = data == 2;
    let number = if is_big_endian { u16::from_be_bytes(number) } else { u16::from_le_bytes(number) };
    Some(Machine { number, bits: if class == 2 { 64 } else { 32 }, is_big_endian })
}

impl Machine {
    /// The architectures whose ELF machine number is known here, as `elf.h` has them.
    const KNOWN: [(Architecture, u16, u8, bool); 9] = [
        (Architecture::X86_64, 62, 64, false),
        (Architecture::X86, 3, 32, false),
        (Architecture::Arm64, 183, 64, false),
        (Architecture::Arm, 40, 32, false),
        (Architecture::Riscv64, 243, 64, false),
        (Architecture::Ppc64Le, 21, 64, false),
        (Architecture::Ppc64, 21, 64, true),
        (Architecture::S390x, 22, 64, true),
        (Architecture::Loongarch64, 258, 64, false),
    ];

    fn architecture(self) -> Option<Architecture> {
        let known = Self::KNOWN.iter().find(|(_, number, bits, is_big_endian)| {
            (*number, *bits, *is_big_endian) == (self.number, self.bits, self.is_big_endian)
        });
        known.map(|(architecture, ..)| *architecture)
    }

    /// Whether the architecture runs it, as far as is known here.
    pub(super) fn runs_on(self, architecture: Architecture) -> bool {
        let is_known = Self::KNOWN.iter().any(|(known, ..)| *known == architecture);
        !is_known || self.architecture() == Some(architecture)
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.architecture() {
            Some(architecture) => write!(f, "{architecture}"),
            None => write!(f, "ELF machine {}", self.number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_is_a_program_for_this_machine() {
        let mut head = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        head.truncate(usize::try_from(HEAD).unwrap());
        let here = Architecture::of_machine(std::env::consts::ARCH).unwrap();
        assert!(machine(&head).unwrap().runs_on(here));
    }

    #[test]
    fn another_machine_is_told_by_its_name() {
        let mut head = [0_u8; 20];
        head[..6].copy_from_slice(b"\x7fELF\x02\x01");
        head[18] = 183;
        let found = machine(&head).unwrap();
        assert_eq!(found.to_string(), "arm64");
        assert!(found.runs_on(Architecture::Arm64));
        assert!(!found.runs_on(Architecture::X86_64));
    }

    #[test]
    fn what_is_no_program_has_no_machine() {
        for head in [&b""[..], b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF\x02\x01\x01"] {
            assert_eq!(machine(head), None);
        }
    }
}
