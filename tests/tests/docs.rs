//! The README and the pages below `docs/`: every command runs as written, the shown output is correct, and
//! every link has a target.
//!
//! Blocks tagged `sh` run on a scratch machine, in the order in which the index lists the pages; later blocks
//! build on earlier ones. A following block tagged `output` shows lines of the output, where `…` matches
//! anything. Commands that cannot run are tagged `console` and listed here with the reason.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use sysext_manifests::architecture::Architecture;
use tests::needs::{Need, Suite};
use tests::pages::{Block, Page, is_like};
use tests::programs::{self, program};
use tests::scratch::machine::{self, Shown};
use tests::server::Server;
use tests::workspace;

/// The address of the repository on the pages. A server of the test replaces it.
const ADDRESS: &str = "https://extensions.example.org";

/// The architecture on the pages. Another machine replaces it by its own; only this and the address are
/// replaced.
const ARCHITECTURE: &str = "x86-64";

/// The directory that the server serves and to which the pages publish.
const PUBLIC: &str = "/srv/www";

/// The directory in the machine with the programs that cargo built.
const BUILT: &str = "/opt/built";

/// The directory of the two programs.
const PROGRAMS: &str = "/opt/bakery/bin";

/// The directory in which every block starts: like a checkout, with `recipes/`.
const HOME: &str = "/root";

/// The page that lists the others.
const INDEX: &str = "docs/index.md";

/// Words that people stumble over or cannot search for, each with better ones.
const UNCLEAR: [(&str, &str); 13] = [
    ("afresh", "again"),
    ("anew", "again"),
    ("believe", "trust, accept"),
    ("believed", "trusted, valid"),
    ("believes", "trusts, accepts"),
    ("nobody", "the passive"),
    ("passed over", "skipped"),
    ("passes over", "skips"),
    ("somebody", "a plain subject"),
    ("take part", "be enabled"),
    ("taken back", "rolled back"),
    ("vouch", "verify, sign"),
    ("whoever", "a plain subject"),
];

/// Commands that no block can run, with the test that runs them instead, or the reason.
const CONSOLE: [(&str, &str); 10] = [
    (
        "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=example -keyout verity.key -out verity.crt",
        "tests/tests/peer_ddi.rs; the machine has no configuration of openssl",
    ),
    (
        "bakery bake --tree hello --name hello --version 3 --ddi --verity-key verity.key --verity-cert verity.crt -o hello.raw",
        "tests/tests/peer_ddi.rs, with that key",
    ),
    ("bakery verify hello.raw --verity-cert verity.crt", "tests/tests/peer_ddi.rs, with that key"),
    ("cargo quickstart", "tests/tests/quickstart.rs"),
    ("cargo test", "the command that runs this"),
    ("cargo build --release", "takes minutes; .ci/run and the tests build the same in another profile"),
    (
        "sudo apt-get install squashfs-tools erofs-utils cryptsetup-bin gdisk pigz lzip zip minisign gnupg",
        "installs packages; another trial compares them with .ci/run",
    ),
    ("sudo .ci/run", "the workflow; it runs this test"),
    ("systemctl list-timers sysupdate-update.timer", "no service manager runs here"),
    ("systemd-sysupdate --component=hello update", "tests/tests/peer_published.rs, with the real one"),
];

fn main() -> ExitCode {
    let mounting = [Need::Filesystem("erofs"), Need::Filesystem("overlay")];
    let mut suite = Suite::new();
    suite.isolated("cli_commands_on_the_pages_work", &mounting, commands);
    suite.trial("cli_commands_not_run_have_a_reason", &[], reasons);
    suite.trial("cli_links_on_the_pages_have_targets", &[], links);
    suite.trial("cli_index_lists_every_page", &[], index);
    suite.trial("cli_pages_use_clear_words", &[], words);
    suite.trial("cli_readme_installs_packages_of_the_trials", &[], packages);
    suite.run()
}

