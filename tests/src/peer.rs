//! Programs of another system, unpacked beside this one by `.ci/peers`.

use std::fmt;
use std::path::PathBuf;

use crate::workspace;

/// A system whose real programs judge ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Debian trixie: systemd 257.
    Trixie,
}

impl Peer {
    /// The root directory it was unpacked to, below `$PEERS_DIR` or `.cache/peers` of the checkout.
    pub fn root(self) -> PathBuf {
        let peers = std::env::var_os("PEERS_DIR").filter(|dir| !dir.is_empty());
        peers.map_or_else(|| workspace::root().join(".cache/peers"), PathBuf::from).join(self.to_string())
    }

    /// Whether `.ci/peers` finished unpacking it: the stamp is the last thing it writes.
    pub fn is_ready(self) -> bool {
        self.root().join(".complete").is_file()
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trixie => "trixie",
        })
    }
}
