//! Disk images and signatures, compared with other programs: signatures with `openssl`, images with the real
//! systemd-dissect, and with those of the real systemd-repart (they are equal).

#[path = "peer_ddi/dissected.rs"]
mod dissected;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use anyhow::{Context as _, Result, bail, ensure};
use sysext_image::ddi::{
    self, Architecture, Designator, Options, Reader, Role, Sector, Seed, Writer, Written,
};
use sysext_image::pkcs7::{Certificate, KeyError, PrivateKey, Signature, Signer, VerifyError};
use sysext_image::tree::Metadata;
use sysext_image::verity::{Builder, Parameters, RootHash, Sidecars};
use sysext_image::{Codec, Tree, erofs};
use tests::needs::{Need, Suite};
use tests::peer::{Peer, Shared, run};
use tests::programs::program;

use dissected::dissected;

const ROOT: RootHash = RootHash([0xa5; 32]);

const SEED: Seed = Seed(*b"0123456789abcdef");
const SEED_TEXT: &str = "30313233343536373839616263646566";

fn main() -> ExitCode {
    let openssl = [Need::Tool("openssl")];
    let mut suite = Suite::new();
    suite.trial("peer_openssl_accepts_our_signatures", &openssl, accepted);
    suite.trial("peer_openssl_signatures_get_the_same_verdict_from_us", &openssl, judged);
    suite.trial("peer_openssl_keys_are_readable_in_every_format", &openssl, keys);
    suite.trial("peer_openssl_keys_sign_images_of_bakery", &openssl, baked);
    suite.trial(
        "peer_sgdisk_finds_no_problem_in_our_images",
        &[Need::Tool("sgdisk"), openssl[0]],
        partitioned,
    );
    for peer in Peer::ALL {
        let needs = [Need::Peer(peer), openssl[0], Need::Filesystem("erofs")];
        let name = format!("peer_systemd_{}_dissects_our_images", peer.systemd());
        suite.isolated(&name, &needs, move || dissected(peer));
        let name = format!("peer_systemd_{}_finds_our_verity_files", peer.systemd());
        suite.isolated(&name, &needs, move || beside(peer));
    }
    let repart = [Need::Peer(Peer::Sid), openssl[0]];
    suite.isolated("peer_systemd_repart_creates_the_same_image", &repart, repartitioned);
    suite.isolated("peer_systemd_repart_images_are_readable", &repart, read_back);
    suite.run()
}