fn commands() -> Result<()> {
    let pages: Vec<Page> = story()?;
    let built = program("bakery")?;
    let built = built.parent().context("a program is in a directory")?;
    let recipes = Shown { here: workspace::root().join("recipes"), there: Path::new(HOME).join("recipes") };
    machine::enter(&[Shown { here: built.to_owned(), there: BUILT.into() }, recipes])?;
    fs::create_dir_all(PROGRAMS)?;
    for name in ["bakery", "sysupdate"] {
        programs::copy_stripped(&Path::new(BUILT).join(name), &Path::new(PROGRAMS).join(name))?;
    }
    fs::create_dir_all(PUBLIC)?;
    let server = Server::serve(Path::new(PUBLIC))?;
    let mut ran = 0;
    for page in &pages {
        let mut printed: Option<String> = None;
        for block in &page.blocks {
            let place = page.at(block.line);
            match block.tag.as_str() {
                "sh" => {
                    printed = Some(run(block, &server.url()).with_context(|| place)?);
                    ran += 1;
                }
                "output" => {
                    let printed = printed.take().with_context(|| format!("{place}: output of nothing"))?;
                    compare(&printed, &block.text).with_context(|| place)?;
                }
                _ => {}
            }
        }
    }
    ensure!(ran > 0, "no page has a command");
    Ok(())
}

/// The output of a block, on standard output and standard error.
fn run(block: &Block, url: &str) -> Result<String> {
    let architecture = Architecture::of_machine(std::env::consts::ARCH);
    let architecture = architecture.context("systemd has no name for this machine")?.to_string();
    let text = block.text.replace(ADDRESS, url).replace(ARCHITECTURE, &architecture);
    let script = format!("exec 2>&1\n{text}");
    let mut command = Command::new("/bin/sh");
    command.args(["-eu", "-c", &script]).env_clear().current_dir(HOME);
    command.env("PATH", format!("{PROGRAMS}:/usr/sbin:/usr/bin:/sbin:/bin"));
    command.env("HOME", HOME).env("LC_ALL", "C.UTF-8");
    let output = command.output().context("cannot run /bin/sh")?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let printed = printed.replace(url, ADDRESS).replace(&architecture, ARCHITECTURE);
    ensure!(output.status.success(), "{}\n{}\n{printed}", output.status, block.text);
    Ok(printed)
}

/// Requires every line that a page shows, in that order. Other lines may be printed between them.
fn compare(printed: &str, shown: &str) -> Result<()> {
    let mut lines = printed.lines();
    for expected in shown.lines() {
        let found = lines.any(|line| is_like(line, expected));
        ensure!(found, "this is not printed, or not there:\n{expected}\nbut this is:\n{printed}");
    }
    Ok(())
}

fn reasons() -> Result<()> {
    let mut unused: BTreeMap<_, _> = CONSOLE.into();
    for page in pages()? {
        for block in &page.blocks {
            let place = page.at(block.line);
            ensure!(
                ["console", "output", "sh", "text", "toml", "ini", "yaml"].contains(&block.tag.as_str()),
                "{place}: a block tagged {:?}",
                block.tag
            );
            if block.tag != "console" {
                continue;
            }
            for line in block.text.lines() {
                let command = line.split(" #").next().unwrap_or_default().trim();
                ensure!(
                    CONSOLE.iter().any(|(known, _)| *known == command),
                    "{place}: who runs {command:?}? Tag it sh, or say in {} why not",
                    file!()
                );
                unused.remove(command);
            }
        }
    }
    ensure!(unused.is_empty(), "no page has these: {unused:?}");
    Ok(())
}

fn words() -> Result<()> {
    let mut unclear = Vec::new();
    for page in pages()? {
        for (number, line) in &page.prose {
            let line = line.to_lowercase();
            let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric()).collect();
            let text = format!(" {} ", words.join(" "));
            let found = UNCLEAR.iter().filter(|(word, _)| text.contains(&format!(" {word} ")));
            unclear.extend(found.map(|(word, better)| format!("{}: {word}: {better}", page.at(*number))));
        }
    }
    ensure!(unclear.is_empty(), "{}", unclear.join("\n"));
    Ok(())
}

