//! `bakery root`

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Subcommand;
use jiff::Timestamp;
use sysext_manifests::catalog::Root;
use sysext_manifests::envelope::{Role, is_same_key};

use crate::keys::roots::{Chain, Change, Need, RootError, Signed};
use crate::keys::{SigningKey, expiry, node_configuration, read_public};
use crate::naming;
use crate::store;

/// For how many days a root is believed unless said otherwise.
const LIFE_DEFAULT_DAYS: &str = "1825";

/// Say who may sign a repository's catalogs, and change it.
///
/// A root names the keys that sign roots (kept offline) and those that sign catalogs, and how many of each
/// must sign. A new root is signed by enough keys of the last one and by enough of its own, so that nodes which
/// know the last one believe it. Propose it with `init` or `rotate`, hand the file round, let each holder run
/// `show` and `sign`, and `finish` it into roots.json; `bakery index` and `bakery publish` bring it to the nodes.
///
/// A stolen catalog key is made worthless by a new root that does not name it: nodes forget the serial that the
/// thief signed, and start afresh under the new root. A stolen root key is made worthless in the same way as
/// long as the thief has fewer than the threshold; give new nodes the new keys, too.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Propose the first root of a repository: DIR/roots.pending.json, and DIR/NAME.toml for the nodes
    Init(Init),
    /// Propose the next root; what is not said stays as it is in the last one
    #[command(visible_alias = "add")]
    Rotate(Rotate),
    /// Show what a proposal says, then sign it with one key; needs no network and no other key
    Sign(Sign),
    /// Make a proposal that enough have signed the chain of roots
    Finish(Finish),
    /// Show roots: their keys, thresholds, ends, and who signed
    Show(Show),
}

#[derive(Debug, clap::Args)]
struct Init {
    /// Where the files go
    directory: PathBuf,
    /// The repository's name
    #[arg(long, value_name = "NAME")]
    repository: String,
    /// Where nodes find the repository
    #[arg(long)]
    url: String,
    /// A public key that signs roots (a .pub file, or the key); repeat it for each
    #[arg(long = "key", value_name = "KEY", required = true)]
    keys: Vec<String>,
    /// How many of them must sign
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    threshold: usize,
    /// A public key that signs catalogs; repeat it for each
    #[arg(long = "catalog-key", value_name = "KEY", required = true)]
    catalog_keys: Vec<String>,
    /// How many of them must sign
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    catalog_threshold: usize,
    /// For how many days the root is believed
    #[arg(long, value_name = "DAYS", default_value = LIFE_DEFAULT_DAYS, value_parser = clap::value_parser!(u32).range(1..))]
    expires_in: u32,
}

#[derive(Debug, clap::Args)]
struct Rotate {
    /// The finished chain
    roots: PathBuf,
    /// Where the proposal goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// A public key that signs roots from now on, instead of all there were; repeat it for each
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,
    /// How many of them must sign
    #[arg(long, value_name = "NUMBER")]
    threshold: Option<usize>,
    /// A public key that signs catalogs from now on, instead of all there were; repeat it for each
    #[arg(long = "catalog-key", value_name = "KEY")]
    catalog_keys: Vec<String>,
    /// How many of them must sign
    #[arg(long, value_name = "NUMBER")]
    catalog_threshold: Option<usize>,
    /// For how many days the root is believed
    #[arg(long, value_name = "DAYS", default_value = LIFE_DEFAULT_DAYS, value_parser = clap::value_parser!(u32).range(1..))]
    expires_in: u32,
}

