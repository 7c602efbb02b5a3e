//! The chain of roots: which keys sign roots and catalogs, and how they are replaced.
//!
//! A proposal has the same format as the finished `roots.json`: the roots so far and the proposed one with the
//! signatures it has. It is passed from one key holder to the next, none of whom needs the keys of the others or a
//! network. A chain is finished when a node that trusts its first root accepts its last one.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use sysext_manifests::catalog::Root;
use sysext_manifests::envelope::{Envelope, Role, is_same_key};
use sysext_manifests::repository::Repository;
use sysext_manifests::trust;

use crate::keys::SigningKey;
use crate::store::{self, JsonError};

mod error;

pub(crate) use error::RootError;

/// The chain of roots in one file; the last may still be a proposal.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    path: PathBuf,
    links: Vec<(Envelope, Root)>,
}

/// The changes from the last root to the next one. `None` keeps the value.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// The keys that sign roots.
    pub(crate) keys: Option<Vec<String>>,
    pub(crate) threshold: Option<usize>,
    /// The keys that sign catalogs.
    pub(crate) catalog_keys: Option<Vec<String>>,
    pub(crate) catalog_threshold: Option<usize>,
    /// The longest lifetime of a catalog in days.
    pub(crate) catalog_lifetime: Option<u32>,
    pub(crate) expires: Timestamp,
}

/// A root and its signatures.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Signed {
    #[serde(flatten)]
    pub(crate) root: Root,
    /// The required signatures: from the keys of the root before it, if there is one, and from its own.
    pub(crate) needs: Vec<Need>,
}

/// Required signatures of a root.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Need {
    /// The root whose keys sign.
    pub(crate) of_root: u64,
    pub(crate) threshold: usize,
    /// The keys that signed.
    pub(crate) signed: Vec<String>,
    /// The keys that can still sign.
    pub(crate) unsigned: Vec<String>,
}

impl Need {
    /// The number of signatures that are still required.
    pub(crate) fn missing(&self) -> usize {
        self.threshold.saturating_sub(self.signed.len())
    }
}

impl Chain {
    /// Proposes the first root of a repository, without writing it.
    pub(crate) fn begin(path: &Path, root: Root) -> Result<Self, RootError> {
        Self { path: path.to_owned(), links: Vec::new() }.proposing(Root { number: 1, ..root })
    }

    /// Reads a chain, finished or not, without checking it.
    pub(crate) fn read(path: &Path) -> Result<Self, RootError> {
        let bytes = store::read_if_present(path).map_err(RootError::File)?;
        let bytes = bytes.ok_or_else(|| RootError::Missing { path: path.to_owned() })?;
        let envelopes: Vec<Envelope> =
            serde_json::from_slice(&bytes).map_err(|error| RootError::Json(JsonError::new(path, &error)))?;
        let link = |(index, envelope): (usize, Envelope)| {
            let root = envelope.unpack_unverified().map_err(|source| RootError::Envelope {
                path: path.to_owned(),
                position: index + 1,
                source,
            })?;
            Ok((envelope, root))
        };
        let links: Vec<_> = envelopes.into_iter().enumerate().map(link).collect::<Result<_, RootError>>()?;
        if links.is_empty() {
            return Err(RootError::Empty { path: path.to_owned() });
        }
        Ok(Self { path: path.to_owned(), links })
    }

    /// Proposes the next root of a finished chain for another file, without writing it.
    pub(crate) fn next(&self, path: &Path, change: Change) -> Result<Self, RootError> {
        self.check()?;
        let last = self.last();
        let Change { keys, threshold, catalog_keys, catalog_threshold, catalog_lifetime, expires } = change;
        let root = Root {
            repository: last.repository.clone(),
            number: last
                .number
                .checked_add(1)
                .ok_or_else(|| RootError::LastNumber { path: self.path.clone() })?,
            threshold: threshold.unwrap_or(last.threshold),
            keys: keys.unwrap_or_else(|| last.keys.clone()),
            catalog: Role {
                threshold: catalog_threshold.unwrap_or(last.catalog.threshold),
                keys: catalog_keys.unwrap_or_else(|| last.catalog.keys.clone()),
            },
            catalog_lifetime_max_days: catalog_lifetime.unwrap_or(last.catalog_lifetime_max_days),
            expires,
        };
        Self { path: path.to_owned(), links: self.links.clone() }.proposing(root)
    }

    fn proposing(mut self, root: Root) -> Result<Self, RootError> {
        check_role("root", &root.role())?;
        check_role("catalog", &root.catalog)?;
        let packed = Envelope::pack(&root).map_err(RootError::Pack)?;
        self.links.push((Envelope::seal(&packed, Vec::new()), root));
        Ok(self)
    }

    /// The newest root, which may still be a proposal.
    pub(crate) fn last(&self) -> &Root {
        let (_, root) = self.links.last().expect("a chain has a root: `read` refuses an empty one");
        root
    }

    /// Every root with its signatures, oldest first.
    pub(crate) fn roots(&self) -> Result<Vec<Signed>, RootError> {
        (0..self.links.len()).map(|index| self.signed(index)).collect()
    }

    fn signed(&self, index: usize) -> Result<Signed, RootError> {
        let (envelope, root) = &self.links[index];
        let before = index.checked_sub(1).map(|before| &self.links[before].1);
        let need = |signer: &Root| {
            let signed = envelope.signers(&signer.role()).map_err(|source| RootError::Envelope {
                path: self.path.clone(),
                position: index + 1,
                source,
            })?;
            let unsigned = signer.keys.iter().filter(|key| !signed.contains(key)).cloned().collect();
            Ok(Need { of_root: signer.number, threshold: signer.threshold, signed, unsigned })
        };
        let needs = before.into_iter().chain([root]).map(need).collect::<Result<_, RootError>>()?;
        Ok(Signed { root: root.clone(), needs })
    }

