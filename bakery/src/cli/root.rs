//! `bakery root`

use std::path::{Path, PathBuf};

use clap::Subcommand;
use jiff::Timestamp;
use sysext_manifests::catalog::{CATALOG_LIFETIME_DEFAULT_DAYS, Root};
use sysext_manifests::envelope::{Role, is_same_key};

use super::output::{print, print_fields, print_json, say, warn};
use super::{Result, password};
use crate::failure::Failure;
use crate::keys::roots::{Chain, Change, Need, RootError, Signed};
use crate::keys::{expiry, node_configuration, read_public};
use crate::naming;
use crate::store;

/// The default validity of a root in days.
const VALIDITY_DEFAULT_DAYS: &str = "1825";

/// Manage which keys may sign a repository's catalogs.
///
/// A root names the keys that sign roots (kept offline) and the keys that sign catalogs, with the number of required
/// signatures for each. A new root needs the required signatures of the previous root's keys and of its own, so that
/// nodes accept it. Propose it with `init` or `rotate`, pass the file around; each holder runs `show` and `sign`; then
/// `finish` writes roots.json. `bakery index` and `bakery publish` deliver it to the nodes.
///
/// To revoke a stolen catalog key, create a new root without it: serial numbers start again under the new root. A stolen
/// root key is revoked the same way, if the thief has fewer keys than required; provision new nodes with the new keys.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Propose the first root of a repository: DIR/roots.pending.json, and DIR/NAME.toml for the nodes
    Init(Init),
    /// Propose the next root; anything not specified is kept from the previous root
    #[command(visible_alias = "add")]
    Rotate(Rotate),
    /// Show a proposal, then sign it with one key; works offline
    Sign(Sign),
    /// Turn a sufficiently signed proposal into the current chain of roots
    Finish(Finish),
    /// Show roots with their keys, thresholds, expiry dates and signatures
    Show(Show),
}

#[derive(Debug, clap::Args)]
struct Init {
    /// Directory for the files
    directory: PathBuf,
    /// Name of the repository
    #[arg(long, value_name = "NAME")]
    repository: String,
    /// Base URL of the repository
    #[arg(long)]
    url: String,
    /// Public key that may sign roots: a .pub file, or the key itself (repeatable)
    #[arg(long = "key", value_name = "KEY", required = true)]
    keys: Vec<String>,
    /// How many of them must sign
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    threshold: usize,
    /// Public key that may sign catalogs (repeatable)
    #[arg(long = "catalog-key", value_name = "KEY", required = true)]
    catalog_keys: Vec<String>,
    /// How many of them must sign
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    catalog_threshold: usize,
    /// Longest validity that a catalog may have, in days
    #[arg(long, value_name = "DAYS", default_value_t = CATALOG_LIFETIME_DEFAULT_DAYS, value_parser = clap::value_parser!(u32).range(1..))]
    catalog_lifetime: u32,
    /// Validity of the root, in days
    #[arg(long, value_name = "DAYS", default_value = VALIDITY_DEFAULT_DAYS, value_parser = clap::value_parser!(u32).range(1..))]
    expires_in: u32,
}

#[derive(Debug, clap::Args)]
struct Rotate {
    /// The finished chain
    roots: PathBuf,
    /// File for the proposal
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Public key that may sign roots from now on; replaces the previous set (repeatable)
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,
    /// How many of them must sign
    #[arg(long, value_name = "NUMBER")]
    threshold: Option<usize>,
    /// Public key that may sign catalogs from now on; replaces the previous set (repeatable)
    #[arg(long = "catalog-key", value_name = "KEY")]
    catalog_keys: Vec<String>,
    /// How many of them must sign
    #[arg(long, value_name = "NUMBER")]
    catalog_threshold: Option<usize>,
    /// Longest validity that a catalog may have, in days
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..))]
    catalog_lifetime: Option<u32>,
    /// Validity of the root, in days
    #[arg(long, value_name = "DAYS", default_value = VALIDITY_DEFAULT_DAYS, value_parser = clap::value_parser!(u32).range(1..))]
    expires_in: u32,
}

