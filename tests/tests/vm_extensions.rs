//! Extensions on booted systems with systemd as the first process: merged by its own systemd-sysext, signed and
//! verified to the block, and by `sysupdate`, on kernels that can swap them without a gap and on one that
//! cannot.

use std::fs;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, ExitCode, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::libc;
use sysext_image::ddi::{Architecture, Options, Sector, Signature, Writer};
use sysext_image::pkcs7::{Certificate, PrivateKey, Signer};
use sysext_image::tree::Metadata;
use sysext_image::{Codec, Tree, erofs};
use tests::machine::Machine;
use tests::needs::{Need, Suite};
use tests::peer::{merged_into_usr, run};
use tests::programs::program;
use tests::sample::Random;

/// The directory of the images.
const EXTENSIONS: &str = "/var/lib/extensions";

/// The directory of the trusted certificates.
const CERTIFICATES: &str = "/etc/verity.d";

/// Accepts only images that one of them signed.
const ONLY_SIGNED: &str = "--image-policy=root=signed+absent:usr=signed+absent";

/// Time limit for an emulated kernel to release devices after an unmerge.
const RELEASE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let mut suite = Suite::new();
    for machine in Machine::ALL {
        let name = format!("vm_extensions_are_merged_by_systemd_{}_and_sysupdate", machine.systemd());
        suite.booted(&name, machine, &[Need::Tool("openssl")], prepare, move |directory| {
            let system = System { machine, directory };
            run("modprobe", &["-a", "loop", "dm_mod", "dm_verity", "overlay", "erofs", "squashfs"])?;
            fs::create_dir_all(EXTENSIONS)?;
            fs::create_dir_all(CERTIFICATES)?;
            system.bare().context("a bare filesystem, merged by systemd")?;
            system.signed("signed", "ours").context("a signed image, merged by systemd")?;
            system.signed("baked", "rsa").context("squashfs signed with RSA by bakery, merged by systemd")?;
            system.partitioned().context("partitions of sectors of 4096 bytes")?;
            system.damaged().context("a damaged image, merged by systemd")?;
            system.ours().context("merged by sysupdate")
        });
    }
    suite.run()
}

