//! A publisher of images that can sign anything.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use minisign::KeyPair;
use sysext_manifests::architecture::Architecture;
use sysext_manifests::catalog::{
    CATALOG_LIFETIME_DEFAULT_DAYS, Catalog, CatalogFile, FORMAT, Instance, Resource, Root, Units,
};
use sysext_manifests::digest::Sha256;
use sysext_manifests::envelope::{Envelope, Role, Signature};
use tempfile::TempDir;

use crate::server::Server;

/// The time that the clock of a node shows by default.
pub const NOW: &str = "2026-11-25T12:00:00Z";
/// The time at which catalogs are signed by default.
pub const ISSUED: &str = "2026-11-25T10:00:00Z";
/// The lifetime of a catalog in hours.
const LIFE: i64 = 14 * 24;

/// A publisher of images.
pub struct Publisher {
    /// The current offer; [`Publisher::issue`] signs and serves it.
    pub catalog: Catalog,
    /// The server.
    pub server: Server,
    /// The signing keys. Tests change them to sign wrongly.
    pub keys: Keys,
    directory: TempDir,
}

/// One key for each role.
pub struct Keys {
    /// Signs the root.
    pub root: KeyPair,
    /// Signs the catalog.
    pub catalog: KeyPair,
    /// The catalog key that the root names.
    pub named: String,
}

impl Publisher {
    /// A publisher without any images.
    pub fn new(id: &str) -> Result<Self> {
        let (root, catalog) =
            (KeyPair::generate_unencrypted_keypair()?, KeyPair::generate_unencrypted_keypair()?);
        let named = catalog.pk.to_base64();
        let directory = tempfile::tempdir().context("cannot make a directory to serve")?;
        let server = Server::serve(directory.path())?;
        let issued: Timestamp = ISSUED.parse()?;
        let catalog_now = Catalog {
            version: FORMAT,
            repository: id.to_owned(),
            root: 1,
            serial: 0,
            issued,
            expires: issued + jiff::SignedDuration::from_hours(LIFE),
            extensions: BTreeMap::new(),
        };
        Ok(Self { catalog: catalog_now, server, keys: Keys { root, catalog, named }, directory })
    }

    /// Signs by the real clock from now on, for programs that use it.
    pub fn today(mut self) -> Result<Self> {
        // The program does not accept a time before its release.
        let released: Timestamp = sysupdate::repository::RELEASED.parse()?;
        self.catalog.issued = Timestamp::now().max(released);
        self.catalog.expires = self.catalog.issued + jiff::SignedDuration::from_hours(LIFE);
        Ok(self)
    }

    /// The repository's name.
    pub fn id(&self) -> &str {
        &self.catalog.repository
    }

    /// The key that signs the root.
    pub fn root_key(&self) -> String {
        self.keys.root.pk.to_base64()
    }

