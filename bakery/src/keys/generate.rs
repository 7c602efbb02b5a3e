//! New keys for a repository: a root key that stays offline, a catalog key for daily use, the root that authorises the
//! catalog key, and the file that makes a node trust the repository.

use jiff::{SignedDuration, Timestamp};
use sysext_manifests::catalog::{CATALOG_LIFETIME_DEFAULT_DAYS, Root};
use sysext_manifests::repository::{Repository, RepositoryError};

use super::*;

/// Which keys to generate.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// The directory for the files; created with mode 0700 if missing.
    pub(crate) directory: &'a Path,
    pub(crate) repository: &'a str,
    /// The base URL of the repository.
    pub(crate) url: &'a str,
    /// Encrypts the secret keys; without one, they are stored unencrypted.
    pub(crate) password: Option<&'a Password>,
    pub(crate) expires: Timestamp,
}

/// The generated keys.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Generated {
    /// The public root key, which nodes trust.
    pub(crate) root: String,
    /// The public catalog key, which the root names.
    pub(crate) catalog: String,
    pub(crate) expires: Timestamp,
    /// The files, in the order in which they were written.
    pub(crate) files: Vec<PathBuf>,
}

/// When a root with this validity expires.
pub(crate) fn expiry(now: Timestamp, days: u32) -> Result<Timestamp, KeyError> {
    now.checked_add(SignedDuration::from_hours(i64::from(days) * 24))
        .map_err(|_| KeyError::Expiry { days, now })
}

/// Generates the keys. After an error no file is left.
pub(crate) fn generate(request: &Request<'_>) -> Result<Generated, KeyError> {
    let directory = request.directory;
    let root = Pair::generate(request.password, &directory.join("root.key"))?;
    let catalog = Pair::generate(request.password, &directory.join("catalog.key"))?;
    let document = Root {
        repository: request.repository.to_owned(),
        number: 1,
        threshold: 1,
        keys: vec![root.key.public()],
        catalog: Role { threshold: 1, keys: vec![catalog.key.public()] },
        catalog_lifetime_max_days: CATALOG_LIFETIME_DEFAULT_DAYS,
        expires: request.expires,
    };
    let roots = [root.key.seal(&document, &format!("root 1 of {}", request.repository))?];
    let mut roots = serde_json::to_string_pretty(&roots).map_err(|error| KeyError::Pack(error.into()))?;
    roots.push('\n');

    let node_file = format!("{}.toml", request.repository);
    let node = node_configuration(request.repository, request.url, &document.role())?;

    let files = [
        ("root.key", &root.secret, 0o600),
        ("root.pub", &root.public, 0o644),
        ("catalog.key", &catalog.secret, 0o600),
        ("catalog.pub", &catalog.public, 0o644),
        ("roots.json", &roots, 0o644),
        (node_file.as_str(), &node, 0o644),
    ];
    let files = files.map(|(name, text, mode)| (directory.join(name), text.as_str(), mode));
    Ok(Generated {
        root: root.key.public(),
        catalog: catalog.key.public(),
        expires: request.expires,
        files: write_all(directory, &files)?,
    })
}

/// Generates one key pair, `PATH.key` and `PATH.pub`; returns the public key and the files.
pub(crate) fn generate_single(
    path: &Path,
    password: Option<&Password>,
) -> Result<(String, Vec<PathBuf>), KeyError> {
    let with = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let (secret, public) = (with(".key"), with(".pub"));
    let pair = Pair::generate(password, &secret)?;
    let files = [(secret, pair.secret.as_str(), 0o600), (public, pair.public.as_str(), 0o644)];
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    Ok((pair.key.public(), write_all(directory.unwrap_or(Path::new(".")), &files)?))
}

/// Writes new files into a directory. After an error no file is left.
fn write_all(directory: &Path, files: &[(PathBuf, &str, u32)]) -> Result<Vec<PathBuf>, KeyError> {
    if let Some((path, ..)) = files.iter().find(|(path, ..)| path.symlink_metadata().is_ok()) {
        return Err(KeyError::Exists { path: path.clone() });
    }
    make_directory(directory)?;
    let mut written: Vec<PathBuf> = Vec::new();
    for (path, text, mode) in files {
        if let Err(error) = write_new(path, text, *mode) {
            // An incomplete set of keys would block the next attempt.
            let unremoved = written.iter().find_map(|path| fs::remove_file(path).err().map(|e| (path, e)));
            return Err(match unremoved {
                Some((path, source)) => KeyError::File(FileError::Write { path: path.clone(), source }),
                None => error,
            });
        }
        written.push(path.clone());
    }
    Ok(written)
}

/// A key pair and the texts of its two files.
struct Pair {
    key: SigningKey,
    secret: String,
    public: String,
}

impl Pair {
    fn generate(password: Option<&Password>, path: &Path) -> Result<Self, KeyError> {
        let pair = match password {
            Some(Password(password)) => KeyPair::generate_encrypted_keypair(Some(password.clone())),
            None => KeyPair::generate_unencrypted_keypair(),
        };
        let pair = pair.map_err(KeyError::Generate)?;
        let secret = pair.sk.to_box(None).map_err(KeyError::Generate)?.into_string();
        let public = pair.pk.to_box().map_err(KeyError::Generate)?.into_string();
        // Read back from the text that will be stored, so that an unreadable key is never stored.
        let key = SigningKey::decode(&secret, password, path)?;
        Ok(Self { key, secret, public })
    }
}

/// The text of the file that makes a node trust a repository.
pub(crate) fn node_configuration(repository: &str, url: &str, root: &Role) -> Result<String, KeyError> {
    node_file(repository, url, root).map(|(text, _)| text)
}

/// The URL as nodes read it, with a slash at the end.
pub(crate) fn check_url(repository: &str, url: &str, root: &Role) -> Result<String, KeyError> {
    node_file(repository, url, root).map(|(_, repository)| repository.url)
}

fn node_file(repository: &str, url: &str, root: &Role) -> Result<(String, Repository), KeyError> {
    let mut table = toml::Table::new();
    table.insert("url".to_owned(), url.into());
    table.insert("keys".to_owned(), root.keys.clone().into());
    table.insert("threshold".to_owned(), i64::try_from(root.threshold).unwrap_or(i64::MAX).into());
    let text = format!(
        "# Makes a node trust the repository {repository}: put this file into \
         /etc/sysupdate/repositories/{repository}.toml\n{table}"
    );
    let parsed = Repository::parse(repository, &format!("{repository}.toml"), &text);
    let parsed = parsed.map_err(|error| match error {
        RepositoryError::Url { .. } | RepositoryError::Query { .. } => KeyError::Url { url: url.to_owned() },
        error => KeyError::Repository(error),
    })?;
    Ok((text, parsed))
}

fn make_directory(path: &Path) -> Result<(), KeyError> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| KeyError::File(FileError::Write { path: path.to_owned(), source }))
}

fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), KeyError> {
    let write = |source| KeyError::File(FileError::Write { path: path.to_owned(), source });
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = match opened {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(KeyError::Exists { path: path.to_owned() });
        }
        opened => opened.map_err(write)?,
    };
    let filled = file
        .write_all(text.as_bytes())
        .and_then(|()| file.set_permissions(Permissions::from_mode(mode)))
        .and_then(|()| file.sync_all());
    filled.map_err(|source| match fs::remove_file(path) {
        Ok(()) => write(source),
        Err(source) => write(source),
    })
}
