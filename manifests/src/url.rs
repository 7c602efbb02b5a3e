//! Which texts are URLs that systemd-sysupdate downloads from.

/// Whether a text is an `http://`, `https://` or `file://` URL.
pub(crate) fn is_url(value: &str) -> bool {
    let clean = value.bytes().all(|byte| byte.is_ascii_graphic());
    let remote = ["http://", "https://"].iter().find_map(|scheme| value.strip_prefix(scheme));
    let local = value.strip_prefix("file://");
    clean
        && (remote.is_some_and(|host| !host.is_empty() && !host.starts_with(['/', '?', '#']))
            || local.is_some_and(|path| path.starts_with('/')))
}
