//! The publisher's side: keys, and releases made with `bakery`.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::keeper::PROGRAMS;
use super::program::{Ending, Program};
use super::slide::{Place, Row, Slide};

/// The repository's name.
pub(super) const REPOSITORY: &str = "quickstart";

/// Someone who publishes.
#[derive(Debug)]
pub(super) struct Publisher<'a> {
    bakery: Program,
    directory: &'a Path,
    slide: &'a Slide,
    url: String,
}

/// A version to release.
#[derive(Debug)]
pub(super) struct Version<'a> {
    /// What it is called.
    pub(super) name: &'a str,
    /// Its recipe.
    pub(super) recipe: &'a Path,
    /// The program that goes in.
    pub(super) program: &'a Path,
}

/// An image on offer.
#[derive(Debug)]
pub(super) struct Released {
    /// Its digest.
    pub(super) sha256: String,
}

impl<'a> Publisher<'a> {
    /// Makes fresh keys.
    pub(super) fn begin(directory: &'a Path, url: String, slide: &'a Slide) -> Result<Self> {
        let bakery = Program { path: directory.join(PROGRAMS).join("bakery") };
        let publisher = Self { bakery, directory, slide, url };
        let keys = publisher.keys();
        let made = publisher.bakery.ask(
            [
                "keygen".as_ref(),
                keys.as_os_str(),
                "--repository".as_ref(),
                REPOSITORY.as_ref(),
                "--url".as_ref(),
                publisher.url.as_ref(),
                "--unencrypted".as_ref(),
                "--json".as_ref(),
            ],
            Ending::Well,
        )?;
        let row = |stage, took, file: &str, key| {
            let path = keys.join(file);
            let row = Row { stage, took, signer: Some(key), place: Place::At(&path), ..Row::default() };
            slide.row(&row);
        };
        row("keygen", Some(made.took), "root.key", made.text("/root")?);
        row("", None, "catalog.key", made.text("/catalog")?);
        slide.note("the root key says who may sign catalogs and stays offline; the catalog key signs");
        Ok(publisher)
    }

    /// Bakes a version, signs what is on offer now, and publishes it.
    pub(super) fn release(&self, version: &Version<'_>) -> Result<Released> {
        let store = self.directory.join("store");
        let mut input = std::ffi::OsString::from("sysupdate=");
        input.push(version.program);
        let baked = self.bakery.ask(
            [
                "bake".as_ref(),
                version.recipe.as_os_str(),
                "--version".as_ref(),
                version.name.as_ref(),
                "--input".as_ref(),
                &input,
                "--out".as_ref(),
                store.as_os_str(),
                "--json".as_ref(),
            ],
            Ending::Well,
        )?;
        let sha256 = baked.text("/sha256")?.to_owned();
        self.slide.row(&Row {
            stage: "bake",
            took: Some(baked.took),
            size: Some(baked.number("/size")?),
            digest: Some(&sha256),
            place: Place::At(Path::new(baked.text("/path")?)),
            ..Row::default()
        });
        self.slide.note(&format!("{} files, written by {}", baked.number("/files")?, baked.text("/writer")?));
        self.index(&store)?;
        self.publish(&store)?;
        Ok(Released { sha256 })
    }

    fn index(&self, store: &Path) -> Result<()> {
        let indexed = self.bakery.ask(
            [
                "index".as_ref(),
                store.as_os_str(),
                "--repository".as_ref(),
                REPOSITORY.as_ref(),
                "--url".as_ref(),
                self.url.as_ref(),
                "--keys".as_ref(),
                self.keys().as_os_str(),
                "--json".as_ref(),
            ],
            Ending::Well,
        )?;
        let catalog = store.join("catalog/catalog.json");
        self.slide.row(&Row {
            stage: "index",
            took: Some(indexed.took),
            size: catalog.metadata().ok().map(|catalog| catalog.len()),
            digest: Some(indexed.text("/sha256")?),
            signer: Some(indexed.text("/key")?),
            place: Place::At(&catalog),
        });
        let (serial, expires) = (indexed.number("/serial")?, indexed.text("/expires")?);
        self.slide.note(&format!("the catalog has serial {serial} and ends at {expires}"));
        Ok(())
    }

    fn publish(&self, store: &Path) -> Result<()> {
        let public = self.public();
        let published = self.bakery.ask(
            ["publish".as_ref(), store.as_os_str(), "--to".as_ref(), public.as_os_str(), "--json".as_ref()],
            Ending::Well,
        )?;
        let place = format!("public/, {} files, served at {}/", published.count("/copied")?, self.url);
        self.slide.row(&Row {
            stage: "publish",
            took: Some(published.took),
            size: Some(published.number("/bytes")?),
            place: Place::Said(place),
            ..Row::default()
        });
        Ok(())
    }

    fn keys(&self) -> PathBuf {
        self.directory.join("keys")
    }

    fn public(&self) -> PathBuf {
        self.directory.join("public")
    }

    /// The file that makes a node trust the repository.
    pub(super) fn node_file(&self) -> PathBuf {
        self.keys().join(format!("{REPOSITORY}.toml"))
    }

    /// The published transfer file.
    pub(super) fn transfer_file(&self) -> PathBuf {
        self.public().join("sysupdate/sysupdate.transfer")
    }
}
