//! Builds the tree for the image: the recipe's files, build results, and the extension-release file. Refuses a tree that
//! would damage a host when merged.

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

use crate::failure::Hint;
use crate::recipe::Recipe;

mod elf;
mod lint;
mod programs;
mod source;

pub(crate) use lint::Problem;
pub(crate) use programs::Warning;
pub(crate) use source::SourceError;

/// The directory of the extension-release file.
const RELEASES: &str = "usr/lib/extension-release.d";

/// With this attribute set to 0, systemd does not require the image file to have the name of the extension: it may then
/// contain the version.
const STRICT: &str = "user.extension-release.strict";

/// The largest extension-release file that is read from a tree, in bytes.
const RELEASE_MAX: u64 = 64 << 10;

/// What to build the tree from.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) recipe: &'a Recipe,
    /// The files, laid out as on the host: a directory, a tar archive (`-` for the standard input), or an image.
    pub(crate) files: Option<&'a Path>,
    /// The build results by their names in the recipe.
    pub(crate) inputs: &'a BTreeMap<String, PathBuf>,
    pub(crate) architecture: Architecture,
    /// Shows another thread how much of a compressed archive was read.
    pub(crate) progress: &'a Progress,
}

/// The contents of the image.
#[derive(Clone, Debug)]
pub(crate) struct Staged {
    pub(crate) tree: Tree,
    /// The fields of its extension-release file.
    pub(crate) release: BTreeMap<String, String>,
    pub(crate) warnings: Vec<Warning>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum StageError {
    #[error(transparent)]
    Source(SourceError),
    #[error(transparent)]
    Tree(TreeError),
    #[error("cannot read {path}", path = .path.display())]
    Content { path: PathBuf, source: io::Error },
    #[error("the recipe takes {path} from the input {input:?}, which was not given", path = .path.display())]
    NoInput { path: PathBuf, input: String },
    #[error("the recipe has no [[binary]] with input = {input:?}")]
    SpareInput { input: String },
    #[error("cannot read the input {input:?}, {path}", path = .path.display())]
    Input { input: String, path: PathBuf, source: io::Error },
    #[error("{path} is a program for {found}, not for {architecture}", path = .path.display())]
    Machine { path: PathBuf, found: String, architecture: Architecture },
    #[error("cannot read {RELEASES}/{file} of the tree: {reason}")]
    Release { file: String, reason: ReleaseDefect },
    #[error("{} contains no files", .files.as_ref().map_or("the recipe".into(), |files| files.display().to_string()))]
    Empty { files: Option<PathBuf> },
    #[error("the tree must not be merged as it is:{}", list(.problems))]
    Harmful { problems: Vec<Problem> },
}

/// Defects of an extension-release file in a tree.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReleaseDefect {
    #[error(transparent)]
    Content(ContentError),
    #[error("{0}")]
    Text(io::Error),
    #[error("{0}")]
    Syntax(OsReleaseError),
    #[error("it contains ARCHITECTURE={found}, but the image is for {architecture}")]
    Architecture { found: String, architecture: Architecture },
}

fn list(problems: &[Problem]) -> impl fmt::Display {
    problems.iter().map(|problem| format!("\n  {problem}")).collect::<String>()
}

impl Hint for StageError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Source(error) => error.hint(),
            Self::Tree(error) => error.hint(),
            Self::NoInput { input, .. } => Some(format!("pass --input {input}=PATH")),
            Self::SpareInput { .. } => Some("correct the name, or add a [[binary]] to the recipe".to_owned()),
            Self::Machine { .. } => {
                Some("build it for that architecture, or bake with another --arch".to_owned())
            }
            Self::Harmful { problems } => {
                let mut hints: Vec<String> = problems.iter().filter_map(Problem::hint).collect();
                hints.dedup();
                (!hints.is_empty()).then(|| hints.join("; "))
            }
            Self::Empty { files: Some(_) } => {
                Some("lay out the files as on the host, all below usr or opt".to_owned())
            }
            Self::Empty { files: None } => {
                Some("put them into files/ next to recipe.toml, laid out as on the host".to_owned())
            }
            Self::Content { .. } | Self::Input { .. } | Self::Release { .. } => None,
        }
    }
}

/// Builds the tree.
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
        check_machine(&binary.input, source, *architecture)?;
        tree.insert_file(&binary.path, source, Metadata::new(0o755)).map_err(StageError::Tree)?;
    }

    let mut problems = lint::lint(&tree, recipe);
    if let [Problem::Empty] = problems[..] {
        return Err(StageError::Empty { files: request.files.map(Path::to_owned) });
    }
    let programs = programs::check(&tree, *architecture);
    let programs = programs.map_err(|(path, source)| StageError::Content { path, source })?;
    problems.extend(programs.problems);
    if !problems.is_empty() {
        return Err(StageError::Harmful { problems });
    }
    let release = release(&tree, recipe, *architecture)?;
    let text = release.render();
    let path = format!("{RELEASES}/extension-release.{}", recipe.name);
    let metadata = Metadata::new(0o644).xattr(STRICT, *b"0");
    tree.insert_bytes(&path, text, metadata).map_err(StageError::Tree)?;
    let fields = release.fields().iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
    Ok(Staged { tree, release: fields.collect(), warnings: programs.warnings })
}

/// The fields of the extension-release file: our defaults, overridden by the tree's file, then by the recipe.
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

/// A program for another machine would only be noticed on the node. Other files are not checked.
fn check_machine(input: &str, path: &Path, architecture: Architecture) -> Result<(), StageError> {
    let read = |source| StageError::Input { input: input.to_owned(), path: path.to_owned(), source };
    let mut head = Vec::new();
    File::open(path).and_then(|file| file.take(elf::MACHINE_LENGTH).read_to_end(&mut head)).map_err(read)?;
    match elf::machine(&head) {
        Some(machine) if !machine.is(architecture) => {
            Err(StageError::Machine { path: path.to_owned(), found: machine.to_string(), architecture })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
