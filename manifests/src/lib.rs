//! The contract between bakery and node.
