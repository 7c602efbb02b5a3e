//! The story, from the keys to the unmerge.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::keeper::{PROGRAMS, RECIPE, copy_tree};
use super::node::Node;
use super::private;
use super::publisher::{Publisher, Version};
use super::slide::{Place, Row, Slide};
use crate::server::Server;

/// What the second version brings besides the program.
const NEWS: &str = "usr/share/sysupdate/news";
const NEWS_TEXT: &str = "This file came with version 2.\n";

/// How the player may mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Way {
    /// In a place of its own.
    Private,
    /// Not at all: the kernel refused that place.
    Confined,
}

impl Way {
    /// As it stands on the command line.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Confined => "confined",
        }
    }
}

/// Plays the story in the scratch directory.
pub(super) fn play(directory: &Path, way: Way) -> Result<()> {
    private::die_with_parent()?;
    if way == Way::Private {
        private::settle_in()?;
    }
    let slide = Slide::new(directory);
    let public = directory.join("public");
    fs::create_dir(&public).with_context(|| format!("cannot make {}", public.display()))?;
    let server = Server::serve(&public).context("cannot serve on the loopback interface")?;

    slide.heading("Version 1: from a recipe to a running program");
    slide.legend();
    let publisher = Publisher::begin(directory, server.url(), &slide)?;
    let program = directory.join(PROGRAMS).join("sysupdate");
    let recipe = directory.join(RECIPE);
    let released = publisher.release(&Version { name: "1", recipe: &recipe, program: &program })?;
    let node = Node::provision(directory, &publisher, way, &slide)?;
    let check = node.plan("1")?;
    let update = node.update("1", &released)?;
    match way {
        Way::Private => {
            node.live(&update, &check, &program)?;
            second(directory, &publisher, &node, &program, &slide)?;
            third(directory, &publisher, &node, &program, &slide)?;
            slide.heading("Nothing stays");
            node.unmerge()?;
        }
        Way::Confined => {
            let reason = node.refused()?;
            slide.refusal(&format!("The merge was refused by the kernel: {reason}"));
            slide.line(
                "  Verified and installed is as far as it gets here: mounting needs root and CAP_SYS_ADMIN.",
            );
            slide.line("  With these, the merge, the health checks and the automatic return follow.");
            slide.heading("Nothing stays");
        }
    }
    stop(server, &slide)
}

/// A newer version with a file more.
fn second(
    directory: &Path,
    publisher: &Publisher<'_>,
    node: &Node<'_>,
    program: &Path,
    slide: &Slide,
) -> Result<()> {
    slide.heading("Version 2: one file more, swapped in under a running system");
    slide.legend();
    let recipe = directory.join("recipes/sysupdate-2");
    copy_tree(&directory.join(RECIPE), &recipe)?;
    let news = recipe.join("files").join(NEWS);
    let above = news.parent().context("a file is in a directory")?;
    fs::create_dir_all(above).with_context(|| format!("cannot make {}", above.display()))?;
    fs::write(&news, NEWS_TEXT).with_context(|| format!("cannot write {}", news.display()))?;
    let released = publisher.release(&Version { name: "2", recipe: &recipe, program })?;
    let check = node.plan("2")?;
    let update = node.update("2", &released)?;
    node.live(&update, &check, program)?;
    node.shows(NEWS, NEWS_TEXT)
}

/// A version that does not work, properly baked and signed.
fn third(
    directory: &Path,
    publisher: &Publisher<'_>,
    node: &Node<'_>,
    program: &Path,
    slide: &Slide,
) -> Result<()> {
    slide.heading("Version 3: signed, published, and sick: its program was cut in half");
    slide.legend();
    let sick = cut_in_half(directory, program)?;
    let recipe = directory.join("recipes/sysupdate-2");
    publisher.release(&Version { name: "3", recipe: &recipe, program: &sick })?;
    node.plan("3")?;
    node.returns("3", "2")?;
    node.runs(program)?;
    node.shows(NEWS, NEWS_TEXT)?;
    node.passes_over("3")
}

/// As a full disk or a broken upload leaves a program: it begins well, and then ends.
fn cut_in_half(directory: &Path, program: &Path) -> Result<PathBuf> {
    let path = directory.join(PROGRAMS).join("sysupdate-cut");
    fs::copy(program, &path).with_context(|| format!("cannot copy {}", program.display()))?;
    let file = fs::OpenOptions::new().write(true).open(&path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    let length = file.metadata().with_context(|| format!("cannot look at {}", path.display()))?.len();
    file.set_len(length / 2).with_context(|| format!("cannot shorten {}", path.display()))?;
    Ok(path)
}

fn stop(server: Server, slide: &Slide) -> Result<()> {
    let address = server.address();
    drop(server);
    ensure!(TcpStream::connect(address).is_err(), "somebody still listens at {address}");
    slide.row(&Row {
        stage: "stop",
        place: Place::Said(format!("nobody listens at {address}")),
        ..Row::default()
    });
    Ok(())
}
