//! Public keys, as files or as text on the command line.

use super::*;

/// The public key in a minisign `.pub` file. The key itself is accepted too.
pub(crate) fn read_public(given: &str) -> Result<String, KeyError> {
    // A key may contain slashes like a path, but no path is a valid key.
    if is_key(given) {
        return Ok(given.to_owned());
    }
    let path = Path::new(given);
    let read = |source| KeyError::File(FileError::Read { path: path.to_owned(), source });
    let mut text = String::new();
    File::open(path).map_err(read)?.take(SECRET_MAX).read_to_string(&mut text).map_err(read)?;
    let line = text.lines().find(|line| !line.starts_with("untrusted comment:") && !line.trim().is_empty());
    match line.map(str::trim).filter(|line| is_key(line)) {
        Some(key) => Ok(key.to_owned()),
        None => Err(KeyError::Public { path: path.to_owned() }),
    }
}

fn is_key(text: &str) -> bool {
    Role { threshold: 1, keys: vec![text.to_owned()] }.check().is_ok()
}
