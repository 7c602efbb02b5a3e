//! The publisher: creates keys, and releases versions of the extension `hello` with `bakery`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::output::Output;
use super::program::Program;
use super::supervisor::PROGRAMS;
use crate::node::architecture;

/// The name of the repository.
const REPOSITORY: &str = "quickstart";

/// The publisher and its directories.
#[derive(Debug)]
pub(super) struct Publisher<'a> {
    bakery: Program<'a>,
    directory: PathBuf,
    url: String,
}

/// A version that was published.
#[derive(Debug)]
pub(super) struct Released {
    /// The size of the image in bytes.
    pub(super) size: u64,
    /// The digest of the image.
    pub(super) sha256: String,
    /// The time for baking, signing and publishing.
    pub(super) took: Duration,
}

impl<'a> Publisher<'a> {
    /// Creates the keys of a repository at this URL.
    pub(super) fn new(directory: &Path, url: String, output: &'a Output) -> Result<Self> {
        let bakery = Program { path: directory.join(PROGRAMS).join("bakery"), output };
        let publisher = Self { bakery, directory: directory.to_owned(), url };
        let keys = publisher.path("keys");
        let arguments =
            ["keygen", &keys, "--repository", REPOSITORY, "--url", &publisher.url, "--unencrypted"];
        publisher.bakery.run("bakery keygen", &arguments, 0)?;
        Ok(publisher)
    }

    /// Writes the recipe of a version, bakes it, signs the new catalog, and publishes both. Without the greeting
    /// the program cannot work.
    pub(super) fn release(&self, version: &str, greeting: Option<&str>) -> Result<Released> {
        let recipe = self.write_recipe(version, greeting)?;
        let input = format!("hello={}", self.path(&format!("{PROGRAMS}/hello")));
        let [store, keys, public] = ["store", "keys", "public"].map(|name| self.path(name));
        let title = format!("bakery bake hello {version}");
        let arguments = ["bake", &recipe, "--input", &input, "--out", &store, "--json"];
        let baked = self.bakery.run(&title, &arguments, 0)?;
        let arguments = ["index", &store, "--repository", REPOSITORY, "--url", &self.url, "--keys", &keys];
        let indexed = self.bakery.run("bakery index", &arguments, 0)?;
        let published = self.bakery.run("bakery publish", &["publish", &store, "--to", &public], 0)?;
        Ok(Released {
            size: baked.number("/size")?,
            sha256: baked.text("/sha256")?,
            took: baked.took + indexed.took + published.took,
        })
    }

    /// The file that makes a node trust the repository.
    pub(super) fn repository_file(&self) -> PathBuf {
        self.directory.join("keys").join(format!("{REPOSITORY}.toml"))
    }

    /// The published transfer file.
    pub(super) fn transfer_file(&self) -> PathBuf {
        self.directory.join("public/hello/hello.transfer")
    }

    fn write_recipe(&self, version: &str, greeting: Option<&str>) -> Result<String> {
        let recipe = self.directory.join(format!("recipe-{version}"));
        let data = recipe.join("files/usr/share/hello");
        fs::create_dir_all(&data).with_context(|| format!("cannot create {}", data.display()))?;
        let text = format!(
            "name = \"hello\"\nversion = \"{version}\"\ndescription = \"Prints a greeting\"\n\
             license = \"MIT OR Apache-2.0\"\narch = [\"{}\"]\nhealth = [\"exec:/usr/bin/hello\"]\n\n\
             [[binary]]\npath = \"usr/bin/hello\"\ninput = \"hello\"\n",
            architecture()?
        );
        let mut files = vec![(recipe.join("recipe.toml"), text), (data.join("version"), version.to_owned())];
        files.extend(greeting.map(|greeting| (data.join("greeting"), format!("{greeting}\n"))));
        for (path, text) in files {
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(recipe.display().to_string())
    }

    fn path(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }
}