#[derive(Debug, clap::Args)]
struct Sign {
    /// The proposal
    pending: PathBuf,
    /// The secret key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// File with the key's password (or set BAKERY_PASSWORD)
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Finish {
    /// The proposal; signatures from several copies are merged
    #[arg(required = true)]
    pending: Vec<PathBuf>,
    /// The chain to extend (roots.json); created if missing
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
            repository: self.repository.clone(),
            number: 1,
            threshold: self.threshold,
            keys: read_keys(&self.keys)?,
            catalog: Role { threshold: self.catalog_threshold, keys: read_keys(&self.catalog_keys)? },
            catalog_lifetime_max_days: self.catalog_lifetime,
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
        print([node_file.display().to_string()])
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
            catalog_lifetime: self.catalog_lifetime,
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
        let key = password::unlock(&self.key, self.password_file.as_deref())?;
        let Signed { root, needs } = chain.sign(&key)?;
        chain.write_back()?;
        print_fields(&[("signed now", key.public())])?;
        let missing = |need: &Need| match need.missing() {
            0 => None,
            missing => Some(format!("{missing} from the keys of root {}", need.of_root)),
        };
        let missing: Vec<_> = needs.iter().filter_map(missing).collect();
        say(match missing.is_empty() {
            true => format!("Root {} is fully signed. Run `bakery root finish` to activate it.", root.number),
            false => {
                format!("Pass the file to the next signer; missing: {}.", missing.join(", "))
            }
        });
        Ok(())
    }
}

impl Finish {
    fn run(self) -> Result<()> {
        let mut copies = self.pending.iter().map(|path| Chain::read(path));
        let mut chain = copies.next().ok_or_else(|| Failure::new("no proposal was given"))??;
        for copy in copies {
            chain.join(&copy?)?;
        }
        chain.finish(&self.to, super::now()?)?;
        print([self.to.display().to_string()])?;
        let root = chain.last();
        say(format_args!(
            "`bakery index` now uses root {}; it reaches nodes with the next publish.",
            root.number
        ));
        if root.number > 1 {
            say(format_args!(
                "Provision new nodes with its keys: threshold = {}, keys = {:?}",
                root.threshold, root.keys
            ));
        }
        Ok(())
    }
}

impl Show {
    fn run(self) -> Result<()> {
        let roots = Chain::read(&self.roots)?.roots()?;
        if self.json {
            return print_json(&roots);
        }
        roots.iter().try_for_each(show)
    }
}

fn propose(chain: &Chain, path: &Path) -> Result<()> {
    if let Some(signed) = chain.roots()?.last() {
        show(signed)?;
    }
    say(format_args!("Each holder of a key runs `bakery root sign {} --key FILE`.", path.display()));
    print([path.display().to_string()])
}

fn show(signed: &Signed) -> Result<()> {
    let Signed { root, needs } = signed;
    let mut fields = vec![
        ("root", root.number.to_string()),
        ("repository", root.repository.clone()),
        ("expires", root.expires.to_string()),
    ];
    let of = |threshold, keys: &[String]| format!("{threshold} of {}", keys.len());
    fields.push(("root keys", of(root.threshold, &root.keys)));
    fields.extend(root.keys.iter().map(|key| ("", key.clone())));
    fields.push(("catalog keys", of(root.catalog.threshold, &root.catalog.keys)));
    fields.extend(root.catalog.keys.iter().map(|key| ("", key.clone())));
    fields.push(("lifetime", format!("at most {} days for a catalog", root.catalog_lifetime_max_days)));
    for need in needs {
        let count = format!("{} of {} required (root {})", need.signed.len(), need.threshold, need.of_root);
        fields.push(("signatures", count));
        fields.extend(need.signed.iter().map(|key| ("", key.clone())));
    }
    print_fields(&fields)?;
    let both = root.keys.iter().find(|key| root.catalog.keys.iter().any(|other| is_same_key(key, other)));
    if let Some(key) = both {
        warn(format_args!(
            "{key} signs roots and catalogs: anyone who steals it from CI can authorise new keys"
        ));
    }
    Ok(())
}

fn read_keys(given: &[String]) -> Result<Vec<String>> {
    Ok(given.iter().map(|key| read_public(key)).collect::<Result<_, _>>()?)
}

fn expires(days: u32) -> Result<Timestamp> {
    Ok(expiry(super::now()?, days)?)
}