#[derive(Debug, clap::Args)]
struct Sign {
    /// The proposal
    pending: PathBuf,
    /// The secret key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The file with the key's password (or set BAKERY_PASSWORD)
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Finish {
    /// The proposal; several copies of it that were signed apart are joined
    #[arg(required = true)]
    pending: Vec<PathBuf>,
    /// The chain it goes on from, roots.json; made if it is missing
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Show {
    /// The chain, finished or proposed
    roots: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(self) -> Result<()> {
        match self.verb {
            Verb::Init(args) => args.run(),
            Verb::Rotate(args) => args.run(),
            Verb::Sign(args) => args.run(),
            Verb::Finish(args) => args.run(),
            Verb::Show(args) => args.run(),
        }
    }
}

impl Init {
    fn run(self) -> Result<()> {
        naming::check_repository(&self.repository)?;
        let root = Root {
            number: 1,
            threshold: self.threshold,
            keys: read_keys(&self.keys)?,
            catalog: Role { threshold: self.catalog_threshold, keys: read_keys(&self.catalog_keys)? },
            expires: expires(self.expires_in)?,
        };
        let node_file = self.directory.join(format!("{}.toml", self.repository));
        let node = node_configuration(&self.repository, &self.url, &root.role())?;
        if node_file.symlink_metadata().is_ok() {
            return Err(RootError::Exists { path: node_file }.into());
        }
        let chain = Chain::begin(&self.directory.join("roots.pending.json"), root)?;
        chain.write_new()?;
        store::write(&node_file, node.as_bytes())?;
        propose(&chain, &self.directory.join("roots.pending.json"))?;
        super::print([node_file.display().to_string()])
    }
}

impl Rotate {
    fn run(self) -> Result<()> {
        let given = |keys: &[String]| match keys {
            [] => Ok(None),
            keys => read_keys(keys).map(Some),
        };
        let change = Change {
            keys: given(&self.keys)?,
            threshold: self.threshold,
            catalog_keys: given(&self.catalog_keys)?,
            catalog_threshold: self.catalog_threshold,
            expires: expires(self.expires_in)?,
        };
        let chain = Chain::read(&self.roots)?.next(&self.out, change)?;
        chain.write_new()?;
        propose(&chain, &self.out)
    }
}

impl Sign {
    fn run(self) -> Result<()> {
        let mut chain = Chain::read(&self.pending)?;
        if let Some(proposed) = chain.roots()?.last() {
            show(proposed)?;
        }
        let password = super::password(self.password_file.as_deref())?;
        let key = SigningKey::read(&self.key, password.as_ref())?;
        let Signed { root, needs } = chain.sign(&key)?;
        chain.write_back()?;
        super::print_fields(&[("signed now", key.public())])?;
        let missing = |need: &Need| match need.missing() {
            0 => None,
            missing => Some(format!("{missing} of the keys of root {}", need.of_root)),
        };
        let missing: Vec<_> = needs.iter().filter_map(missing).collect();
        super::say(match missing.is_empty() {
            true => format!(
                "Enough have signed root {}: `bakery root finish` makes it the chain of roots.",
                root.number
            ),
            false => {
                format!("Hand the file to the next one who signs; still to sign: {}.", missing.join(", "))
            }
        });
        Ok(())
    }
}

impl Finish {
    fn run(self) -> Result<()> {
        let mut copies = self.pending.iter().map(|path| Chain::read(path));
        let mut chain = copies.next().context("no proposal was given")??;
        for copy in copies {
            chain.join(&copy?)?;
        }
        chain.finish(&self.to, super::now()?)?;
        super::print([self.to.display().to_string()])?;
        let root = chain.last();
        eprintln!(
            "`bakery index` signs under root {} now, and publishing brings it to the nodes.",
            root.number
        );
        if root.number > 1 {
            eprintln!(
                "New nodes should be given its keys: threshold = {}, keys = {:?}",
                root.threshold, root.keys
            );
        }
        Ok(())
    }
}

impl Show {
    fn run(self) -> Result<()> {
        let roots = Chain::read(&self.roots)?.roots()?;
        if self.json {
            return super::print_json(&roots);
        }
        roots.iter().try_for_each(show)
    }
}

fn propose(chain: &Chain, path: &Path) -> Result<()> {
    if let Some(signed) = chain.roots()?.last() {
        show(signed)?;
    }
    eprintln!("Each holder of a key runs `bakery root sign {} --key FILE`.", path.display());
    super::print([path.display().to_string()])
}

fn show(signed: &Signed) -> Result<()> {
    let Signed { root, needs } = signed;
    let mut fields = vec![("root", root.number.to_string()), ("expires", root.expires.to_string())];
    let of = |threshold, keys: &[String]| format!("{threshold} of {}", keys.len());
    fields.push(("root keys", of(root.threshold, &root.keys)));
    fields.extend(root.keys.iter().map(|key| ("", key.clone())));
    fields.push(("catalog keys", of(root.catalog.threshold, &root.catalog.keys)));
    fields.extend(root.catalog.keys.iter().map(|key| ("", key.clone())));
    for need in needs {
        let count =
            format!("{} of the keys of root {}, {} must", need.signed.len(), need.of_root, need.threshold);
        fields.push(("signed by", count));
        fields.extend(need.signed.iter().map(|key| ("", key.clone())));
    }
    super::print_fields(&fields)?;
    let both = root.keys.iter().find(|key| root.catalog.keys.iter().any(|other| is_same_key(key, other)));
    if let Some(key) = both {
        eprintln!("warning: {key} signs roots and catalogs: whoever steals it from CI may name new keys");
    }
    Ok(())
}

fn read_keys(given: &[String]) -> Result<Vec<String>> {
    Ok(given.iter().map(|key| read_public(key)).collect::<Result<_, _>>()?)
}

fn expires(days: u32) -> Result<Timestamp> {
    expiry(super::now()?, days).with_context(|| format!("{days} days from now is no date"))
}
