//! Which parts of the format an image may use: what its oldest kernel can read, and no more.
//!
//! Clusters behind an index (5.17) are not among them: fragments take the same ends of files, and
//! only floors from 5.17 to 6.0 would gain. Neither is microlzma: a node would read it at a tenth
//! of the speed, and its encoder is reached through bare C bindings only.

use crate::{Codec, Kernel};

/// Ends of files and small files, stored one after the other in one compressed inode.
const FRAGMENTS: (u16, u16) = (6, 1);

/// The parts of the format that not every kernel reads, apart from codecs.
///
/// | since | what |
/// |---|---|
/// | 5.15 and before | inline tails, compact indexes, clusters of many blocks, shared attributes, lz4 |
/// | 6.1 | fragments |
/// | 6.10 | zstd, see [`Codec::kernel`] |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Features {
    /// Whether small files and the ends of larger ones may lie in the packed inode.
    pub(super) fragments: bool,
}

impl Features {
    /// What an image for this kernel and with this codec uses. Fragments without a codec would
    /// only make every read slower.
    pub(super) fn new(kernel: Kernel, codec: Codec) -> Self {
        Self { fragments: codec != Codec::None && kernel >= FRAGMENTS.into() }
    }
}
