//! A publisher with keys, a store and a served directory, and a node, through the real programs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tests::programs::program;
use tests::scratch::Root;

/// The path of the catalog for nodes.
const SERVED: &str = "served/catalog/catalog.json";

/// The publisher's directory and the node's root.
pub(crate) struct Site {
    directory: TempDir,
    bakery: PathBuf,
    sysupdate: PathBuf,
    pub(crate) node: Root,
}

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Run {
    status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Site {
    /// Without keys and releases; the node trusts no key.
    pub(crate) fn bare() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let node = Root::lay(&directory.path().join("node"))?;
        let site = Self { bakery: program("bakery")?, sysupdate: program("sysupdate")?, node, directory };
        let tool = site.path("tree/usr/bin/x");
        fs::create_dir_all(tool.parent().context("no parent")?)?;
        fs::write(&tool, "#!/bin/sh\necho one\n")?;
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o755))?;
        Ok(site)
    }

    /// One root key and one catalog key in `keys/`, version 1.0 released, and a node that trusts the root key.
    pub(crate) fn open() -> Result<Self> {
        let site = Self::bare()?;
        site.bakery(&["keygen", "keys", "--repository", "example", "--url", &site.url(), "--unencrypted"])?
            .succeeds()?;
        site.bake("1.0")?;
        site.index(&[])?.succeeds()?;
        site.publish()?;
        site.node.trust(&site.path("keys/example.toml"))?;
        site.define()?;
        Ok(site)
    }

    /// Makes the node follow the extension; nothing is merged, because this tests trust.
    pub(crate) fn define(&self) -> Result<()> {
        self.node.define("x", &self.path("served/x/x.transfer"))?;
        self.node.drop_in("x", "x", "10-none", "[X-Sysupdate]\nActivate=none\n")
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    pub(crate) fn url(&self) -> String {
        format!("file://{}", self.path("served").display())
    }

    pub(crate) fn read(&self, path: &str) -> Result<String> {
        fs::read_to_string(self.path(path)).with_context(|| path.to_owned())
    }

    pub(crate) fn write(&self, path: &str, text: &str) -> Result<()> {
        fs::write(self.path(path), text).with_context(|| path.to_owned())
    }

    pub(crate) fn bakery(&self, arguments: &[&str]) -> Result<Run> {
        self.run(&self.bakery, arguments)
    }

    fn run(&self, program: &Path, arguments: &[&str]) -> Result<Run> {
        let mut command = Command::new(program);
        command.current_dir(self.directory.path()).env_remove("BAKERY_PASSWORD").args(arguments);
        let Output { status, stdout, stderr } =
            command.output().with_context(|| format!("cannot run {command:?}"))?;
        Ok(Run { status, stdout: String::from_utf8(stdout)?, stderr: String::from_utf8(stderr)? })
    }

    pub(crate) fn bake(&self, version: &str) -> Result<()> {
        let tree = ["bake", "--tree", "tree", "--name", "x", "--version", version, "--codec", "none"];
        self.bakery(&[&tree[..], &["--out", "store"]].concat())?.succeeds()?;
        Ok(())
    }

    pub(crate) fn index(&self, arguments: &[&str]) -> Result<Run> {
        let index = ["index", "store", "--repository", "example", "--url", &self.url(), "--keys", "keys"];
        self.bakery(&[&index[..], arguments].concat())
    }

    pub(crate) fn publish(&self) -> Result<()> {
        self.bakery(&["publish", "store", "--to", "served"])?.succeeds()?;
        Ok(())
    }

    /// Bakes, signs and publishes a version.
    pub(crate) fn release(&self, version: &str) -> Result<()> {
        self.bake(version)?;
        self.index(&[])?.succeeds()?;
        self.publish()
    }

    /// Creates `NAME.key` and `NAME.pub`.
    pub(crate) fn keys(&self, names: &[&str]) -> Result<()> {
        for name in names {
            self.bakery(&["key", name, "--unencrypted"])?.succeeds()?;
        }
        Ok(())
    }

    /// Creates a repository with this first root; each of `signers` signs it.
    pub(crate) fn init(&self, root: &[&str], signers: &[&str]) -> Result<()> {
        let url = self.url();
        let init = ["root", "init", "keys", "--repository", "example", "--url", &url];
        self.bakery(&[&init[..], root].concat())?.succeeds()?;
        self.sign("keys/roots.pending.json", signers)?;
        self.bakery(&["root", "finish", "keys/roots.pending.json", "--to", "keys/roots.json"])?.succeeds()?;
        self.node.trust(&self.path("keys/example.toml"))
    }

    pub(crate) fn propose(&self, out: &str, change: &[&str]) -> Result<()> {
        self.bakery(&[&["root", "rotate", "keys/roots.json", "--out", out], change].concat())?.succeeds()?;
        Ok(())
    }

    pub(crate) fn sign(&self, pending: &str, signers: &[&str]) -> Result<()> {
        for signer in signers {
            let key = format!("{signer}.key");
            self.bakery(&["root", "sign", pending, "--key", &key])?.succeeds()?;
        }
        Ok(())
    }

    /// Creates the next root, signed by each of `signers`.
    pub(crate) fn rotate(&self, change: &[&str], signers: &[&str]) -> Result<()> {
        self.propose("next.json", change)?;
        self.sign("next.json", signers)?;
        self.bakery(&["root", "finish", "next.json", "--to", "keys/roots.json"])?.succeeds()?;
        Ok(fs::remove_file(self.path("next.json"))?)
    }

    /// The served catalog.
    pub(crate) fn served(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.read(SERVED)?)?)
    }

    /// Serves other bytes as the catalog.
    pub(crate) fn serve(&self, catalog: &Value) -> Result<()> {
        self.write(SERVED, &serde_json::to_string(catalog)?)
    }

    pub(crate) fn sysupdate(&self, arguments: &[&str]) -> Result<Run> {
        let root = format!("--root={}", self.node.path().display());
        self.run(&self.sysupdate, &[&[root.as_str()], arguments].concat())
    }

    pub(crate) fn update(&self) -> Result<Run> {
        self.sysupdate(&["-C", "x", "update"])
    }

    /// What the node prints about the repository.
    pub(crate) fn trust(&self) -> Result<Value> {
        let stdout = self.sysupdate(&["trust", "show", "example", "--json"])?.succeeds()?;
        Ok(serde_json::from_str::<Value>(&stdout)?[0].take())
    }

    /// The recorded number of the root, and the serial number.
    pub(crate) fn marks(&self) -> Result<(u64, u64)> {
        let remembered = self.trust()?["remembered"].take();
        let number = |value: &Value| value.as_u64().with_context(|| remembered.to_string());
        Ok((number(&remembered["root"]["number"])?, number(&remembered["serial"])?))
    }

    /// Whether the node has the image of a version.
    pub(crate) fn has(&self, version: &str) -> Result<bool> {
        let directory = self.node.below("var/lib/sysupdate/images/x");
        let prefix = format!("x-{version}-");
        let names = fs::read_dir(directory).into_iter().flatten();
        let names = names.collect::<Result<Vec<_>, _>>()?;
        Ok(names.iter().any(|name| name.file_name().to_string_lossy().starts_with(&prefix)))
    }

    /// Requires that the node rejects the served catalog for this reason, and keeps its state.
    pub(crate) fn refuses(&self, version: &str, reason: &str) -> Result<()> {
        let error = self.update()?.fails()?;
        ensure!(error.contains(reason), "{error}\nbut expected: {reason}");
        ensure!(!self.has(version)?, "{version} was installed all the same");
        Ok(())
    }
}

impl Run {
    pub(crate) fn succeeds(self) -> Result<String> {
        ensure!(self.status.success(), "{}\n{}", self.status, self.stderr);
        Ok(self.stdout)
    }

    /// What it reported on failure.
    pub(crate) fn fails(self) -> Result<String> {
        ensure!(self.status.code() == Some(1), "{}\n{}{}", self.status, self.stdout, self.stderr);
        Ok(self.stderr + &self.stdout)
    }
}