/// Through the program: `bakery bake --ddi`, `bakery verify` and `bakery inspect`.
fn baked() -> Result<()> {
    let scratch = Scratch::new(Kind::P256)?;
    let other = Scratch::new(Kind::Rsa2048)?;
    let at = |name: &str| scratch.directory.path().join(name);
    fs::create_dir_all(at("tree/usr/share"))?;
    fs::write(at("tree/usr/share/x"), "text ".repeat(10_000))?;
    let key = at("key");
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let bakery = program("bakery")?;
    let run = |arguments: &[&str]| -> Result<Output> {
        Ok(Command::new(&bakery).args(arguments).current_dir(scratch.directory.path()).output()?)
    };
    let bake = |out: &str| {
        let tree = ["bake", "--tree", "tree", "--name", "x", "--version", "1", "--arch", "x86-64", "-o", out];
        run(&[&tree[..], &["--ddi", "--verity-key", "key", "--verity-cert", "certificate"]].concat())
    };
    for out in ["x-1.raw", "x-2.raw"] {
        let output = bake(out)?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    ensure!(fs::read(at("x-1.raw"))? == fs::read(at("x-2.raw"))?, "a signature has chance in it");
    let told = |arguments: &[&str]| -> Result<String> {
        let output = run(arguments)?;
        Ok(String::from_utf8([output.stdout, output.stderr].concat())?)
    };
    let valid = told(&["verify", "x-1.raw", "--verity-cert", "certificate"])?;
    ensure!(valid.ends_with("verity     valid\nsignature  valid\n"), "{valid}");
    let unasked = told(&["verify", "x-1.raw"])?;
    ensure!(unasked.ends_with("signature  not checked (use --verity-cert)\n"), "{unasked}");
    let json: serde_json::Value = serde_json::from_str(&told(&["verify", "x-1.raw", "--json"])?)?;
    ensure!(json["signature"] == "unchecked", "{json}");
    let swapped = told(&[
        "bake",
        "--tree",
        "tree",
        "--name",
        "x",
        "--version",
        "1",
        "-o",
        "x-5.raw",
        "--ddi",
        "--verity-key",
        "certificate",
        "--verity-cert",
        "certificate",
    ])?;
    ensure!(swapped.contains("error: certificate is a certificate, not a private key\n"), "{swapped}");
    let stranger = other.directory.path().join("certificate");
    let stranger = stranger.to_str().context("the path is not UTF-8")?;
    let refused = told(&["verify", "x-1.raw", "--verity-cert", stranger])?;
    ensure!(
        refused.starts_with("error: x-1.raw is invalid:\n  ") && refused.contains("trusted"),
        "{refused}"
    );
    let inspected = told(&["inspect", "x-1.raw"])?;
    ensure!(inspected.contains("signature   present, not checked; names certificate "), "{inspected}");
    // With one changed byte in the file system, the root hash does not match
    let mut bytes = fs::read(at("x-1.raw"))?;
    bytes[20480 + 5000] ^= 1;
    fs::write(at("x-3.raw"), bytes)?;
    let refused = told(&["verify", "x-3.raw", "--verity-cert", "certificate"])?;
    ensure!(refused.starts_with("error: x-3.raw is invalid:\n  ") && refused.contains("offset"), "{refused}");
    // A key that others may read is rejected, and so is half a pair
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    let output = bake("x-4.raw")?;
    let refused = String::from_utf8_lossy(&output.stderr);
    ensure!(
        refused.contains("error: key contains a secret, but others can read it (mode 0644)"),
        "{refused}"
    );
    ensure!(!at("x-4.raw").exists());
    Ok(())
}

/// The kind of a key.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Rsa2048,
    Rsa4096,
    P256,
    P384,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Rsa2048, Self::Rsa4096, Self::P256, Self::P384];

    fn parameters(self) -> [&'static str; 4] {
        match self {
            Self::Rsa2048 => ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
            Self::Rsa4096 => ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:4096"],
            Self::P256 => ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
            Self::P384 => ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
        }
    }

    fn is_rsa(self) -> bool {
        matches!(self, Self::Rsa2048 | Self::Rsa4096)
    }
}

/// A working directory for openssl: `key`, `certificate`, and `document` with the digits of [`ROOT`].
struct Scratch {
    directory: tempfile::TempDir,
}

