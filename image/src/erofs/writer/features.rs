//! Decides which features an image may use: only those that its oldest kernel supports.
//!
//! Tail packing (5.17) is never used: fragments store the same tails, and only kernels from 5.17 to 6.0 would
//! benefit. Microlzma is never used: a node would read it at a tenth of the speed, and its encoder is
//! available through bare C bindings only.

use crate::{Codec, Kernel};

/// Fragments: small files and ends of files in one compressed inode.
const FRAGMENTS: (u16, u16) = (6, 1);

/// The features that not every kernel supports, apart from codecs.
///
/// | since | feature |
/// |---|---|
/// | 5.15 and before | inline tails, compact indexes, clusters of many blocks, shared attributes, lz4 |
/// | 6.1 | fragments |
/// | 6.10 | zstd, see [`Codec::kernel`] |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Features {
    /// Whether small files and the ends of larger ones may be in the packed inode.
    pub(super) fragments: bool,
}

impl Features {
    /// The features for this kernel and codec. Fragments without compression would only slow down reads.
    pub(super) fn new(kernel: Kernel, codec: Codec) -> Self {
        Self { fragments: codec != Codec::None && kernel >= FRAGMENTS.into() }
    }
}
