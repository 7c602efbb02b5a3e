//! The programs and libraries of a tree: whether the architecture runs them, and which interpreters they need.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sysext_image::Tree;
use sysext_image::tree::{ContentError, Kind};
use sysext_manifests::architecture::Architecture;

use super::elf::{self, INTERPRETER_LENGTH, MACHINE_LENGTH};
use super::lint::Problem;

/// Something that works only if the host provides it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Warning {
    /// Programs need an interpreter that is not in the tree.
    Interpreter {
        interpreter: String,
        /// The first of the programs.
        program: PathBuf,
        /// The number of other programs.
        others: usize,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interpreter { interpreter, program, others } => {
                write!(f, "/{}", program.display())?;
                match others {
                    0 => f.write_str(" needs")?,
                    1 => f.write_str(" and 1 other program need")?,
                    others => write!(f, " and {others} other programs need")?,
                }
                write!(
                    f,
                    " the interpreter {interpreter}, which is not in the extension: the host must have it"
                )
            }
        }
    }
}

/// The programs of a tree.
#[derive(Debug, Default)]
pub(super) struct Programs {
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Warning>,
}

/// Looks at every ELF file of a tree. An error names the file that cannot be read.
pub(super) fn check(tree: &Tree, architecture: Architecture) -> Result<Programs, (PathBuf, io::Error)> {
    let mut programs = Programs::default();
    let mut missing: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for entry in tree.entries() {
        let Kind::File(content) = &entry.node.kind else { continue };
        let mut file = match content.open() {
            Ok(file) => file,
            Err(ContentError::Read { path, source }) => return Err((path, source)),
            // The file changed: the writer finds the same, and knows which image is affected.
            Err(_) => continue,
        };
        let head = head(&mut file).map_err(|error| (Path::new("/").join(&entry.path), error))?;
        let Some(machine) = elf::machine(&head) else { continue };
        if machine.is_foreign_to(architecture) {
            let path = entry.path.clone();
            programs.problems.push(Problem::Machine { path, found: machine, architecture });
        } else if let Some(interpreter) = elf::interpreter(&head).filter(|path| !contains(tree, path)) {
            missing.entry(interpreter).or_default().push(entry.path.clone());
        }
    }
    for (interpreter, mut paths) in missing {
        let others = paths.len() - 1;
        programs.warnings.push(Warning::Interpreter { interpreter, program: paths.swap_remove(0), others });
    }
    Ok(programs)
}

/// The beginning of a file: as much as needed to know what it is.
fn head(file: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.by_ref().take(MACHINE_LENGTH).read_to_end(&mut head)?;
    if elf::machine(&head).is_some() {
        file.take(INTERPRETER_LENGTH - MACHINE_LENGTH).read_to_end(&mut head)?;
    }
    Ok(head)
}

/// Whether a path of the host is in the tree. On the host, `/lib` and `/lib64` are links into `/usr`.
fn contains(tree: &Tree, path: &str) -> bool {
    let path = path.trim_start_matches('/');
    tree.get(path).is_some() || tree.get(Path::new("usr").join(path)).is_some()
}