impl Scratch {
    fn new(kind: Kind) -> Result<Self> {
        let scratch = Self { directory: tempfile::tempdir()? };
        scratch.openssl(&[&["genpkey", "-out", "key"][..], &kind.parameters()].concat())?;
        scratch.certify("certificate")?;
        fs::write(scratch.path("document"), ROOT.to_string())?;
        fs::write(scratch.path("other"), RootHash([0xa6; 32]).to_string())?;
        Ok(scratch)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Another certificate for the same key, with a new serial number.
    fn certify(&self, name: &str) -> Result<()> {
        let subject = ["-subj", "/O=Tests/CN=image signing"];
        self.openssl(&[&["req", "-x509", "-new", "-key", "key", "-out", name][..], &subject].concat())
    }

    fn try_openssl(&self, arguments: &[&str]) -> Result<Output> {
        Command::new("openssl")
            .args(arguments)
            .current_dir(self.directory.path())
            .output()
            .context("cannot run openssl")
    }

    fn openssl(&self, arguments: &[&str]) -> Result<()> {
        let output = self.try_openssl(arguments)?;
        if !output.status.success() {
            bail!("openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// A signature by openssl, with `document` as the content and further options.
    fn signed(&self, command: &str, options: &[&str]) -> Result<Vec<u8>> {
        let given =
            [command, "-sign", "-binary", "-in", "document", "-inkey", "key", "-signer", "certificate"];
        self.openssl(&[&given[..], &["-outform", "der", "-out", "theirs"], options].concat())?;
        Ok(fs::read(self.path("theirs"))?)
    }

    /// Whether openssl accepts `ours` as a signature of a file by a certificate.
    fn accepts(&self, command: &str, content: &str, certificate: &str) -> Result<bool> {
        let given = [command, "-verify", "-binary", "-inform", "der", "-in", "ours", "-content", content];
        let trust = ["-certfile", certificate, "-nointern", "-noverify", "-out", "verified"];
        let accepted = self.try_openssl(&[&given[..], &trust].concat())?.status.success();
        ensure!(!accepted || fs::read(self.path("verified"))? == fs::read(self.path(content))?);
        Ok(accepted)
    }

    fn signer(&self) -> Result<Signer> {
        let key = PrivateKey::from_pem(&fs::read_to_string(self.path("key"))?)?;
        Ok(Signer::new(key, self.certificate("certificate")?)?)
    }

    fn certificate(&self, name: &str) -> Result<Certificate> {
        Ok(Certificate::parse(&fs::read(self.path(name))?)?)
    }
}

fn accepted() -> Result<()> {
    let stranger = Scratch::new(Kind::P256)?;
    for kind in Kind::ALL {
        let scratch = Scratch::new(kind)?;
        fs::copy(stranger.path("certificate"), scratch.path("stranger"))?;
        scratch.certify("renewed")?;
        let signer = scratch.signer()?;
        let fingerprint =
            scratch.try_openssl(&["x509", "-in", "certificate", "-noout", "-fingerprint", "-sha256"])?;
        let fingerprint = String::from_utf8(fingerprint.stdout)?.trim().replace(':', "").to_lowercase();
        let ours = RootHash(signer.certificate().fingerprint()).to_string();
        ensure!(fingerprint.ends_with(&ours), "{fingerprint} is not {ours}");

        for signer in [signer.clone(), signer.include_certificate()] {
            fs::write(scratch.path("ours"), signer.sign(&ROOT)?)?;
            for command in ["smime", "cms"] {
                ensure!(scratch.accepts(command, "document", "certificate")?, "{kind:?}: {command} refuses");
                // It must be able to reject
                ensure!(
                    !scratch.accepts(command, "other", "certificate")?,
                    "{kind:?}: {command}: other hash"
                );
                ensure!(
                    !scratch.accepts(command, "document", "stranger")?,
                    "{kind:?}: {command}: a stranger"
                );
                ensure!(
                    !scratch.accepts(command, "document", "renewed")?,
                    "{kind:?}: {command}: other serial"
                );
            }
        }
    }
    Ok(())
}

fn judged() -> Result<()> {
    for kind in Kind::ALL {
        let scratch = Scratch::new(kind)?;
        scratch.certify("renewed")?;
        let trusted = [scratch.certificate("certificate")?];
        let renewed = [scratch.certificate("renewed")?];
        let detached = ["-noattr", "-nocerts"];
        for (command, options) in [
            ("smime", &detached[..]),
            ("smime", &["-noattr"]),
            ("smime", &["-noattr", "-md", "sha384"]),
            ("smime", &["-noattr", "-md", "sha512"]),
            ("cms", &detached),
            ("cms", &["-noattr"]),
        ] {
            let theirs = scratch.signed(command, options)?;
            let what = || format!("{kind:?}: {command} {options:?}");
            let signature = Signature::parse(&theirs).with_context(what)?;
            signature.verify(&ROOT, &trusted).with_context(what)?;
            let other = signature.verify(&RootHash([0xa6; 32]), &trusted);
            ensure!(matches!(other, Err(VerifyError::Wrong)), "{}: {other:?}", what());
            let unknown = signature.verify(&ROOT, &renewed);
            ensure!(matches!(unknown, Err(VerifyError::Unknown { certificates: 1 })), "{}", what());
            signature.verify(&ROOT, &[&renewed[..], &trusted].concat())?;
        }
        // ECDSA signatures of openssl are random, RSA signatures are not
        let signer = scratch.signer()?;
        if kind.is_rsa() {
            ensure!(scratch.signed("smime", &detached)? == signer.sign(&ROOT)?, "{kind:?}: the bytes differ");
            let theirs = scratch.signed("smime", &["-noattr"])?;
            ensure!(theirs == signer.include_certificate().sign(&ROOT)?, "{kind:?}: the bytes differ");
        }
        for (command, options, what) in [
            ("smime", &["-nocerts"][..], "signed attributes"),
            ("smime", &["-noattr", "-nodetach"], "its content attached"),
            ("cms", &["-noattr", "-keyid"], "a signer without issuer and serial number"),
            ("smime", &["-noattr", "-signer", "certificate", "-inkey", "key"], "several signers"),
        ] {
            let error = Signature::parse(&scratch.signed(command, options)?).expect_err("it is refused");
            ensure!(
                error.to_string() == format!("the PKCS#7 signature has {what}, which is not supported"),
                "{error}"
            );
        }
    }
    let scratch = Scratch::new(Kind::Rsa2048)?;
    let streamed = scratch.signed("cms", &["-noattr", "-stream"])?;
    ensure!(matches!(Signature::parse(&streamed), Err(VerifyError::Der(_))), "BER is no DER");
    let padded = scratch.signed("cms", &["-noattr", "-keyopt", "rsa_padding_mode:pss"])?;
    let trusted = [scratch.certificate("certificate")?];
    let error = Signature::parse(&padded)?.verify(&ROOT, &trusted);
    ensure!(
        error.expect_err("it is refused").to_string().contains("the algorithm 1.2.840.113549.1.1.10"),
        "PSS"
    );
    Ok(())
}

fn keys() -> Result<()> {
    for kind in Kind::ALL {
        let scratch = Scratch::new(kind)?;
        let expected = scratch.signer()?.sign(&ROOT)?;
        // PKCS#1 for RSA, SEC1 for EC
        scratch.openssl(&["pkey", "-in", "key", "-traditional", "-out", "traditional"])?;
        let traditional = PrivateKey::from_pem(&fs::read_to_string(scratch.path("traditional"))?)?;
        let signer = Signer::new(traditional, scratch.certificate("certificate")?)?;
        ensure!(signer.sign(&ROOT)? == expected, "{kind:?}");
        // With surrounding text, as some tools write it
        scratch.openssl(&["x509", "-in", "certificate", "-text", "-out", "text"])?;
        scratch.openssl(&["x509", "-in", "certificate", "-outform", "der", "-out", "der"])?;
        for name in ["text", "der"] {
            ensure!(scratch.certificate(name)?.der() == signer.certificate().der(), "{kind:?}: {name}");
        }
        for option in ["-traditional", "-aes256"] {
            let encrypt =
                ["pkey", "-in", "key", "-aes256", "-passout", "pass:secret", option, "-out", "encrypted"];
            scratch.openssl(&encrypt)?;
            let error = PrivateKey::from_pem(&fs::read_to_string(scratch.path("encrypted"))?)
                .expect_err("it is refused");
            ensure!(matches!(error, KeyError::Encrypted), "{kind:?}: {option}: {error}");
        }
    }
    let scratch = Scratch::new(Kind::P256)?;
    for (parameters, reason) in [
        (&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"][..], "1024 bits is not supported"),
        (&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"], "type 1.3.132.0.35 are not supported"),
        (&["-algorithm", "ED25519"], "type 1.3.101.112 are not supported"),
    ] {
        scratch.openssl(&[&["genpkey", "-out", "key"][..], parameters].concat())?;
        let error =
            PrivateKey::from_pem(&fs::read_to_string(scratch.path("key"))?).expect_err("it is refused");
        ensure!(error.to_string().contains(reason), "{error}");
        let request = ["req", "-x509", "-new", "-key", "key", "-subj", "/CN=x", "-out", "certificate"];
        scratch.openssl(&request)?;
        let error = Certificate::parse(&fs::read(scratch.path("certificate"))?)
            .expect_err("it is refused")
            .to_string();
        ensure!(error.contains(reason), "{error}");
    }
    Ok(())
}

/// The tree of a small extension.
fn extension() -> Result<Tree> {
    let mut tree = Tree::default();
    let file = || Metadata::new(0o644);
    tree.insert_bytes("usr/lib/extension-release.d/extension-release.x", "ID=_any\n", {
        file().xattr("user.extension-release.strict", "0")
    })?;
    let words: String = (0..200_000).map(|number| format!("{number} ")).collect();
    tree.insert_bytes("usr/share/words", words, file())?;
    Ok(tree)
}

/// Writes a signed image of the extension.
fn write(path: &Path, signer: &Signer, options: Options) -> Result<Written> {
    let mut writer = Writer::new(File::create(path)?, options)?;
    erofs::write(&extension()?, &erofs::Options::new(Codec::None, 1_700_000_000), &mut writer)?;
    let (written, _) = writer.finish_signed(|root_hash| ddi::Signature::new(signer, root_hash))?;
    Ok(written)
}

fn partitioned() -> Result<()> {
    let scratch = Scratch::new(Kind::P256)?;
    let image = scratch.path("image.raw");
    write(&image, &scratch.signer()?, Options::new(Architecture::X86_64))?;
    let path = image.to_string_lossy().into_owned();
    let found = run("sgdisk", &["--verify", &path])?;
    ensure!(found.contains("No problems found") && !found.contains("corrupt"), "{found}");
    // It must be able to find a problem
    let mut bytes = fs::read(&image)?;
    let end = bytes.len();
    bytes[end - 400] ^= 1;
    bytes[end - 512 + 60] ^= 1;
    fs::write(&image, bytes)?;
    let found = run("sgdisk", &["--verify", &path]).unwrap_or_else(|error| error.to_string());
    ensure!(found.contains("corrupt GPT"), "{found}");
    Ok(())
}

/// Enters the peer with a directory of the host at `/mnt/shared`.
fn enter(peer: Peer, directory: &Path) -> Result<()> {
    peer.enter(&[Shared { host: directory, peer: Path::new("/mnt/shared") }])
}

fn beside(peer: Peer) -> Result<()> {
    let scratch = Scratch::new(Kind::Rsa2048)?;
    let signer = scratch.signer()?;
    let mut image = Vec::new();
    erofs::write(&extension()?, &erofs::Options::new(Codec::None, 1_700_000_000), &mut image)?;
    let mut builder = Builder::new(Parameters::from_seed(&Seed::of_first_block(&image)), None);
    builder.update(&image);
    let tree = builder.finish()?;
    enter(peer, scratch.directory.path())?;

    let path = Path::new("/mnt/shared/x-1-x86-64.raw");
    fs::write(path, &image)?;
    let sidecars = Sidecars::of(path);
    let text = path.to_string_lossy();
    let verity = || -> Result<serde_json::Value> {
        let found: serde_json::Value =
            serde_json::from_str(&run("systemd-dissect", &["--json=short", &text])?)?;
        Ok(found["mounts"][0]["verity"].clone())
    };
    let satisfies = |policy: &str| {
        run("systemd-dissect", &["--validate", &format!("--image-policy=root={policy}"), &text]).is_ok()
    };
    ensure!(
        verity()?.is_null() && !satisfies("verity") && !satisfies("signed"),
        "there is nothing beside it"
    );
    tree.write_to(&mut File::create(&sidecars.verity)?)?;
    fs::write(&sidecars.root_hash, format!("{}\n", tree.root_hash()))?;
    ensure!(verity()? == "external" && satisfies("verity") && !satisfies("signed"), "{}", verity()?);
    fs::write(&sidecars.signature, signer.sign(&tree.root_hash())?)?;
    ensure!(verity()? == "external" && satisfies("signed"), "the signature is not seen");
    Ok(())
}

/// Runs the real systemd-repart with the partition definitions in `defs` of the shared directory.
fn repart(options: &[&str], image: &str) -> Result<()> {
    let keys = ["--private-key=/mnt/shared/key", "--certificate=/mnt/shared/certificate"];
    let seed = format!("--seed={SEED_TEXT}");
    let always = ["--offline=yes", &seed, "--dry-run=no", "--empty=create", image];
    run("systemd-repart", &[&keys[..], &always, options].concat())?;
    Ok(())
}

fn repartitioned() -> Result<()> {
    let scratch = Scratch::new(Kind::Rsa2048)?;
    let signer = scratch.signer()?.include_certificate();
    let mut filesystem = Vec::new();
    erofs::write(&extension()?, &erofs::Options::new(Codec::None, 1_700_000_000), &mut filesystem)?;
    enter(Peer::Sid, scratch.directory.path())?;

    fs::write("/mnt/shared/filesystem", &filesystem)?;
    for (designator, name) in [(Designator::Root, "root"), (Designator::Usr, "usr")] {
        for sector in Sector::ALL {
            let options =
                Options { designator, sector, seed: Some(SEED), ..Options::new(Architecture::X86_64) };
            let mut writer = Writer::new(File::create("/mnt/shared/ours")?, options)?;
            writer.copy(&mut filesystem.as_slice())?;
            let (written, _) = writer.finish_signed(|hash| ddi::Signature::new(&signer, hash))?;

            // All sizes are given: otherwise repart uses those of a sector, and distributes the rest over the
            // partitions
            let table = Reader::open(File::open("/mnt/shared/ours")?)?.table().clone();
            let definitions = "/mnt/shared/definitions";
            fs::create_dir_all(definitions)?;
            for (number, (role, more)) in [
                ("", "Verity=data\nCopyBlocks=/mnt/shared/filesystem\n"),
                ("-verity", "Verity=hash\nVerityDataBlockSizeBytes=4096\nVerityHashBlockSizeBytes=4096\n"),
                ("-verity-sig", "Verity=signature\n"),
            ]
            .into_iter()
            .enumerate()
            {
                let size = table.partitions[number].size;
                let size = match role {
                    "-verity-sig" => String::new(), // always the same
                    _ => format!("SizeMinBytes={size}\nSizeMaxBytes={size}\n"),
                };
                let text = format!("[Partition]\nType={name}{role}\nVerityMatchKey=x\n{size}{more}");
                fs::write(format!("{definitions}/{number}.conf"), text)?;
            }
            let size = format!("--size={}", written.size);
            let sectors = format!("--sector-size={}", sector.size());
            repart(&[&size, &sectors, "--definitions=/mnt/shared/definitions"], "/mnt/shared/theirs")?;
            let (ours, theirs) = (fs::read("/mnt/shared/ours")?, fs::read("/mnt/shared/theirs")?);
            fs::remove_file("/mnt/shared/theirs")?;
            let differs = ours.iter().zip(&theirs).position(|(ours, theirs)| ours != theirs);
            ensure!(differs.is_none(), "{name}, {sector:?}: the images differ at offset {differs:?}");
            ensure!(ours.len() == theirs.len(), "{name}, {sector:?}: {} and {}", ours.len(), theirs.len());
        }
    }
    Ok(())
}

fn read_back() -> Result<()> {
    let scratch = Scratch::new(Kind::P256)?;
    let trusted = [scratch.certificate("certificate")?];
    scratch.certify("renewed")?;
    let renewed = [scratch.certificate("renewed")?];
    let release = scratch.path("tree/usr/lib/extension-release.d");
    fs::create_dir_all(&release)?;
    fs::create_dir_all(scratch.path("tree/opt"))?;
    fs::write(release.join("extension-release.x"), "ID=_any\n")?;
    enter(Peer::Sid, scratch.directory.path())?;
    repart(&["--make-ddi=sysext", "--copy-source=/mnt/shared/tree"], "/mnt/shared/theirs")?;

    let reader = Reader::open(File::open("/mnt/shared/theirs")?)?;
    ensure!((reader.architecture(), reader.designator()) == (Architecture::X86_64, Designator::Root));
    for (partition, role) in reader.table().partitions.iter().zip([Role::Data, Role::Verity, Role::Signature])
    {
        let kind =
            ddi::PartitionType { architecture: Architecture::X86_64, designator: Designator::Root, role };
        ensure!(partition.kind == kind.guid() && partition.name == kind.to_string(), "{partition:?}");
        ensure!(partition.flags == ddi::READ_ONLY, "{partition:?}");
    }
    reader.verify()?;
    reader.verify_signature(&trusted)?;
    ensure!(reader.verify_signature(&renewed).is_err(), "another certificate of the key is another");
    let filesystem = erofs::Reader::open(reader.checked()?)?;
    let content = filesystem.read("usr/lib/extension-release.d/extension-release.x", 100)?;
    ensure!(content.as_deref() == Some(b"ID=_any\n"), "{content:?}");
    Ok(())
}