fn prepare(directory: &Path) -> Result<()> {
    let signer = certify(directory, "ours", &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"])?;
    certify(directory, "stranger", &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"])?;
    certify(directory, "rsa", &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"])?;
    let at = |name: &str| directory.join(name);
    for version in ["1", "2"] {
        fs::write(at(&format!("bare-{version}")), bare(version)?)?;
    }
    fs::write(at("signed-1"), disk("signed", &signer, Sector::Bytes512)?)?;
    fs::write(at("large-sectors"), disk("large", &signer, Sector::Bytes4096)?)?;
    bake(directory)?;
    let mut damaged = disk("damaged", &signer, Sector::Bytes512)?;
    let part = &data()[50_000..50_064];
    let place = damaged.windows(part.len()).position(|window| window == part);
    damaged[place.context("the content of a stored file is not in the image")?] ^= 1;
    fs::write(at("damaged-1"), damaged)?;
    fs::copy(program("sysupdate")?, at("sysupdate"))?;
    Ok(())
}

/// Creates a key, and NAME.crt for it.
fn certify(directory: &Path, name: &str, algorithm: &[&str]) -> Result<Signer> {
    let path = |end: &str| directory.join(format!("{name}.{end}"));
    let (key, certificate) = (path("key"), path("crt"));
    let [out, given] = [&certificate, &key].map(|path| path.to_string_lossy().into_owned());
    run("openssl", &[&["genpkey", "-out", &given, "-algorithm"], algorithm].concat())?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
    run("openssl", &["req", "-x509", "-new", "-key", &given, "-subj", &format!("/CN={name}"), "-out", &out])?;
    let key = PrivateKey::from_pem(&fs::read_to_string(key)?)?;
    Ok(Signer::new(key, Certificate::parse(&fs::read(certificate)?)?)?)
}

/// An extension by the program: squashfs, in a disk image signed with RSA.
fn bake(directory: &Path) -> Result<()> {
    let data_of = directory.join("tree/usr/share/baked");
    fs::create_dir_all(&data_of)?;
    fs::write(data_of.join("version"), "1")?;
    fs::write(data_of.join("data"), data())?;
    let at = |name: &str| directory.join(name).to_string_lossy().into_owned();
    let (tree, key, certificate) = (at("tree"), at("rsa.key"), at("rsa.crt"));
    let image = at("baked.raw");
    let what = ["bake", "--tree", &tree, "--name", "baked", "--version", "1", "--arch", "x86-64"];
    let how = ["--format", "squashfs", "--ddi", "--verity-key", &key, "--verity-cert", &certificate];
    let bakery = program("bakery")?.to_string_lossy().into_owned();
    run(&bakery, &[&what[..], &how, &["--out", &image]].concat())?;
    fs::rename(image, at("baked-1"))?;
    Ok(())
}

/// Bytes that no codec compresses, so that they occur unchanged in an image.
fn data() -> Vec<u8> {
    Random::new(7).bytes(100_000)
}

/// Files of every extension.
fn tree(name: &str, version: &str, release: &str) -> Result<Tree> {
    let file = Metadata::new(0o644);
    let mut tree = Tree::new();
    tree.insert_bytes(
        format!("usr/lib/extension-release.d/extension-release.{name}"),
        release,
        file.clone(),
    )?;
    tree.insert_bytes(format!("usr/share/{name}/version"), version, file.clone())?;
    tree.insert_bytes(format!("usr/share/{name}/data"), data(), file)?;
    Ok(tree)
}

/// An extension with a service that writes its version to `/run`.
fn bare(version: &str) -> Result<Vec<u8>> {
    let mut tree = tree("bare", version, "ID=_any\nEXTENSION_RELOAD_MANAGER=1\n")?;
    // Without default dependencies, because the rest of the system was not started.
    let unit = "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nRemainAfterExit=yes\n\
                ExecStart=cp /usr/share/bare/version /run/bare\n";
    tree.insert_bytes("usr/lib/systemd/system/bare.service", unit, Metadata::new(0o644))?;
    filesystem(&tree)
}

fn filesystem(tree: &Tree) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    erofs::write(tree, &erofs::Options::new(Codec::default(), 1_700_000_000), &mut bytes)?;
    Ok(bytes)
}

/// An extension as a signed disk image.
fn disk(name: &str, signer: &Signer, sector: Sector) -> Result<Vec<u8>> {
    let mut image = Cursor::new(Vec::new());
    let options = Options { sector, ..Options::new(Architecture::X86_64) };
    let mut writer = Writer::new(&mut image, options)?;
    writer.copy(&mut &filesystem(&tree(name, "1", "ID=_any\n")?)?[..])?;
    writer.finish_signed(|root_hash| Signature::new(signer, root_hash))?;
    Ok(image.into_inner())
}

/// The machine, seen from inside.
struct System<'a> {
    machine: Machine,
    directory: &'a Path,
}

impl System<'_> {
    fn bare(&self) -> Result<()> {
        self.place("bare", "1")?;
        run("systemd-sysext", &["merge"])?;
        ensure!(merged_into_usr()? == ["bare"], "{:?}", merged_into_usr()?);
        self.serves("1")?;
        unmerge("bare")
    }

    /// Is merged with its certificate, and with no other.
    fn signed(&self, name: &str, certificate: &str) -> Result<()> {
        self.place(name, "1")?;
        let by_default = Command::new("systemd-sysext").arg("merge").output()?;
        if self.machine == Machine::Sid {
            // Its default policy accepts dm-verity with an unsigned root hash.
            ensure!(by_default.status.success(), "{by_default:?}");
            verified()?;
            unmerge(name)?;
        } else {
            self.refused(name, &by_default)?;
        }
        // systemd of Debian 12 has no policies yet; its default is the one meant here.
        let arguments: &[&str] =
            if self.machine == Machine::Bookworm { &["merge"] } else { &["merge", ONLY_SIGNED] };
        let merge = || Command::new("systemd-sysext").args(arguments).output();
        let trust = |name: &str| {
            let file = format!("{name}.crt");
            fs::copy(self.directory.join(&file), Path::new(CERTIFICATES).join(file))
        };
        trust("stranger")?;
        self.refused(name, &merge()?)?;
        trust(certificate)?;
        let merged = merge()?;
        ensure!(merged.status.success(), "refused with its certificate: {merged:?}");
        verified()?;
        shows(name, "1")?;
        unmerge(name)
    }

    /// A disk with sectors of 4096 bytes has the partitions, and the first one is the file system.
    fn partitioned(&self) -> Result<()> {
        let image = self.directory.join("large-sectors").to_string_lossy().into_owned();
        let told = run("losetup", &["--find", "--show", "--sector-size=4096", "--partscan", &image])?;
        let device = told.trim_end();
        let name = device.trim_start_matches("/dev/");
        let attribute = |partition: u8, attribute: &str| {
            let path = format!("/sys/block/{name}/{name}p{partition}/{attribute}");
            fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
        };
        let mut end = 0;
        for (partition, role) in
            [(1, "root-x86-64"), (2, "root-x86-64-verity"), (3, "root-x86-64-verity-sig")]
        {
            let (start, size): (u64, u64) = (
                attribute(partition, "start")?.trim().parse()?,
                attribute(partition, "size")?.trim().parse()?,
            );
            // In units of 512 bytes, whatever the sector size is.
            ensure!(start >= end && start % 8 == 0 && size > 0 && size % 8 == 0, "{role}: {size} at {start}");
            end = start + size;
            let event = attribute(partition, "uevent")?;
            ensure!(event.lines().any(|line| line == format!("PARTNAME={role}")), "{event}");
        }
        let mounted = self.directory.join("large");
        fs::create_dir(&mounted)?;
        let at = mounted.to_string_lossy().into_owned();
        run("mount", &["-t", "erofs", "-o", "ro", &format!("{device}p1"), &at])?;
        ensure!(fs::read(mounted.join("usr/share/large/data"))? == data(), "other content");
        run("umount", &[&at])?;
        run("losetup", &["--detach", device])?;
        released()
    }

    /// A flipped bit in a file makes only this file unreadable, once it is read.
    fn damaged(&self) -> Result<()> {
        self.place("damaged", "1")?;
        run("systemd-sysext", &["merge"])?;
        verified()?;
        shows("damaged", "1")?;
        let error = fs::read("/usr/share/damaged/data").err().context("a flipped bit was not noticed")?;
        ensure!(error.raw_os_error() == Some(libc::EIO), "{error}");
        let log = run("dmesg", &[])?;
        ensure!(log.contains("device-mapper: verity") && log.contains("is corrupted"), "{log}");
        unmerge("damaged")
    }

    fn ours(&self) -> Result<()> {
        let sysupdate = |verb: &str| {
            let program = self.directory.join("sysupdate");
            let output = Command::new(program).args(["sysext", verb]).output()?;
            let said = [&output.stdout[..], &output.stderr].concat();
            let said = String::from_utf8_lossy(&said).into_owned();
            ensure!(output.status.success(), "sysext {verb}: {}\n{said}", output.status);
            println!("{said}");
            Ok(said)
        };
        self.place("bare", "1")?;
        sysupdate("merge")?;
        ensure!(merged_into_usr()? == ["bare"], "{:?}", merged_into_usr()?);
        // Linux 6.12 is the first to mount a file without one.
        let has_loop_device = backing_files()?.iter().any(|file| file.ends_with("/bare.raw"));
        ensure!(has_loop_device == (self.machine == Machine::Bookworm), "{:?}", backing_files()?);
        self.serves("1")?;

        self.place("bare", "2")?;
        let said = sysupdate("refresh")?;
        // Linux 6.5 is the first to move a mount beneath another.
        let gap = said.contains("files of /usr were missing for a moment");
        ensure!(gap == (self.machine == Machine::Bookworm), "{said}");
        self.serves("2")?;

        sysupdate("unmerge")?;
        ensure!(!Path::new("/usr/share/bare").exists(), "it is still there");
        ensure!(merged_into_usr()?.is_empty(), "{:?}", merged_into_usr()?);
        released()
    }

    /// Makes an image the only one in the directory.
    fn place(&self, name: &str, version: &str) -> Result<()> {
        for entry in fs::read_dir(EXTENSIONS)? {
            fs::remove_file(entry?.path())?;
        }
        let image = self.directory.join(format!("{name}-{version}"));
        fs::copy(&image, Path::new(EXTENSIONS).join(format!("{name}.raw")))?;
        Ok(())
    }

    /// Requires that nothing is merged, and that an error was printed.
    fn refused(&self, name: &str, merge: &Output) -> Result<()> {
        ensure!(!Path::new("/usr/share").join(name).exists(), "{name} was merged: {merge:?}");
        // Debian 12 exits with 0 nevertheless.
        let success = merge.status.success();
        ensure!(success == (self.machine == Machine::Bookworm), "{merge:?}");
        ensure!(!String::from_utf8_lossy(&merge.stderr).contains("Merged extensions"), "{merge:?}");
        Ok(())
    }

    /// Requires that the extension's files are visible, and its unit is known to the first process.
    fn serves(&self, version: &str) -> Result<()> {
        shows("bare", version)?;
        // Its systemd-sysext does not support EXTENSION_RELOAD_MANAGER= yet.
        if self.machine == Machine::Bookworm {
            run("systemctl", &["daemon-reload"])?;
        }
        run("systemctl", &["restart", "bare.service"])?;
        let served = fs::read_to_string("/run/bare")?;
        ensure!(served == version, "the service of version {served} was started");
        Ok(())
    }
}

