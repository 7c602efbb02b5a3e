//! Why a program that exists does not start: the interpreter it needs is missing. The kernel reports only that
//! something was not found.

use std::fs::File;
use std::io::{self, Read as _, SeekFrom};
use std::path::{Path, PathBuf};

use crate::host::view::View;

/// More than the name of any interpreter has, in bytes.
const NAME_MAX: u64 = 4096;
/// How many program headers are looked at: programs have about a dozen.
const HEADERS_MAX: u16 = 256;
/// From `elf.h`: the program header with the name of the interpreter.
const PT_INTERP: u32 = 3;

/// The interpreter that a program below a root names, if it does not exist.
pub(super) fn missing(root: &Path, program: &Path) -> Option<PathBuf> {
    let view = View::of(root);
    let path = view.resolve(program).ok()?;
    let mut file = File::open(view.path(&path)).ok()?;
    let interpreter = named(&mut file).ok()??;
    view.resolve(&interpreter).is_err().then_some(interpreter)
}

/// The interpreter that an ELF file or script names.
fn named(file: &mut (impl io::Read + io::Seek)) -> io::Result<Option<PathBuf>> {
    let mut head = [0; 64];
    let length = read_some(file, &mut head)?;
    if head.starts_with(b"#!") {
        let line = head[2..length].split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        return Ok(line.split_whitespace().next().map(PathBuf::from));
    }
    let little = head[5] == 1;
    let wide = match head[4] {
        1 => false,
        2 => true,
        _ => return Ok(None),
    };
    if !head.starts_with(b"\x7fELF") || length < 52 || (wide && length < 64) {
        return Ok(None);
    }
    let number = |bytes: &[u8]| {
        let digits = bytes.iter().map(|byte| u64::from(*byte));
        match little {
            true => digits.rev().fold(0, |number, byte| number << 8 | byte),
            false => digits.fold(0, |number, byte| number << 8 | byte),
        }
    };
    let (table, size, count) = match wide {
        true => (number(&head[32..40]), number(&head[54..56]), number(&head[56..58])),
        false => (number(&head[28..32]), number(&head[42..44]), number(&head[44..46])),
    };
    let count = u16::try_from(count).unwrap_or(HEADERS_MAX).min(HEADERS_MAX);
    for header in 0..u64::from(count) {
        let mut bytes = [0; 56];
        let at = table.saturating_add(header.saturating_mul(size));
        file.seek(SeekFrom::Start(at))?;
        let wanted = if wide { 56 } else { 32 };
        file.read_exact(&mut bytes[..wanted])?;
        if number(&bytes[..4]) != u64::from(PT_INTERP) {
            continue;
        }
        let (offset, length) = match wide {
            true => (number(&bytes[8..16]), number(&bytes[32..40])),
            false => (number(&bytes[4..8]), number(&bytes[16..20])),
        };
        file.seek(SeekFrom::Start(offset))?;
        let mut name = Vec::new();
        file.take(length.min(NAME_MAX)).read_to_end(&mut name)?;
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        return Ok(Some(String::from_utf8_lossy(name).into_owned().into()));
    }
    Ok(None)
}

fn read_some(file: &mut impl io::Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..])? {
            0 => break,
            count => length += count,
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::os::unix::fs::symlink;

    use super::*;

    const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

    /// An ELF file with one program header, which names the loader.
    fn elf(wide: bool, little: bool) -> Vec<u8> {
        let mut bytes = vec![0; 200];
        bytes[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 1 + u8::from(wide), 2 - u8::from(little)]);
        let mut put = |at: usize, length: usize, value: u8| {
            bytes[if little { at } else { at + length - 1 }] = value;
        };
        let name = 150;
        if wide {
            [(32, 8, 64), (54, 2, 56), (56, 2, 1), (64, 4, 3), (64 + 8, 8, name), (64 + 32, 8, 28)]
                .into_iter()
                .for_each(|(at, length, value)| put(at, length, value));
        } else {
            [(28, 4, 52), (42, 2, 32), (44, 2, 1), (52, 4, 3), (52 + 4, 4, name), (52 + 16, 4, 28)]
                .into_iter()
                .for_each(|(at, length, value)| put(at, length, value));
        }
        bytes[150..150 + LOADER.len()].copy_from_slice(LOADER.as_bytes());
        bytes
    }

    #[test]
    fn elf_files_and_scripts_name_their_interpreter() {
        let named = |bytes: &[u8]| named(&mut Cursor::new(bytes.to_vec())).unwrap_or(None);
        for (wide, little) in [(true, true), (true, false), (false, true), (false, false)] {
            assert_eq!(named(&elf(wide, little)), Some(LOADER.into()), "{wide} {little}");
        }
        assert_eq!(named(b"#! /bin/sh -e\nexit 0\n"), Some("/bin/sh".into()));
        for other in [&b""[..], b"#!", b"\x7fELF", b"plain text", &elf(true, true)[..100]] {
            assert_eq!(named(other), None, "{other:?}");
        }
        let mut endless = elf(true, true);
        endless[32..40].copy_from_slice(&[0xff; 8]);
        assert_eq!(named(&endless), None);
    }

    #[test]
    fn an_interpreter_is_looked_for_inside_the_root() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("usr/bin")).unwrap();
        std::fs::write(root.join("usr/bin/tool"), elf(true, true)).unwrap();
        std::fs::write(root.join("usr/bin/script"), "#!/bin/sh\n").unwrap();
        assert_eq!(missing(&root, Path::new("/usr/bin/tool")), Some(LOADER.into()));
        assert_eq!(missing(&root, Path::new("/usr/bin/script")), Some("/bin/sh".into()));
        symlink("usr/bin", root.join("bin")).unwrap();
        std::fs::write(root.join("usr/bin/sh"), "").unwrap();
        assert_eq!(missing(&root, Path::new("/bin/script")), None);
        assert_eq!(missing(&root, Path::new("/usr/bin/absent")), None);
    }
}
