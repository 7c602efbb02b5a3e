//! OpenPGP compared with gpg: keys and signatures of gpg, its verdict on ours, and the real systemd-sysupdate
//! 257, which calls gpg, on a repository that we signed.
//!
//! The exit status of gpg is 0 for signatures of expired and revoked keys too, so the word in its status output
//! counts.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail, ensure};
use jiff::Timestamp;
use sysext_manifests::openpgp::{Keyring, OpenPgpError, Unusable};
use tests::needs::{Need, Suite};
use tests::peer::{Peer, Shared, run};
use tests::programs::program;
use tests::server::Server;

const STOCK_SYSUPDATE: &str = "/usr/lib/systemd/systemd-sysupdate";
const BAKERY: &str = "/opt/ours/bakery";
const SYSUPDATE: &str = "/opt/ours/sysupdate";

const DOCUMENT: &[u8] = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  k-1.raw\n";

fn main() -> ExitCode {
    let gpg = [Need::Tool("gpg")];
    let peer = [Need::Peer(Peer::Trixie)];
    let node = [Need::Tool("gpg"), peer[0], Need::Filesystem("erofs"), Need::Filesystem("overlay")];
    let mut suite = Suite::new();
    suite.trial("peer_gpg_signatures_get_the_same_verdict_from_us", &gpg, judged);
    suite.trial("peer_gpg_keyrings_are_readable_in_every_format", &gpg, keyrings);
    suite.trial("peer_gpg_accepts_our_signatures", &gpg, accepted);
    suite.trial("peer_systemd_keyring_of_a_distribution_is_readable", &peer, distribution);
    suite.isolated("peer_systemd_sysupdate_accepts_our_signatures", &node, stock);
    suite.run()
}

/// A home directory of gpg, which is temporary.
struct Gpg {
    directory: tempfile::TempDir,
}

/// The time of an action.
#[derive(Clone, Copy)]
enum When {
    Now,
    /// A faked time, in the format of gpg.
    At(&'static str),
}

impl Gpg {
    fn new() -> Result<Self> {
        // The socket of gpg's agent is in it and needs a short path
        let directory = tempfile::Builder::new().prefix("gpg").tempdir_in("/tmp")?;
        fs::set_permissions(directory.path(), Permissions::from_mode(0o700))?;
        fs::write(directory.path().join("document"), DOCUMENT)?;
        Ok(Self { directory })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self, when: When) -> Command {
        let mut command = Command::new("gpg");
        command.env("GNUPGHOME", self.directory.path()).env("LC_ALL", "C");
        command.current_dir(self.directory.path());
        command.args(["--batch", "--yes", "--no-tty", "--pinentry-mode", "loopback", "--passphrase", ""]);
        if let When::At(time) = when {
            command.args(["--faked-system-time", time]);
        }
        command
    }

