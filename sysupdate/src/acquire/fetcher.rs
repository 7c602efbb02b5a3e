//! What every transfer from the network needs: a transport, a clock, and a policy for retries.

use std::path::{Path, PathBuf};

use sysext_manifests::trust::{Claim, Unverified};

use super::download::Download;
use super::{AcquireError, Progress};
use crate::host::Host;
use crate::host::clock::Clock;
use crate::host::store::Store;
use crate::host::transport::{RetryPolicy, Transport};

/// Fetches small documents into memory and downloads images into files.
#[derive(Clone, Copy)]
pub struct Fetcher<'a> {
    /// The network.
    pub transport: &'a dyn Transport,
    /// The clock that waits.
    pub clock: &'a dyn Clock,
    /// How often and how long is tried.
    pub policy: &'a RetryPolicy,
}

impl<'a> Fetcher<'a> {
    /// The one of a machine.
    pub fn of(host: &'a Host) -> Self {
        Self { transport: &*host.transport, clock: &*host.clock, policy: &host.retry_policy }
    }

    /// Downloads a claimed file into `partial`, trying the claim's URLs in their order.
    ///
    /// The partial file of an earlier run is resumed if it belongs to the same digest and the server still has
    /// the same bytes; otherwise it is removed. A file that was downloaded in several parts and has the wrong
    /// digest is downloaded once more from the start; a URL whose whole file has the wrong digest is not tried
    /// again. On success the file is durable and has the claimed digest; on failure it contains what the next run
    /// can resume, or is removed.
    pub fn download(
        &self,
        store: &dyn Store,
        claim: &Claim,
        partial: &Path,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Unverified<PathBuf>, AcquireError> {
        Download::open(*self, store, claim, partial)?.run(progress)
    }
}

impl std::fmt::Debug for Fetcher<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher").field("policy", self.policy).finish_non_exhaustive()
    }
}