    /// The address of the server.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// A file of the repository.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(path)
    }

    /// The file that makes a node trust this repository with these keys.
    pub fn description(&self, keys: &[String]) -> String {
        let keys: Vec<_> = keys.iter().map(|key| format!("'{key}'")).collect();
        format!("url = '{}'\nkeys = [{}]\n", self.url(), keys.join(", "))
    }

    /// A transfer for one extension of the signed catalog; `more` is appended to `[X-Sysupdate]`.
    pub fn transfer(&self, name: &str, more: &str) -> String {
        self.transfer_into(name, &format!("/var/lib/sysupdate/images/{name}"), more)
    }

    /// The same with another directory for the images.
    pub fn transfer_into(&self, name: &str, directory: &str, more: &str) -> String {
        format!(
            "[Transfer]\nVerify=no\n\n\
             [Source]\nType=url-file\nPath={url}/{name}/\nMatchPattern={name}-@v-%a.raw\n\n\
             [Target]\nType=regular-file\nPath={directory}\nMatchPattern={name}-@v-%a.raw\n\
             CurrentSymlink=/var/lib/extensions/{name}.raw\n\n\
             [X-Sysupdate]\nRepository={id}\n{more}",
            url = self.url(),
            id = self.id(),
        )
    }

    /// Offers a version; returns its catalog entry, so that tests can change it.
    pub fn offer(&mut self, name: &str, version: &str, image: impl AsRef<[u8]>) -> Result<&mut Instance> {
        let image = image.as_ref();
        let arch = architecture()?;
        let url = format!("{name}/{name}-{version}-{arch}.raw");
        let path = self.path(&url);
        fs::create_dir_all(path.parent().context("no parent")?)?;
        fs::write(&path, image)?;
        let instances = &mut self.catalog.extensions.entry(name.to_owned()).or_default().instances;
        instances.retain(|instance| instance.version.as_str() != version);
        instances.push(Instance {
            version: version.parse()?,
            upstream: version.to_owned(),
            revision: 1,
            stream: None,
            channel: "stable".to_owned(),
            arch,
            image: Resource { url, size: image.len() as u64, sha256: Sha256::of(image) },
            format: "erofs".to_owned(),
            codec: "none".to_owned(),
            kernel: "5.15".to_owned(),
            writer: "test".to_owned(),
            verity: None,
            transport: Vec::new(),
            deltas: Vec::new(),
            release: BTreeMap::new(),
            requires: Vec::new(),
            conflicts: Vec::new(),
            units: Units::default(),
            health: Vec::new(),
            waves: Vec::new(),
            withdrawn: None,
        });
        self.write_checksums(name)?;
        let instances = &mut self.catalog.extensions.get_mut(name).context("just made")?.instances;
        instances.last_mut().context("just pushed")
    }

    /// The file name of a version.
    pub fn file(name: &str, version: &str) -> Result<String> {
        Ok(format!("{name}-{version}-{}.raw", architecture()?))
    }

    /// Signs a catalog with the next serial number and serves it.
    pub fn issue(&mut self) -> Result<()> {
        self.catalog.serial += 1;
        self.sign()
    }

    /// Signs the catalog unchanged and serves it.
    pub fn sign(&self) -> Result<()> {
        let Keys { root, catalog, named } = &self.keys;
        let document = Root {
            repository: self.catalog.repository.clone(),
            number: 1,
            threshold: 1,
            keys: vec![root.pk.to_base64()],
            catalog: Role { threshold: 1, keys: vec![named.clone()] },
            catalog_lifetime_max_days: CATALOG_LIFETIME_DEFAULT_DAYS,
            expires: self.catalog.expires + jiff::SignedDuration::from_hours(20 * 365 * 24),
        };
        let roots = vec![seal(&document, root)?];
        let file = CatalogFile { version: FORMAT, roots, catalog: seal(&self.catalog, catalog)? };
        let path = self.path("catalog/catalog.json");
        fs::create_dir_all(path.parent().context("no parent")?)?;
        fs::write(&path, serde_json::to_vec(&file)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    fn write_checksums(&self, name: &str) -> Result<()> {
        let instances = &self.catalog.extensions[name].instances;
        let line =
            |instance: &Instance| format!("{}  {}\n", instance.image.sha256, instance.image.file_name());
        let lines: String = instances.iter().map(line).collect();
        fs::write(self.path(format!("{name}/SHA256SUMS")), lines).context("cannot write SHA256SUMS")
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("named", &self.named).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("catalog", &self.catalog).finish_non_exhaustive()
    }
}

fn seal<T: serde::Serialize>(document: &T, key: &KeyPair) -> Result<Envelope> {
    let packed = Envelope::pack(document)?;
    let minisig = minisign::sign(None, &key.sk, packed.as_slice(), None, None)?.into_string();
    Ok(Envelope::seal(&packed, vec![Signature { key: key.pk.to_base64(), minisig }]))
}

/// The architecture of this machine, with systemd's name for it.
pub fn architecture() -> Result<Architecture> {
    let kernel = rustix::system::uname();
    Architecture::of_machine(&kernel.machine().to_string_lossy())
        .context("systemd has no name for this architecture")
}