    /// Adds a signature to the newest root. The chain before it must be finished, and the key must be a required one.
    /// A root that contains anything that [`Signed`] does not show is refused.
    pub(crate) fn sign(&mut self, key: &SigningKey) -> Result<Signed, RootError> {
        let index = self.links.len() - 1;
        if index > 0 {
            self.walk(index)?;
        }
        let altered = |source| RootError::Envelope { path: self.path.clone(), position: index + 1, source };
        self.links[index].0.unpack_to_sign::<Root>().map_err(altered)?;
        let number = self.last().number;
        let Signed { needs, .. } = self.signed(index)?;
        let public = key.public();
        let is_this = |other: &String| is_same_key(other, &public);
        if needs.iter().any(|need| need.signed.iter().any(is_this)) {
            return Err(RootError::AlreadySigned { number, key: public });
        }
        if !needs.iter().any(|need| need.unsigned.iter().any(is_this)) {
            return Err(RootError::UnknownKey { number, key: public });
        }
        let (envelope, _) = &mut self.links[index];
        let packed = envelope.bytes().map_err(|source| RootError::Envelope {
            path: self.path.clone(),
            position: index + 1,
            source,
        })?;
        let signature = key.sign(&packed, &format!("root {number}")).map_err(RootError::Key)?;
        envelope.signatures.push(signature);
        self.signed(index)
    }

    /// Adds the signatures of another copy of the same proposal.
    pub(crate) fn join(&mut self, other: &Self) -> Result<(), RootError> {
        let same = |(one, other): (&(Envelope, Root), &(Envelope, Root))| one.0.signed == other.0.signed;
        if self.links.len() != other.links.len() || !self.links.iter().zip(&other.links).all(same) {
            return Err(RootError::OtherProposal { path: self.path.clone(), other: other.path.clone() });
        }
        for ((envelope, _), (theirs, _)) in self.links.iter_mut().zip(&other.links) {
            for signature in &theirs.signatures {
                if !envelope.signatures.iter().any(|ours| is_same_key(&ours.key, &signature.key)) {
                    envelope.signatures.push(signature.clone());
                }
            }
        }
        Ok(())
    }

    /// Checks that nodes accept the last root.
    pub(crate) fn check(&self) -> Result<(), RootError> {
        let Signed { root, needs } = self.signed(self.links.len() - 1)?;
        if needs.iter().any(|need| need.missing() > 0) {
            return Err(RootError::Unsigned { path: self.path.clone(), number: root.number, needs });
        }
        self.walk(self.links.len())
    }

    /// Checks the first `length` roots as a node does that trusts the first one.
    fn walk(&self, length: usize) -> Result<(), RootError> {
        let (links, first) = (&self.links[..length], &self.links[0].1);
        let envelopes: Vec<Envelope> = links.iter().map(|(envelope, _)| envelope.clone()).collect();
        let node = Repository {
            id: first.repository.clone(),
            url: String::new(),
            mirrors: Vec::new(),
            root: first.role(),
        };
        let reached = trust::newest_root(&envelopes, &node, None).map_err(RootError::Trust)?;
        let number = links[length - 1].1.number;
        if reached != links[length - 1].1 {
            return Err(RootError::Unreached { path: self.path.clone(), number, reached: reached.number });
        }
        Ok(())
    }

    /// Writes a proposal, unless the file exists.
    pub(crate) fn write_new(&self) -> Result<(), RootError> {
        if self.path.symlink_metadata().is_ok() {
            return Err(RootError::Exists { path: self.path.clone() });
        }
        self.write(&self.path)
    }

    /// Writes a proposal after a signature was added.
    pub(crate) fn write_back(&self) -> Result<(), RootError> {
        self.write(&self.path)
    }

    /// Turns a proposal into the current chain: `to` must contain the chain that it extends, or not exist.
    pub(crate) fn finish(&self, to: &Path, now: Timestamp) -> Result<(), RootError> {
        self.check()?;
        let last = self.last();
        if last.expires <= now {
            return Err(RootError::Expired { number: last.number, expires: last.expires, now });
        }
        if to.symlink_metadata().is_ok() {
            let present = Self::read(to)?;
            let extends = present.links.len() <= self.links.len()
                && present.links.iter().zip(&self.links).all(|(one, other)| one.0.signed == other.0.signed);
            if !extends {
                return Err(RootError::OtherChain { path: self.path.clone(), to: to.to_owned() });
            }
        }
        self.write(to)
    }

    fn write(&self, path: &Path) -> Result<(), RootError> {
        let envelopes: Vec<&Envelope> = self.links.iter().map(|(envelope, _)| envelope).collect();
        let mut text = serde_json::to_string_pretty(&envelopes).map_err(RootError::Serialize)?;
        text.push('\n');
        store::write(path, text.as_bytes()).map(|_| ()).map_err(RootError::File)
    }
}

/// Checks that a role can be met, and that no key is in it twice.
fn check_role(role: &'static str, keys: &Role) -> Result<(), RootError> {
    keys.check().map_err(|source| RootError::Role { role, source })?;
    let twice = |(index, key): &(usize, &String)| keys.keys[..*index].iter().any(|k| is_same_key(k, key));
    match keys.keys.iter().enumerate().find(twice) {
        Some((_, key)) => Err(RootError::Twice { role, key: key.clone() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
