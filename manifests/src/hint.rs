//! What the reader of an error can do about it.

/// An error that may know what its reader can do.
///
/// The hint belongs to this error alone: a wrapper returns the hint of its cause only if the cause is what
/// the reader has to act on.
pub trait Hint {
    /// What the reader can do, as a lower-case fragment without a full stop.
    fn hint(&self) -> Option<String> {
        None
    }
}

impl<T: Hint + ?Sized> Hint for &T {
    fn hint(&self) -> Option<String> {
        (**self).hint()
    }
}

impl<T: Hint + ?Sized> Hint for Box<T> {
    fn hint(&self) -> Option<String> {
        (**self).hint()
    }
}