/// The packages in the README's command are those of tools that trials need.
fn packages() -> Result<()> {
    let script = fs::read_to_string(workspace::root().join(".ci/run"))?;
    let tools = script.split("tools=(\n").nth(1).and_then(|rest| rest.split("\n)").next());
    let known: Vec<&str> = tools
        .context(".ci/run lists no tools")?
        .lines()
        .filter_map(|line| line.trim().trim_matches('"').split_once(' '))
        .map(|(_tool, package)| package)
        .collect();
    let install = CONSOLE.iter().find_map(|(command, _)| command.strip_prefix("sudo apt-get install "));
    for package in install.context("no command installs packages")?.split(' ') {
        ensure!(known.contains(&package), "{package} is not in .ci/run: {known:?}");
    }
    Ok(())
}

fn links() -> Result<()> {
    let pages = pages()?;
    let mut seen = 0;
    for page in &pages {
        for link in &page.links {
            let place = page.at(link.line);
            if link.target.starts_with("https://") {
                continue;
            }
            let (path, anchor) = link.target.split_once('#').unwrap_or((&link.target, ""));
            let target =
                if path.is_empty() { page.path.clone() } else { resolve(&page.path, Path::new(path)) };
            ensure!(workspace::root().join(&target).exists(), "{place}: {} does not exist", target.display());
            if !anchor.is_empty() {
                let page = pages.iter().find(|page| page.path == target);
                let found = page.is_some_and(|page| page.anchors.iter().any(|known| known == anchor));
                ensure!(found, "{place}: {} has no heading #{anchor}", target.display());
            }
            seen += 1;
        }
    }
    ensure!(seen > 0, "no page has a link");
    Ok(())
}

fn index() -> Result<()> {
    let told: Vec<PathBuf> = story()?.into_iter().map(|page| page.path).collect();
    let readme = Page::read(Path::new("README.md"))?;
    let shown: Vec<&Path> = readme.links.iter().map(|link| Path::new(&link.target)).collect();
    for page in pages()?.into_iter().filter(|page| page.path.starts_with("docs")) {
        ensure!(told.contains(&page.path), "{INDEX} does not list {}", page.path.display());
        ensure!(shown.contains(&page.path.as_path()), "the README does not list {}", page.path.display());
    }
    Ok(())
}

/// All pages: those in `docs/` and those in the top directory.
fn pages() -> Result<Vec<Page>> {
    let mut paths = Vec::new();
    for directory in ["", "docs"] {
        for entry in fs::read_dir(workspace::root().join(directory))? {
            let path = Path::new(directory).join(entry?.file_name());
            if path.extension().is_some_and(|extension| extension == "md") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    paths.iter().map(|path| Page::read(path)).collect()
}

/// The README, the index, and the pages in `docs/` in the order of the index.
fn story() -> Result<Vec<Page>> {
    let index = Page::read(Path::new(INDEX))?;
    let mut paths = vec![PathBuf::from("README.md"), PathBuf::from(INDEX)];
    for link in &index.links {
        let path = link.target.split('#').next().unwrap_or_default();
        let path = resolve(&index.path, Path::new(path));
        if path.starts_with("docs") && path.extension().is_some() && !paths.contains(&path) {
            paths.push(path);
        }
    }
    paths.iter().map(|path| Page::read(path)).collect()
}

/// The target of a relative link on a page, relative to the checkout.
fn resolve(page: &Path, link: &Path) -> PathBuf {
    let mut path = page.parent().unwrap_or(page).to_owned();
    for part in link.components() {
        match part {
            Component::ParentDir => {
                path.pop();
            }
            Component::Normal(name) => path.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    path
}
