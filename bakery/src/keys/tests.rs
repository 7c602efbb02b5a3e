//! Keys are written once, read back, and refused if others can read them.

use sysext_manifests::envelope::Role;

use super::*;

const URL: &str = "https://example.org/extensions";

fn request<'a>(directory: &'a Path, password: Option<&'a Password>) -> Request<'a> {
    let expires = "2031-01-01T00:00:00Z".parse().unwrap();
    Request { directory, repository: "example", url: URL, password, expires }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn keys_sign_what_their_public_halves_verify() {
    let directory = tempfile::tempdir().unwrap();
    let keys = directory.path().join("keys");
    let made = generate(&request(&keys, None)).unwrap();
    assert_eq!(mode(&keys), 0o700);
    assert_eq!(mode(&keys.join("root.key")), 0o600);
    assert_eq!(mode(&keys.join("catalog.key")), 0o600);
    assert_eq!(mode(&keys.join("roots.json")), 0o644);

    let key = SigningKey::read(&keys.join("catalog.key"), None).unwrap();
    assert_eq!(key.public(), made.catalog);
    let envelope = key.seal(&"hello", "a greeting").unwrap();
    let role = |key: &str| Role { threshold: 1, keys: vec![key.to_owned()] };
    assert_eq!(envelope.verify(&role(&made.catalog)).unwrap().keys(), [made.catalog]);
    assert!(envelope.verify(&role(&made.root)).is_err());
}

#[test]
fn encrypted_key_needs_its_password() {
    let directory = tempfile::tempdir().unwrap();
    let password = Password("correct".to_owned());
    let made = generate(&request(directory.path(), Some(&password))).unwrap();
    let path = directory.path().join("catalog.key");
    assert_eq!(SigningKey::read(&path, Some(&password)).unwrap().public(), made.catalog);
    let wrong = Password("wrong".to_owned());
    assert!(matches!(SigningKey::read(&path, Some(&wrong)), Err(KeyError::Unusable { .. })));
    assert!(matches!(SigningKey::read(&path, None), Err(KeyError::NeedsPassword { .. })));
}

#[test]
fn keys_are_never_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("catalog.pub"), "precious").unwrap();
    let error = generate(&request(directory.path(), None)).unwrap_err();
    assert!(matches!(&error, KeyError::Exists { path } if path.ends_with("catalog.pub")), "{error}");
    assert_eq!(crate::store::list(directory.path()).unwrap(), ["catalog.pub"]);
}

#[test]
fn secret_that_others_can_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    generate(&request(directory.path(), None)).unwrap();
    let path = directory.path().join("catalog.key");
    for bits in [0o640, 0o604, 0o660, 0o644] {
        fs::set_permissions(&path, Permissions::from_mode(bits)).unwrap();
        let error = SigningKey::read(&path, None).unwrap_err();
        assert!(matches!(error, KeyError::Exposed { mode, .. } if mode == bits), "{error}");
    }
    let file = directory.path().join("password");
    fs::write(&file, "secret\n").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(Password::from_file(&file), Err(KeyError::Exposed { .. })));
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(Password::from_file(&file).unwrap(), Password("secret".to_owned()));
    fs::write(&file, "\n").unwrap();
    assert!(matches!(Password::from_file(&file), Err(KeyError::Password { defect: "empty", .. })));
}

#[test]
fn secrets_are_not_in_debug_output() {
    let directory = tempfile::tempdir().unwrap();
    generate(&request(directory.path(), None)).unwrap();
    let key = SigningKey::read(&directory.path().join("root.key"), None).unwrap();
    assert_eq!(format!("{key:?}"), format!("SigningKey({})", key.public()));
    assert_eq!(format!("{:?}", Password("secret".to_owned())), "Password(…)");
}

#[test]
fn invalid_url_is_refused_before_anything_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let request = Request { url: "ftp://example.org", ..request(directory.path(), None) };
    assert!(matches!(generate(&request), Err(KeyError::Url { .. })));
    assert_eq!(crate::store::list(directory.path()).unwrap(), [""; 0]);
}

#[test]
fn public_key_given_as_secret_key_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.pub");
    let public = minisign::KeyPair::generate_unencrypted_keypair().unwrap().pk.to_box().unwrap().to_string();
    fs::write(&path, public).unwrap();
    for mode in [0o644, 0o600] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = SigningKey::read(&path, None).unwrap_err();
        assert_eq!(error.to_string(), format!("{} contains a public key, which cannot sign", path.display()));
        let secret = directory.path().join("a.key");
        assert_eq!(error.hint(), Some(format!("pass the secret key, for example {}", secret.display())));
    }
}
