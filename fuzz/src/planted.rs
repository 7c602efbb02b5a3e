//! Bugs that must be found, and a target on which nothing can be: they show that the machinery works.

use std::hint::black_box;

use crate::{TEXT, Target};

/// Not listed: `.ci/fuzz` names them.
pub(crate) static TARGETS: &[Target] = &[
    Target { name: "planted-panic", run: panics, seeds: Vec::new, memory: TEXT },
    Target { name: "planted-allocation", run: allocates, seeds: Vec::new, memory: TEXT },
    Target { name: "planted-flat", run: |_| {}, seeds: Vec::new, memory: TEXT },
];

/// Four bytes that no seed has and chance does not hit: comparisons have to be watched to find them.
fn panics(data: &[u8]) {
    if let Some((first, rest)) = data.split_first_chunk::<4>()
        && u32::from_le_bytes(*first) == 0x5e_a7_b0_0c
    {
        assert!(rest.len() < 3, "the planted bug");
    }
}

/// Believes a length.
fn allocates(data: &[u8]) {
    if let Some((length, b"go")) =
        data.split_first_chunk::<4>().map(|(length, rest)| (length, &rest[..2.min(rest.len())]))
    {
        black_box(Vec::<u8>::with_capacity(u32::from_le_bytes(*length) as usize));
    }
}
