//! What the real systemd-dissect finds in disk images of the library and of the program.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use sysext_image::Format;
use sysext_image::ddi::{Architecture, Designator, Options, Reader, Sector, Writer};
use tests::peer::{Peer, run};
use tests::programs::program;

use super::{Kind, Scratch, enter, write};

/// The expected result of systemd-dissect.
struct Dissected {
    image: String,
    sector: Sector,
    architecture: Architecture,
    designator: Designator,
    filesystem: Format,
    root_hash: String,
}

impl Dissected {
    /// Written by the library, with a signature by the key of the directory.
    fn write(scratch: &Scratch, options: Options) -> Result<Self> {
        let Options { sector, architecture, designator, .. } = options;
        let name = format!("{architecture}-{}-{}.raw", name_of(designator), sector.size());
        let written = write(&scratch.path(&name), &scratch.signer()?, options)?;
        let (image, root_hash) = (format!("/mnt/shared/{name}"), written.root_hash.to_string());
        Ok(Self { image, sector, architecture, designator, filesystem: Format::Erofs, root_hash })
    }

    /// Baked by the program, with a signature by the key of the directory.
    fn bake(scratch: &Scratch, architecture: Architecture, filesystem: Format) -> Result<Self> {
        fs::create_dir_all(scratch.path("tree/usr/share"))?;
        fs::write(scratch.path("tree/usr/share/words"), "text ".repeat(10_000))?;
        fs::set_permissions(scratch.path("key"), fs::Permissions::from_mode(0o600))?;
        let name = format!("baked-{architecture}-{filesystem}.raw");
        let output = Command::new(program("bakery")?)
            .args(["bake", "--tree", "tree", "--name", "x", "--version", "1", "--ddi"])
            .args(["--verity-key", "key", "--verity-cert", "certificate", "--out", &name])
            .args(["--arch", &architecture.to_string(), "--format", filesystem.name()])
            .current_dir(scratch.directory.path())
            .output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let reader = Reader::open(File::open(scratch.path(&name))?)?;
        let root_hash = reader.root_hash().context("it has verity")?.to_string();
        let (sector, designator) = (Sector::Bytes512, Designator::Root);
        Ok(Self {
            image: format!("/mnt/shared/{name}"),
            sector,
            architecture,
            designator,
            filesystem,
            root_hash,
        })
    }

    fn is_found(&self) -> Result<()> {
        let text = run("systemd-dissect", &["--json=short", &self.image])?;
        let found: serde_json::Value = serde_json::from_str(&text)?;
        ensure!(found["sectorSize"] == self.sector.size(), "{text}");
        let architecture = self.architecture.to_string();
        ensure!(found["architecture"] == architecture, "{text}");
        ensure!(self.designator == Designator::Usr || found["useSystemExtension"] == true, "{text}");
        let designator = name_of(self.designator);
        for (number, role, verity, kind) in [
            (0, "", "signed".into(), self.filesystem.name()),
            (1, "-verity", serde_json::Value::Null, "DM_verity_hash"),
            (2, "-verity-sig", serde_json::Value::Null, "verity_hash_signature"),
        ] {
            let mount = &found["mounts"][number];
            ensure!(
                mount["designator"] == format!("{designator}{role}") && mount["verity"] == verity,
                "{mount}"
            );
            ensure!(mount["architecture"] == architecture, "{mount}");
            ensure!(mount["fstype"] == kind && mount["rw"] == "ro" && mount["growfs"] == false, "{mount}");
            let id = mount["partition_uuid"].as_str().context("a partition has a UUID")?.replace('-', "");
            let root_hash = &self.root_hash;
            ensure!(number == 2 || root_hash[32 * number..][..32] == id, "{id} is not of {root_hash}");
        }
        let policy = format!("--image-policy={designator}=signed");
        run("systemd-dissect", &["--validate", &policy, &self.image])?;
        Ok(())
    }

    /// It is signed only with that partition.
    fn is_unsigned_without(&self) -> Result<()> {
        let mut writer =
            Writer::new(File::create("/mnt/shared/unsigned.raw")?, Options::new(Architecture::X86_64))?;
        writer.copy(&mut Reader::open(File::open(&self.image)?)?.filesystem())?;
        ensure!(writer.finish()?.root_hash.to_string() == self.root_hash, "another filesystem");
        let validate = |policy| run("systemd-dissect", &["--validate", policy, "/mnt/shared/unsigned.raw"]);
        validate("--image-policy=root=verity")?;
        ensure!(validate("--image-policy=root=signed").is_err(), "accepted without a signature");
        Ok(())
    }
}

/// The name that systemd uses.
fn name_of(designator: Designator) -> &'static str {
    match designator {
        Designator::Root => "root",
        Designator::Usr => "usr",
    }
}

/// Each architecture, sector size, directory, file system and kind of key, written by the library or baked by
/// the program.
pub(super) fn dissected(peer: Peer) -> Result<()> {
    let scratch = Scratch::new(Kind::P384)?;
    let rsa = Scratch::new(Kind::Rsa2048)?;
    let mut images = Vec::new();
    let native = Options::new(Architecture::X86_64);
    for sector in Sector::ALL {
        images.push(Dissected::write(&scratch, Options { sector, ..native })?);
    }
    for architecture in [Architecture::X86_64, Architecture::Arm64, Architecture::Riscv64] {
        let options = Options::new(architecture);
        images.push(Dissected::write(&scratch, Options { designator: Designator::Usr, ..options })?);
        for filesystem in Format::ALL {
            let baked = Dissected::bake(&rsa, architecture, filesystem)?;
            let name = baked.image.trim_start_matches("/mnt/shared/");
            fs::rename(rsa.path(name), scratch.path(name))?;
            images.push(baked);
        }
    }
    enter(peer, scratch.directory.path())?;
    for (number, image) in images.iter().enumerate() {
        image.is_found().with_context(|| image.image.clone())?;
        if number < Sector::ALL.len() {
            image.is_unsigned_without()?;
        }
    }
    Ok(())
}
