//! Passwords of secret keys: from a file, from the environment, or typed on a terminal, which never shows them.

use std::io::{self, IsTerminal as _};
use std::path::Path;

use super::Result;
use crate::failure::Failure;
use crate::keys::{KeyError, PASSWORD_VARIABLE, Password, SigningKey};

/// The password from the file if one is given, otherwise from the environment.
fn configured(file: Option<&Path>) -> Result<Option<Password>> {
    Ok(match file {
        Some(file) => Some(Password::from_file(file)?),
        None => Password::from_environment()?,
    })
}

/// Whether somebody can answer a question.
fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks on the terminal of this process.
fn ask(question: &str) -> Result<Password> {
    let text = rpassword::prompt_password(question)
        .map_err(|error| Failure::new(format_args!("cannot read the password: {error}")))?;
    Ok(Password::typed(&text)?)
}

/// The password for new secret keys; none only on request.
pub(super) fn for_new_keys(unencrypted: bool, file: Option<&Path>) -> Result<Option<Password>> {
    if unencrypted {
        return Ok(None);
    }
    if let Some(password) = configured(file)? {
        return Ok(Some(password));
    }
    if !is_interactive() {
        return Err(Failure::new(format_args!(
            "no password given: use --password-file, set {PASSWORD_VARIABLE}, or pass --unencrypted"
        )));
    }
    let password = ask("Password for the new keys: ")?;
    match ask("Again: ")? == password {
        true => Ok(Some(password)),
        false => Err(Failure::new("the passwords differ")),
    }
}

/// Reads a secret key, and asks for its password if none is configured.
pub(super) fn unlock(path: &Path, file: Option<&Path>) -> Result<SigningKey> {
    let password = configured(file)?;
    match SigningKey::read(path, password.as_ref()) {
        Err(KeyError::NeedsPassword { .. }) if is_interactive() => {
            let password = ask(&format!("Password of {}: ", path.display()))?;
            Ok(SigningKey::read(path, Some(&password))?)
        }
        read => Ok(read?),
    }
}
