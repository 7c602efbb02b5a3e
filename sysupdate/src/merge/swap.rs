//! Replacing overlays: first every new one is attached, then every old one is detached.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::HostFiles;
use super::error::MergeError;
use super::hierarchy::Hierarchy;
use super::report::Warning;
use super::submounts::{self, VisibleMount};
use crate::host::mounts::table::MountTable;
use crate::host::mounts::{Mounts, Submount};
use crate::host::view::Tree as _;

/// A change of one hierarchy.
#[derive(Debug)]
pub(super) enum Change<'a> {
    /// Nothing is merged there yet.
    Merge { hierarchy: &'a Hierarchy, overlay: OwnedFd },
    /// One overlay replaces another.
    Replace { hierarchy: &'a Hierarchy, overlay: OwnedFd },
    /// Nothing will be merged there.
    Remove(OverlayRemoval<'a>),
}

/// An overlay to detach, and the mounts in it to keep.
#[derive(Debug)]
pub(super) struct OverlayRemoval<'a> {
    hierarchy: &'a Hierarchy,
    submounts: Vec<Submount>,
}

impl<'a> OverlayRemoval<'a> {
    /// Ensures that every mount in the overlay has a mount point without it.
    pub(super) fn prepare(
        mounts: &dyn Mounts,
        table: &MountTable,
        original: &HostFiles,
        hierarchy: &'a Hierarchy,
    ) -> Result<Self, MergeError> {
        let seen: Vec<VisibleMount> = submounts::seen_below(mounts, table, &hierarchy.path)?;
        for seen in &seen {
            let beneath = original.replacement(&hierarchy.inside);
            if let Some(Err(source)) = beneath.map(|beneath| beneath.metadata(&seen.inside)) {
                return Err(MergeError::Submount { path: hierarchy.path.join(&seen.inside), source });
            }
        }
        let submounts = submounts::copy(mounts, &hierarchy.path, &seen)?;
        Ok(Self { hierarchy, submounts })
    }

    /// Detaches the overlay and puts back what was mounted while it was there. Does what is left to do if a first
    /// attempt failed.
    fn carry_out(&self, mounts: &dyn Mounts) -> Result<(), MergeError> {
        let Self { hierarchy, submounts } = self;
        let failed = |source| MergeError::Detach { hierarchy: hierarchy.shown(), source };
        if mounts.merged(&hierarchy.path).map_err(failed)?.is_some() {
            hierarchy.detach(mounts)?;
        }
        for Submount { inside, mount } in submounts {
            let path = hierarchy.path.join(inside);
            let failed = |source| MergeError::Submount { path: path.clone(), source };
            if !submounts::shows(mounts, &path, mount).map_err(failed)? {
                mounts.attach(mount.as_fd(), &path).map_err(failed)?;
            }
        }
        Ok(())
    }
}

/// Carries out all changes, or, as long as nothing old was detached, none.
pub(super) fn carry_out(
    mounts: &dyn Mounts,
    changes: Vec<Change<'_>>,
    warnings: &mut Vec<Warning>,
) -> Result<(), MergeError> {
    let mut attached: Vec<Attached<'_>> = Vec::new();
    let mut removals = Vec::new();
    for change in changes {
        let done = match change {
            Change::Merge { hierarchy, overlay } => {
                attach(mounts, hierarchy, &overlay).map(|()| Attached::OnTop(hierarchy))
            }
            Change::Replace { hierarchy, overlay } => replace(mounts, hierarchy, &overlay, warnings),
            Change::Remove(removal) => {
                removals.push(removal);
                continue;
            }
        };
        match done {
            Ok(done) => attached.push(done),
            Err(error) => {
                for done in attached.into_iter().rev() {
                    done.undo(mounts)?;
                }
                return Err(error);
            }
        }
    }
    // From here on nothing is undone. What fails is tried once more, so that no hierarchy is left behind the others
    // because the machine lacked something for a moment.
    let replaced = attached.iter().filter_map(|done| match done {
        Attached::Beneath(hierarchy) => Some(Rest::Detach(hierarchy)),
        Attached::OnTop(_) | Attached::Instead(..) => None,
    });
    let rest: Vec<Rest<'_>> = replaced.chain(removals.into_iter().map(Rest::Remove)).collect();
    let failed: Vec<_> = rest.iter().filter(|rest| rest.carry_out(mounts).is_err()).collect();
    let again: Vec<_> = failed.into_iter().map(|rest| rest.carry_out(mounts)).collect();
    again.into_iter().collect()
}

/// What is left to do once every new overlay is attached.
enum Rest<'a> {
    /// The old overlay, which covers the new one.
    Detach(&'a Hierarchy),
    /// An overlay without a successor.
    Remove(OverlayRemoval<'a>),
}

impl Rest<'_> {
    fn carry_out(&self, mounts: &dyn Mounts) -> Result<(), MergeError> {
        match self {
            Self::Detach(hierarchy) => hierarchy.detach(mounts),
            Self::Remove(removal) => removal.carry_out(mounts),
        }
    }
}

/// A new overlay that is attached.
enum Attached<'a> {
    /// On top of a hierarchy without an overlay.
    OnTop(&'a Hierarchy),
    /// Beneath the old overlay, which programs still see.
    Beneath(&'a Hierarchy),
    /// Instead of the old overlay, of which this is a copy.
    Instead(&'a Hierarchy, OwnedFd),
}

impl Attached<'_> {
    fn undo(self, mounts: &dyn Mounts) -> Result<(), MergeError> {
        match self {
            Self::OnTop(hierarchy) => hierarchy.detach(mounts),
            Self::Beneath(hierarchy) => {
                // Only the topmost mount can be detached, so that the two change places first.
                let old = copy(mounts, hierarchy)?;
                hierarchy.detach(mounts)?;
                mounts
                    .attach_beneath(old.as_fd(), &hierarchy.path)
                    .map_err(|source| MergeError::Attach { hierarchy: hierarchy.shown(), source })?;
                hierarchy.detach(mounts)
            }
            Self::Instead(hierarchy, old) => {
                hierarchy.detach(mounts)?;
                attach(mounts, hierarchy, &old)
            }
        }
    }
}

fn replace<'a>(
    mounts: &dyn Mounts,
    hierarchy: &'a Hierarchy,
    overlay: &OwnedFd,
    warnings: &mut Vec<Warning>,
) -> Result<Attached<'a>, MergeError> {
    let reason = match mounts.attach_beneath(overlay.as_fd(), &hierarchy.path) {
        Ok(()) => return Ok(Attached::Beneath(hierarchy)),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => error.to_string(),
        Err(source) => return Err(MergeError::Attach { hierarchy: hierarchy.shown(), source }),
    };
    let old = copy(mounts, hierarchy)?;
    hierarchy.detach(mounts)?;
    warnings.push(Warning::Gap { hierarchy: hierarchy.shown(), reason });
    if let Err(error) = attach(mounts, hierarchy, overlay) {
        attach(mounts, hierarchy, &old)?;
        return Err(error);
    }
    Ok(Attached::Instead(hierarchy, old))
}

fn copy(mounts: &dyn Mounts, hierarchy: &Hierarchy) -> Result<OwnedFd, MergeError> {
    mounts
        .open_copy(&hierarchy.path)
        .map_err(|source| MergeError::Attach { hierarchy: hierarchy.shown(), source })
}

fn attach(mounts: &dyn Mounts, hierarchy: &Hierarchy, overlay: &OwnedFd) -> Result<(), MergeError> {
    mounts
        .attach(overlay.as_fd(), &hierarchy.path)
        .map_err(|source| MergeError::Attach { hierarchy: hierarchy.shown(), source })
}
