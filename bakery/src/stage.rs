//! Puts together what goes into the image: the recipe's files, what builds made, and the
//! extension-release file; and refuses what would do harm once it is merged.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sysext_image::tree::{ContentError, Kind, Metadata, TreeError};
use sysext_image::{Progress, Tree};
use sysext_manifests::architecture::Architecture;
use sysext_manifests::extension_release::ExtensionRelease;
use sysext_manifests::os_release::OsReleaseError;

use crate::recipe::Recipe;

mod elf;
mod lint;
mod source;

pub(crate) use lint::Problem;
pub(crate) use source::SourceError;

/// Where extensions say which hosts they go with.
const RELEASES: &str = "usr/lib/extension-release.d";

/// With this attribute set to 0, systemd does not insist on the image's name being that of the file: an
/// image may then carry its version in its name.
const STRICT: &str = "user.extension-release.strict";

/// The longest extension-release file that is read from a tree, in bytes.
const RELEASE_MAX: u64 = 64 << 10;

/// What to put together.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// The recipe.
    pub(crate) recipe: &'a Recipe,
    /// What is laid out as on the target: a directory, a tar archive (`-` for the standard input), or an
    /// image.
    pub(crate) files: Option<&'a Path>,
    /// What builds made, by the name that the recipe gives it.
    pub(crate) inputs: &'a BTreeMap<String, PathBuf>,
    /// For which architecture.
    pub(crate) architecture: Architecture,
    /// Counts what is read of a compressed archive, for another thread to look at.
    pub(crate) progress: &'a Progress,
}

/// What goes into the image.
#[derive(Clone, Debug)]
pub(crate) struct Staged {
    /// The tree.
    pub(crate) tree: Tree,
    /// The fields of its extension-release file.
    pub(crate) release: BTreeMap<String, String>,
}

/// Why nothing could be put together.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StageError {
    #[error("cannot stage the files")]
    Source(#[source] SourceError),
    #[error("cannot stage the files")]
    Tree(#[source] TreeError),
    #[error("the recipe takes {path} from the input {input:?}, which is not given", path = .path.display())]
    NoInput { path: PathBuf, input: String },
    #[error("the recipe has no use for the input {input:?}")]
    SpareInput { input: String },
    #[error("cannot read the input {path}", path = .path.display())]
    Input { path: PathBuf, source: io::Error },
    #[error("{path} is a program for {found}, not for {architecture}", path = .path.display())]
    Machine { path: PathBuf, found: String, architecture: Architecture },
    #[error("cannot read {RELEASES}/{file} of the tree: {reason}")]
    Release { file: String, reason: ReleaseDefect },
    #[error("there is no file in {}", .files.as_ref().map_or("the recipe".into(), |files| files.display().to_string()))]
    Empty { files: Option<PathBuf> },
    #[error("this would do harm once it is merged:{}", list(.problems))]
    Harmful { problems: Vec<Problem> },
}

/// What is wrong with an extension-release file in a tree.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReleaseDefect {
    #[error(transparent)]
    Content(ContentError),
    #[error("{0}")]
    Text(io::Error),
    #[error("{0}")]
    Syntax(OsReleaseError),
    #[error("it says ARCHITECTURE={found}, this is baked for {architecture}")]
    Architecture { found: String, architecture: Architecture },
}

fn list(problems: &[Problem]) -> impl fmt::Display {
    problems.iter().map(|problem| format!("\n  {problem}")).collect::<String>()
}

impl StageError {
    /// What the reader can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Source(error) => error.hint(),
            Self::Tree(error) => error.hint(),
            Self::NoInput { input, .. } => Some(format!("give --input {input}=PATH")),
            Self::SpareInput { .. } => {
                Some("name it as input = \"…\" in a [[binary]] of the recipe".to_owned())
            }
            Self::Machine { .. } => {
                Some("build it for that architecture, or bake with another --arch".to_owned())
            }
            Self::Harmful { problems } => {
                let mut hints: Vec<String> = problems.iter().filter_map(Problem::hint).collect();
                hints.dedup();
                (!hints.is_empty()).then(|| hints.join("; "))
            }
            Self::Empty { files: Some(_) } => {
                Some("lay the files out as on the target, all below usr or opt".to_owned())
            }
            Self::Empty { files: None } => {
                Some("put them into files/ beside recipe.toml, laid out as on the target".to_owned())
            }
            Self::Input { .. } | Self::Release { .. } => None,
        }
    }
}

