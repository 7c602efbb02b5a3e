//! Extension images of a few kilobytes.

use anyhow::{Result, bail};
use sysext_image::codec::Codec;
use sysext_image::erofs::{Options, write};
use sysext_image::tree::{Metadata, Tree};

/// Bytes of ballast, so that an image arrives in several pieces.
const BALLAST: usize = 12 << 10;

/// An image of extension NAME with its version in `/usr/share/NAME/version`, and with ballast.
pub fn data(name: &str, version: &str) -> Result<Vec<u8>> {
    bytes(&tree(name, version)?)
}

/// The same with a program `/usr/bin/NAME-check` that exits with this status.
pub fn with_check(name: &str, version: &str, status: u8) -> Result<Vec<u8>> {
    let mut tree = tree(name, version)?;
    tree.insert_bytes(format!("usr/bin/{name}-check"), program_that_exits(status)?, Metadata::new(0o755))?;
    bytes(&tree)
}

/// The same with a check that cannot be started.
pub fn with_broken_check(name: &str, version: &str) -> Result<Vec<u8>> {
    let mut tree = tree(name, version)?;
    tree.insert_bytes(format!("usr/bin/{name}-check"), "not a program", Metadata::new(0o644))?;
    bytes(&tree)
}

/// The files that every image contains.
pub fn tree(name: &str, version: &str) -> Result<Tree> {
    let mut tree = Tree::new();
    let file = Metadata::new(0o644);
    let release = format!("usr/lib/extension-release.d/extension-release.{name}");
    tree.insert_bytes(release, "ID=_any\n", file.clone())?;
    tree.insert_bytes(format!("usr/share/{name}/version"), version, file.clone())?;
    let ballast: Vec<u8> = version.bytes().cycle().take(BALLAST).collect();
    tree.insert_bytes(format!("usr/share/{name}/ballast"), ballast, file)?;
    Ok(tree)
}

/// Writes the image of a tree.
pub fn bytes(tree: &Tree) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    write(tree, &Options::new(Codec::None, 0), &mut bytes)?;
    Ok(bytes)
}

/// The smallest program: a header and three instructions. It needs no files at run time.
pub fn program_that_exits(status: u8) -> Result<Vec<u8>> {
    const HEADERS: u64 = 64 + 56;
    const ADDRESS: u64 = 0x40_0000;
    let (machine, code): (u16, Vec<u8>) = match std::env::consts::ARCH {
        // mov edi, STATUS; mov eax, 60; syscall
        "x86_64" => (62, vec![0xbf, status, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05]),
        // mov x0, STATUS; mov x8, 93; svc 0
        "aarch64" => {
            let instructions = [0xd280_0000 | u32::from(status) << 5, 0xd280_0ba8, 0xd400_0001];
            (183, instructions.iter().flat_map(|word| word.to_le_bytes()).collect())
        }
        other => bail!("no program is known for {other}"),
    };
    let size = HEADERS + code.len() as u64;
    let mut program = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let mut put = |bytes: &[u8]| program.extend_from_slice(bytes);
    // An executable for that machine that starts after the headers; one segment, no sections.
    put(&2_u16.to_le_bytes());
    put(&machine.to_le_bytes());
    put(&1_u32.to_le_bytes());
    for word in [ADDRESS + HEADERS, 64, 0] {
        put(&word.to_le_bytes());
    }
    put(&0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 64, 0, 0] {
        put(&half.to_le_bytes());
    }
    // The segment: loaded, readable and executable.
    put(&1_u32.to_le_bytes());
    put(&5_u32.to_le_bytes());
    for word in [0, ADDRESS, ADDRESS, size, size, 0x1000] {
        put(&word.to_le_bytes());
    }
    put(&code);
    Ok(program)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn smallest_program_exits_with_the_given_status() {
        let directory = tempfile::tempdir().unwrap();
        for status in [0, 7] {
            let path = directory.path().join(format!("exit-{status}"));
            std::fs::write(&path, super::program_that_exits(status).unwrap()).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            let ended = std::process::Command::new(&path).status().unwrap();
            assert_eq!(ended.code(), Some(i32::from(status)));
        }
    }
}
