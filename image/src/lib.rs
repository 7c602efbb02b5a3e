//! The bytes of an image.