fn shows(name: &str, version: &str) -> Result<()> {
    let found = fs::read_to_string(format!("/usr/share/{name}/version"))?;
    ensure!(found == version, "version {found} is merged");
    Ok(())
}

fn unmerge(name: &str) -> Result<()> {
    run("systemd-sysext", &["unmerge"])?;
    ensure!(!Path::new("/usr/share").join(name).exists(), "{name} is still there");
    released()
}

/// Requires one device that verifies reads, with the extension's files on it.
fn verified() -> Result<()> {
    let devices = mapped_devices()?;
    ensure!(devices.len() == 1 && devices[0].starts_with("CRYPT-VERITY-"), "{devices:?}");
    Ok(())
}

/// Requires that no loop device and no verity device is left.
fn released() -> Result<()> {
    // It maps rules and lists of modules below /usr, and keeps the overlay busy.
    run("systemctl", &["restart", "systemd-udevd.service"])?;
    let start = Instant::now();
    loop {
        let left = [backing_files()?, mapped_devices()?].concat();
        if left.is_empty() {
            return Ok(());
        }
        ensure!(start.elapsed() < RELEASE, "still there after {RELEASE:?}: {left:?}");
        sleep(Duration::from_millis(50));
    }
}

/// The identifiers of the mapped devices.
fn mapped_devices() -> Result<Vec<String>> {
    of_block_devices("dm/uuid")
}

/// The files of loop devices.
fn backing_files() -> Result<Vec<String>> {
    of_block_devices("loop/backing_file")
}

/// The value of an attribute for each block device that has it.
fn of_block_devices(attribute: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/sys/block")? {
        let path = entry?.path().join(attribute);
        match fs::read_to_string(&path) {
            Ok(text) => found.push(text.trim_end().to_owned()),
            // It has none, or disappears at this moment.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV | libc::ENXIO)) => {
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }
    Ok(found)
}