/// Puts the tree together.
pub(crate) fn stage(request: &Request<'_>) -> Result<Staged, StageError> {
    let Request { recipe, inputs, architecture, .. } = request;
    let mut tree = match request.files {
        Some(files) => source::read(files, request.progress).map_err(StageError::Source)?,
        None => Tree::new(),
    };
    let is_used = |input: &String| recipe.binary.iter().any(|binary| binary.input == *input);
    if let Some(input) = inputs.keys().find(|input| !is_used(input)) {
        return Err(StageError::SpareInput { input: input.clone() });
    }
    for binary in &recipe.binary {
        let source = inputs
            .get(&binary.input)
            .ok_or_else(|| StageError::NoInput { path: binary.path.clone(), input: binary.input.clone() })?;
        check_machine(source, *architecture)?;
        tree.insert_file(&binary.path, source, Metadata::new(0o755)).map_err(StageError::Tree)?;
    }

    let problems = lint::lint(&tree, recipe);
    if let [Problem::Empty] = problems[..] {
        return Err(StageError::Empty { files: request.files.map(Path::to_owned) });
    }
    if !problems.is_empty() {
        return Err(StageError::Harmful { problems });
    }
    let release = release(&tree, recipe, *architecture)?;
    let text = release.render();
    let path = format!("{RELEASES}/extension-release.{}", recipe.name);
    let metadata = Metadata::new(0o644).xattr(STRICT, *b"0");
    tree.insert_bytes(&path, text, metadata).map_err(StageError::Tree)?;
    let fields = release.fields().iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
    Ok(Staged { tree, release: fields.collect() })
}

/// The fields of the extension-release file: ours, then the tree's own, then the recipe's.
fn release(tree: &Tree, recipe: &Recipe, architecture: Architecture) -> Result<ExtensionRelease, StageError> {
    let file = format!("extension-release.{}", recipe.name);
    let refuse = |reason| StageError::Release { file: file.clone(), reason };
    let ours = ExtensionRelease::for_any(Some(architecture));
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    let mut add = |release: &ExtensionRelease| {
        fields.extend(release.fields().iter().map(|(key, value)| (key.to_owned(), value.to_owned())));
    };
    add(&ours);
    if let Some(Kind::File(content)) = tree.get(format!("{RELEASES}/{file}")).map(|node| &node.kind) {
        let mut text = String::new();
        let opened = content.open().map_err(|error| refuse(ReleaseDefect::Content(error)))?;
        opened
            .take(RELEASE_MAX)
            .read_to_string(&mut text)
            .map_err(|error| refuse(ReleaseDefect::Text(error)))?;
        let (own, _) =
            ExtensionRelease::parse(&text).map_err(|error| refuse(ReleaseDefect::Syntax(error)))?;
        match own.fields().get_set("ARCHITECTURE") {
            Some(found) if found != "_any" && found != architecture.as_str() => {
                return Err(refuse(ReleaseDefect::Architecture { found: found.to_owned(), architecture }));
            }
            _ => add(&own),
        }
    }
    fields.extend(recipe.release.clone());
    Ok(fields.into_iter().collect())
}

/// A program for another machine would only be noticed on the node. What is no program is not looked at.
fn check_machine(path: &Path, architecture: Architecture) -> Result<(), StageError> {
    let input = |source| StageError::Input { path: path.to_owned(), source };
    let mut head = Vec::new();
    File::open(path).and_then(|file| file.take(elf::HEAD).read_to_end(&mut head)).map_err(input)?;
    match elf::machine(&head) {
        Some(machine) if !machine.runs_on(architecture) => {
            Err(StageError::Machine { path: path.to_owned(), found: machine.to_string(), architecture })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
