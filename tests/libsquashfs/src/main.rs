//! Unpacks and packs squashfs images with libsquashfs, through the crate squashfs-ng.
//!
//! The extracted directory has all properties that the image stores, so that it can be compared with the
//! original directory. Any error ends the program.

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, lchown, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};
use squashfs_ng::read::{Archive, Data, Node, XattrType};
use squashfs_ng::write::TreeProcessor;

fn main() -> Result<()> {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    match &arguments[..] {
        [verb, image, directory] if verb == "unpack" => unpack(Path::new(image), Path::new(directory)),
        [verb, directory, image] if verb == "pack" => pack(Path::new(directory), Path::new(image)),
        _ => bail!("usage: libsquashfs-judge unpack IMAGE DIRECTORY | pack DIRECTORY IMAGE"),
    }
}

fn unpack(image: &Path, directory: &Path) -> Result<()> {
    let archive = Archive::open(image)?;
    let root = archive.get_exists("/")?;
    let mut links = HashMap::new();
    unpack_node(&root, directory, &mut links)
}

/// Writes a node and everything below it. `links` maps inode numbers to the path of the file.
fn unpack_node(node: &Node<'_>, path: &Path, links: &mut HashMap<u32, PathBuf>) -> Result<()> {
    let failed = || format!("cannot unpack {}", path.display());
    if !node.is_dir()?
        && let Some(first) = links.get(&node.id())
    {
        return fs::hard_link(first, path).with_context(failed);
    }
    links.insert(node.id(), path.to_owned());
    let device = |kind, number| rustix::fs::mknodat(CWD, path, kind, Mode::from_bits_truncate(0o600), number);
    let mut is_link = false;
    match node.data()? {
        Data::Dir(entries) => {
            fs::create_dir(path).with_context(failed)?;
            for entry in entries {
                let entry = entry?;
                let name = entry.name().context("an entry without a name")?;
                unpack_node(&entry, &path.join(name), links)?;
            }
        }
        Data::File(mut content) => {
            let length = io::copy(&mut content, &mut File::create_new(path)?).with_context(failed)?;
            ensure!(length == content.size(), "{}: {length} bytes of {}", path.display(), content.size());
        }
        Data::Symlink(target) => {
            symlink(target, path).with_context(failed)?;
            is_link = true;
        }
        Data::BlockDev(major, minor) => device(FileType::BlockDevice, rustix::fs::makedev(major, minor))?,
        Data::CharDev(major, minor) => device(FileType::CharacterDevice, rustix::fs::makedev(major, minor))?,
        Data::Fifo => device(FileType::Fifo, 0)?,
        Data::Socket => bail!("{} is a socket", path.display()),
    }
    lchown(path, Some(node.uid()?), Some(node.gid()?)).with_context(failed)?;
    if !is_link {
        // After the owner, because changing the owner clears bits.
        fs::set_permissions(path, Permissions::from_mode(u32::from(node.mode()) & 0o7777))
            .with_context(failed)?;
    }
    for (category, prefix) in
        [(XattrType::User, "user."), (XattrType::Trusted, "trusted."), (XattrType::Security, "security.")]
    {
        for (name, value) in node.xattrs(category)? {
            let name = [prefix.as_bytes(), &name].concat();
            rustix::fs::lsetxattr(path, &name[..], &value, XattrFlags::empty()).with_context(failed)?;
        }
    }
    let time = Timespec { tv_sec: node.mtime().into(), tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).with_context(failed)
}

fn pack(directory: &Path, image: &Path) -> Result<()> {
    Ok(TreeProcessor::new(image)?.process(directory)?)
}
