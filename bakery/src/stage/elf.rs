//! ELF files: the machine they are for, and the interpreter that a program needs.

use std::fmt;

use sysext_manifests::architecture::Architecture;

/// How many bytes of a file [`machine`] needs.
pub(super) const MACHINE_LENGTH: u64 = 20;

/// How many bytes of a file [`interpreter`] searches: the program headers and the path usually follow the file header.
pub(super) const INTERPRETER_LENGTH: u64 = 64 << 10;

/// The type of the program header with the interpreter's path.
const PT_INTERP: u64 = 3;

/// The machine of an ELF file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Machine {
    number: u16,
    bits: u8,
    is_big_endian: bool,
}

/// The machine in a file's first bytes; nothing if it is not an ELF file.
pub(super) fn machine(head: &[u8]) -> Option<Machine> {
    let [0x7f, b'E', b'L', b'F', class, data, ..] = *head else { return None };
    let number = [*head.get(18)?, *head.get(19)?];
    let is_big_endian = data == 2;
    let number = if is_big_endian { u16::from_be_bytes(number) } else { u16::from_le_bytes(number) };
    Some(Machine { number, bits: if class == 2 { 64 } else { 32 }, is_big_endian })
}

/// The interpreter that an ELF program needs, from the beginning of the file; nothing if it needs none.
pub(super) fn interpreter(head: &[u8]) -> Option<String> {
    let machine = machine(head)?;
    let is_wide = machine.bits == 64;
    let number = |offset: usize, length: usize| -> Option<u64> {
        let bytes = head.get(offset..offset.checked_add(length)?)?;
        let fold = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(match machine.is_big_endian {
            true => bytes.iter().fold(0, fold),
            false => bytes.iter().rev().fold(0, fold),
        })
    };
    let at = |narrow: (usize, usize), wide: (usize, usize)| {
        let (offset, length) = if is_wide { wide } else { narrow };
        number(offset, length)
    };
    let table = usize::try_from(at((28, 4), (32, 8))?).ok()?;
    let size = usize::try_from(at((42, 2), (54, 2))?).ok()?;
    let count = usize::try_from(at((44, 2), (56, 2))?).ok()?;
    for index in 0..count {
        let header = table.checked_add(index.checked_mul(size)?)?;
        if number(header, 4)? != PT_INTERP {
            continue;
        }
        let field = |narrow: usize, wide: usize| {
            let (offset, length) = if is_wide { (wide, 8) } else { (narrow, 4) };
            usize::try_from(number(header.checked_add(offset)?, length)?).ok()
        };
        let (start, length) = (field(4, 8)?, field(16, 32)?);
        let path = head.get(start..start.checked_add(length)?)?;
        let path = path.split(|byte| *byte == 0).next()?;
        return String::from_utf8(path.to_vec()).ok().filter(|path| path.starts_with('/'));
    }
    None
}

impl Machine {
    /// The architectures with a known ELF machine number, as in `elf.h`.
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

    /// Pairs of which the second also runs programs of the first.
    const COMPATIBLE: [(Architecture, Architecture); 2] =
        [(Architecture::X86, Architecture::X86_64), (Architecture::Arm, Architecture::Arm64)];

    fn architecture(self) -> Option<Architecture> {
        let known = Self::KNOWN.iter().find(|(_, number, bits, is_big_endian)| {
            (*number, *bits, *is_big_endian) == (self.number, self.bits, self.is_big_endian)
        });
        known.map(|(architecture, ..)| *architecture)
    }

    /// Whether it is exactly this architecture, as far as its number is known.
    pub(super) fn is(self, architecture: Architecture) -> bool {
        let is_known = Self::KNOWN.iter().any(|(known, ..)| *known == architecture);
        !is_known || self.architecture() == Some(architecture)
    }

    /// Whether the architecture cannot run it. Files for other processors, such as BPF or a GPU, are data.
    pub(super) fn is_foreign_to(self, architecture: Architecture) -> bool {
        let is_known = Self::KNOWN.iter().any(|(known, ..)| *known == architecture);
        self.architecture().is_some_and(|own| {
            is_known && own != architecture && !Self::COMPATIBLE.contains(&(own, architecture))
        })
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

    /// A 64-bit ELF program for x86-64 with one program header and an interpreter.
    fn program(interpreter: &str) -> Vec<u8> {
        let mut bytes = vec![0; 64 + 56];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[18] = 62;
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = 1;
        bytes[64] = 3;
        bytes[64 + 8] = 120;
        bytes[64 + 32] = u8::try_from(interpreter.len() + 1).unwrap();
        bytes.extend(interpreter.as_bytes());
        bytes.push(0);
        bytes
    }

    #[test]
    fn test_binary_is_for_this_machine() {
        let mut head = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        head.truncate(usize::try_from(MACHINE_LENGTH).unwrap());
        let here = Architecture::of_machine(std::env::consts::ARCH).unwrap();
        assert!(machine(&head).unwrap().is(here));
    }

    #[test]
    fn other_machine_has_a_name() {
        let mut head = [0_u8; 20];
        head[..6].copy_from_slice(b"\x7fELF\x02\x01");
        head[18] = 183;
        let found = machine(&head).unwrap();
        assert_eq!(found.to_string(), "arm64");
        assert!(found.is(Architecture::Arm64) && !found.is_foreign_to(Architecture::Arm64));
        assert!(!found.is(Architecture::X86_64) && found.is_foreign_to(Architecture::X86_64));
        // BPF runs on every architecture
        head[18] = 247;
        assert!(!machine(&head).unwrap().is_foreign_to(Architecture::X86_64));
        // So do 32-bit programs of the same family
        head[4..6].copy_from_slice(&[1, 1]);
        head[18] = 3;
        let found = machine(&head).unwrap();
        assert!(!found.is(Architecture::X86_64) && !found.is_foreign_to(Architecture::X86_64));
        assert!(found.is_foreign_to(Architecture::Arm64));
    }

    #[test]
    fn other_files_have_no_machine() {
        for head in [&b""[..], b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF\x02\x01\x01"] {
            assert_eq!(machine(head), None);
        }
    }

    #[test]
    fn interpreter_is_read_or_absent() {
        let path = "/lib64/ld-linux-x86-64.so.2";
        let bytes = program(path);
        assert_eq!(interpreter(&bytes).as_deref(), Some(path));
        for length in 0..bytes.len() - 1 {
            assert_eq!(interpreter(&bytes[..length]), None, "{length}");
        }
        let mut without = bytes.clone();
        without[64] = 1;
        assert_eq!(interpreter(&without), None);
        // Offsets from outside must not overflow
        for field in [32, 72, 96] {
            let mut wrong = bytes.clone();
            wrong[field..field + 8].fill(0xff);
            assert_eq!(interpreter(&wrong), None, "{field}");
        }
    }
}