    fn run(&self, when: When, arguments: &[&str]) -> Result<Vec<u8>> {
        let output = self.command(when).args(arguments).output().context("cannot run gpg")?;
        if !output.status.success() {
            bail!("gpg {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(output.stdout)
    }

    /// Creates a key and returns its fingerprint.
    fn key(&self, when: When, user: &str, kind: &str, purpose: &str, life: &str) -> Result<String> {
        self.run(when, &["--quick-gen-key", user, kind, purpose, life])?;
        self.fingerprint(user)
    }

    fn fingerprint(&self, user: &str) -> Result<String> {
        let listed = self.run(When::Now, &["--with-colons", "--list-keys", user])?;
        let listed = String::from_utf8(listed)?;
        let line = listed.lines().find(|line| line.starts_with("fpr:")).context("no fingerprint")?;
        Ok(line.split(':').nth(9).context("no fingerprint")?.to_owned())
    }

    fn sign(&self, when: When, options: &[&str]) -> Result<Vec<u8>> {
        let arguments = [options, &["--output", "-", "--detach-sign", "document"]].concat();
        self.run(when, &arguments)
    }

    fn ring(&self) -> Result<Keyring> {
        Ok(Keyring::parse(&self.run(When::Now, &["--export"])?)?.0)
    }

    /// The verdict of gpg on a signature of the document.
    fn word(&self, signature: &[u8]) -> Result<&'static str> {
        const WORDS: [&str; 6] = ["GOODSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "BADSIG", "ERRSIG"];
        fs::write(self.path("signature"), signature)?;
        let arguments = ["--status-fd", "1", "--trust-model", "always", "--verify", "signature", "document"];
        let output = self.command(When::Now).args(arguments).output().context("cannot run gpg")?;
        let status = String::from_utf8_lossy(&output.stdout);
        let said = |word: &&&str| status.lines().any(|line| line.split(' ').nth(1) == Some(**word));
        WORDS.iter().find(said).copied().with_context(|| format!("gpg gives no word: {status}"))
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let mut agent = Command::new("gpgconf");
        agent.env("GNUPGHOME", self.directory.path()).args(["--kill", "gpg-agent"]);
        // Otherwise the agent ends when its directory disappears
        let _gone_anyway = agent.output();
    }
}

/// Our verdict, in the words of gpg.
fn ours(ring: &Keyring, signature: &[u8]) -> Result<&'static str> {
    Ok(match ring.verify(DOCUMENT, signature, Timestamp::now()) {
        Ok(_) => "GOODSIG",
        Err(OpenPgpError::Expired { .. }) => "EXPSIG",
        Err(OpenPgpError::Key { reason: Unusable::Expired { .. }, .. }) => "EXPKEYSIG",
        Err(OpenPgpError::Key { reason: Unusable::Revoked { .. }, .. }) => "REVKEYSIG",
        Err(OpenPgpError::Mismatch { .. }) => "BADSIG",
        Err(OpenPgpError::UnknownKey { .. }) => "ERRSIG",
        Err(error) => bail!("a verdict that gpg does not know: {error}"),
    })
}

fn judged() -> Result<()> {
    let past = When::At("20250101T000000");
    let gpg = Gpg::new()?;
    let mut cases: Vec<(&str, Vec<u8>, &str)> = Vec::new();

    gpg.key(past, "rsa@example.org", "rsa3072", "sign", "never")?;
    gpg.key(past, "ed@example.org", "ed25519", "sign", "never")?;
    gpg.key(past, "nist@example.org", "nistp256", "sign", "never")?;
    for user in ["rsa@example.org", "ed@example.org", "nist@example.org"] {
        let options = ["--local-user", user];
        cases.push((user, gpg.sign(When::Now, &options)?, "GOODSIG"));
        cases.push(("armoured", gpg.sign(When::Now, &[&options[..], &["--armor"]].concat())?, "GOODSIG"));
        cases.push(("a text", gpg.sign(When::Now, &[&options[..], &["--textmode"]].concat())?, "GOODSIG"));
    }
    fs::write(gpg.path("other"), "other\n")?;
    let other =
        gpg.run(When::Now, &["--local-user", "rsa@example.org", "--output", "-", "--detach-sign", "other"])?;
    cases.push(("other bytes", other, "BADSIG"));
    let short = ["--local-user", "rsa@example.org", "--default-sig-expire", "1m"];
    cases.push(("an expired signature", gpg.sign(past, &short)?, "EXPSIG"));

    let sub = gpg.key(past, "sub@example.org", "ed25519", "cert", "never")?;
    gpg.run(past, &["--quick-add-key", &sub, "ed25519", "sign", "never"])?;
    cases.push(("a subkey", gpg.sign(When::Now, &["--local-user", "sub@example.org"])?, "GOODSIG"));
    let sub = gpg.key(past, "oldsub@example.org", "ed25519", "cert", "never")?;
    gpg.run(past, &["--quick-add-key", &sub, "ed25519", "sign", "1m"])?;
    cases.push(("an expired subkey", gpg.sign(past, &["--local-user", "oldsub@example.org"])?, "EXPKEYSIG"));

    gpg.key(past, "old@example.org", "ed25519", "sign", "1m")?;
    cases.push(("an expired key", gpg.sign(past, &["--local-user", "old@example.org"])?, "EXPKEYSIG"));
    let renewed = gpg.key(past, "renewed@example.org", "ed25519", "sign", "1m")?;
    cases.push(("a renewed key", gpg.sign(past, &["--local-user", "renewed@example.org"])?, "GOODSIG"));
    gpg.run(When::Now, &["--quick-set-expire", &renewed, "1y"])?;

    let revoked = gpg.key(past, "revoked@example.org", "rsa3072", "sign", "never")?;
    cases.push(("a revoked key", gpg.sign(past, &["--local-user", "revoked@example.org"])?, "REVKEYSIG"));
    let certificate = fs::read_to_string(gpg.path(&format!("openpgp-revocs.d/{revoked}.rev")))?;
    // gpg writes a colon in front, so that it is not imported by mistake
    fs::write(gpg.path("revocation"), certificate.replace(":-----BEGIN", "-----BEGIN"))?;
    gpg.run(When::Now, &["--import", "revocation"])?;

    let stranger = Gpg::new()?;
    stranger.key(past, "stranger@example.org", "ed25519", "sign", "never")?;
    cases.push(("a stranger", stranger.sign(When::Now, &[])?, "ERRSIG"));

    let ring = gpg.ring()?;
    for (name, signature, expected) in &cases {
        let (theirs, ours) = (gpg.word(signature)?, ours(&ring, signature)?);
        ensure!(theirs == *expected, "{name}: gpg says {theirs}");
        ensure!(ours == *expected, "{name}: we say {ours}, gpg says {theirs}");
    }
    // Intended differences
    let weak = gpg.sign(When::Now, &["--local-user", "rsa@example.org", "--digest-algo", "SHA1"])?;
    ensure!(gpg.word(&weak)? == "GOODSIG", "gpg refuses SHA-1 now, say so where the difference is described");
    let error = ring.verify(DOCUMENT, &weak, Timestamp::now()).err();
    ensure!(matches!(error, Some(OpenPgpError::WeakHash { .. })), "{error:?}");
    Ok(())
}

fn keyrings() -> Result<()> {
    let gpg = Gpg::new()?;
    let kinds = [("a@example.org", "rsa3072"), ("b@example.org", "ed25519"), ("c@example.org", "nistp384")];
    let mut expected = Vec::new();
    for (user, kind) in kinds {
        expected.push(gpg.key(When::Now, user, kind, "sign", "never")?);
    }
    let signature = gpg.sign(When::Now, &["--local-user", "c@example.org"])?;
    let binary = gpg.run(When::Now, &["--export"])?;
    let armored = gpg.run(When::Now, &["--armor", "--export"])?;
    let mut one_by_one = Vec::new();
    for (user, _) in kinds {
        one_by_one.extend(gpg.run(When::Now, &["--armor", "--export", user])?);
    }
    fs::write(gpg.path("binary"), &binary)?;
    let into = ["--no-default-keyring", "--keyring"];
    let key_box = gpg.path("import-pubring.pgp").display().to_string();
    gpg.run(When::Now, &[&into[..], &[&key_box, "--import", "binary"]].concat())?;
    let key_box = fs::read(key_box)?;
    ensure!(key_box.get(8..12) == Some(b"KBXf"), "gpg made something else than a key box");
    for (form, bytes) in
        [("binary", binary), ("armoured", armored), ("one by one", one_by_one), ("a key box", key_box)]
    {
        let (ring, notes) = Keyring::parse(&bytes).with_context(|| form)?;
        ensure!(notes.is_empty(), "{form}: {notes:?}");
        ensure!(ring.fingerprints() == expected, "{form}: {:?}", ring.fingerprints());
        ring.verify(DOCUMENT, &signature, Timestamp::now()).with_context(|| form)?;
    }
    Ok(())
}

fn accepted() -> Result<()> {
    let bakery = program("bakery")?.display().to_string();
    let past = When::At("20250101T000000");
    for (kind, purpose, password) in
        [("rsa3072", "cert", ""), ("ed25519", "cert", "a word"), ("nistp256", "sign", "")]
    {
        let gpg = Gpg::new()?;
        let primary = gpg.key(past, "p@example.org", kind, purpose, "never")?;
        if purpose == "cert" {
            gpg.run(past, &["--quick-add-key", &primary, kind, "sign", "never"])?;
        }
        let mut export = gpg.command(When::Now);
        if !password.is_empty() {
            let mut change = gpg.command(When::Now);
            // The last one counts: first the old one, which is empty, then the new one
            change.args(["--passphrase", password, "--passwd", &primary]);
            ensure!(change.status()?.success(), "gpg does not set a password");
            export.args(["--passphrase", password]);
        }
        let secret = export.args(["--armor", "--export-secret-keys"]).output()?;
        ensure!(secret.status.success(), "{}", String::from_utf8_lossy(&secret.stderr));
        for (name, bytes) in [("secret", &secret.stdout[..]), ("password", password.as_bytes())] {
            fs::write(gpg.path(name), bytes)?;
            fs::set_permissions(gpg.path(name), Permissions::from_mode(0o600))?;
        }
        let path = |name: &str| gpg.path(name).display().to_string();
        fs::create_dir_all(gpg.path("tree/usr/share/x"))?;
        fs::write(gpg.path("tree/usr/share/x/word"), "1")?;
        let (store, keys, tree) = (path("store"), path("keys"), path("tree"));
        let url = "https://example.org/r/";
        run(&bakery, &["keygen", &keys, "--repository", "r", "--url", url, "--unencrypted"])?;
        run(&bakery, &["bake", "--tree", &tree, "--name", "x", "--version", "1", "--out", &store])?;
        let index = ["index", &store, "--repository", "r", "--url", url, "--keys", &keys];
        let (secret, word) = (path("secret"), path("password"));
        let mut with = vec!["--openpgp-key", &secret];
        if !password.is_empty() {
            with.extend(["--openpgp-password-file", &word]);
        }
        let said = run(&bakery, &[&index[..], &with].concat())?;
        ensure!(said.contains(&primary), "{said}");
        for signature in ["SHA256SUMS.gpg", "SHA256SUMS.sha256.asc"] {
            let at = |name: &str| path(&format!("store/x/{name}"));
            gpg.run(When::Now, &["--verify", &at(signature), &at("SHA256SUMS")])
                .with_context(|| format!("{kind} {signature}"))?;
        }
    }
    Ok(())
}

/// Debian ships keys of other distributions; their algorithms must not affect the other keys.
fn distribution() -> Result<()> {
    let path = Peer::Trixie.root().join("usr/lib/systemd/import-pubring.gpg");
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let (ring, notes) = Keyring::parse(&bytes)?;
    ensure!(notes.is_empty(), "{notes:?}");
    ensure!(ring.fingerprints().len() > 3, "{:?}", ring.fingerprints());
    Ok(())
}

fn stock() -> Result<()> {
    // The peer has no agent, which gpg needs for secret keys
    let mut files = Vec::new();
    for (name, kind) in [("publisher", "ed25519"), ("stranger", "rsa3072")] {
        let gpg = Gpg::new()?;
        gpg.key(When::Now, name, kind, "sign", "never")?;
        files.push((format!("/srv/{name}.key"), gpg.run(When::Now, &["--export-secret-keys"])?));
        files.push((format!("/srv/{name}.pgp"), gpg.run(When::Now, &["--export"])?));
    }
    let bakery = program("bakery")?;
    let ours = bakery.parent().context("a program is in a directory")?;
    Peer::Trixie.enter(&[Shared { host: ours, peer: Path::new("/opt/ours") }])?;
    fs::create_dir_all("/srv/public")?;
    for (path, bytes) in files {
        fs::write(&path, bytes)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    }
    let server = Server::serve(Path::new("/srv/public")).context("cannot serve")?;
    let url = server.url();
    run(BAKERY, &["keygen", "/srv/keys", "--repository", "demo", "--url", &url, "--unencrypted"])?;
    let publish = |version: &str, key: &str| -> Result<()> {
        let tree = format!("/srv/tree/{version}");
        fs::create_dir_all(format!("{tree}/usr/share/demo"))?;
        fs::write(format!("{tree}/usr/share/demo/word"), version)?;
        run(
            BAKERY,
            &["bake", "--tree", &tree, "--name", "demo", "--version", version, "--out", "/srv/store"],
        )?;
        let index = ["index", "/srv/store", "--repository", "demo", "--url", &url, "--keys", "/srv/keys"];
        run(BAKERY, &[&index[..], &["--openpgp-key", &format!("/srv/{key}.key")]].concat())?;
        run(BAKERY, &["publish", "/srv/store", "--to", "/srv/public"])?;
        Ok(())
    };
    publish("1", "publisher")?;
    for directory in ["/etc/sysupdate.demo.d", "/var/lib/sysupdate/images/demo", "/var/lib/extensions"] {
        fs::create_dir_all(directory)?;
    }
    // An entry for our own catalog would be accepted before the signature
    let transfer = fs::read_to_string("/srv/public/demo/demo.transfer")?;
    ensure!(transfer.lines().any(|line| line == "Verify=yes"), "{transfer}");
    let lines: Vec<&str> = transfer.lines().filter(|line| !line.starts_with("Repository=")).collect();
    fs::write("/etc/sysupdate.demo.d/demo.transfer", lines.join("\n") + "\n")?;
    fs::create_dir_all("/etc/systemd")?;
    let keyring = Path::new("/etc/systemd/import-pubring.gpg");

    let both = |expected: Option<&str>| -> Result<()> {
        for program in [SYSUPDATE, STOCK_SYSUPDATE] {
            let said = run(program, &["-C", "demo", "check-new"]);
            match (expected, &said) {
                (Some(version), Ok(said)) if said.trim() == version => {}
                (None, Err(_)) => {}
                _ => bail!("{program} says {said:?}, expected {expected:?}"),
            }
        }
        Ok(())
    };
    // The peer has its own keyring with other keys
    both(None)?;
    fs::copy("/srv/stranger.pgp", keyring)?;
    both(None)?;
    fs::copy("/srv/publisher.pgp", keyring)?;
    both(Some("1"))?;
    run(STOCK_SYSUPDATE, &["-C", "demo", "update"])?;
    let installed = fs::canonicalize("/var/lib/extensions/demo.raw")?;
    ensure!(installed.to_string_lossy().contains("demo-1-"), "{}", installed.display());

    publish("2", "stranger")?;
    both(None)?;
    publish("3", "publisher")?;
    let manifest = fs::read_to_string("/srv/public/demo/SHA256SUMS")?;
    fs::write("/srv/public/demo/SHA256SUMS", manifest.replace("demo-1-", "demo-4-"))?;
    both(None)?;
    fs::copy("/srv/store/demo/SHA256SUMS", "/srv/public/demo/SHA256SUMS")?;
    both(Some("3"))?;
    server.forget();
    run(STOCK_SYSUPDATE, &["-C", "demo", "check-new"])?;
    let asked: Vec<String> = server.requests().into_iter().map(|request| request.path).collect();
    // 262 requests the armoured file first, and the binary one with its fourth request
    ensure!(asked == ["/demo/SHA256SUMS", "/demo/SHA256SUMS.gpg"], "stock asks for {asked:?}");
    run(SYSUPDATE, &["-C", "demo", "update"])?;
    ensure!(fs::read_to_string("/usr/share/demo/word")? == "3");
    Ok(())
}
