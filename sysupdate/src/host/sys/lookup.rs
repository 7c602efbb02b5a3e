//! How host names are looked up by a program that contains the C library.
//!
//! `/etc/nsswitch.conf` may name modules that are shared objects of the host's C library. Loading one into a
//! static program of another version crashes it, so the two sources that are built in are chosen instead.

use std::ffi::{c_char, c_int};
use std::sync::Once;

unsafe extern "C" {
    fn __nss_configure_lookup(database: *const c_char, service_line: *const c_char) -> c_int;
}

/// Looks host names up in `/etc/hosts` and by DNS from now on, whatever the host's configuration says.
/// To be called before the first lookup.
pub(in crate::host) fn only_built_in() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Without effect is the worst it can be: the two names are known to every version
        // SAFETY: both are strings with a terminating zero that live forever; the function copies them
        // under its own lock, and no lookup of this program runs yet.
        let _ = unsafe { __nss_configure_lookup(c"hosts".as_ptr(), c"files dns".as_ptr()) };
    });
}
