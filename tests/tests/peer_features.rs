//! Features and components in the real systemd-sysupdate 262 and in our `sysupdate`: the same text, the same
//! JSON, the same messages, the same files.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::needs::{Need, Suite};
use tests::peer::{Peer, Shared};
use tests::programs::program;

const STOCK: &str = "/usr/lib/systemd/systemd-sysupdate";
const OURS: &str = "/opt/ours/sysupdate";

fn main() -> ExitCode {
    let mut suite = Suite::new();
    for (name, body) in TRIALS {
        suite.isolated(name, &[Need::Peer(Peer::Sid)], *body);
    }
    suite.run()
}

type Trial = (&'static str, fn() -> Result<()>);

const TRIALS: &[Trial] = &[
    ("peer_systemd_262_prints_the_same_features", shows),
    ("peer_systemd_262_enables_features_in_the_same_way", switches),
    ("peer_systemd_262_enables_components_in_the_same_way", switches_components),
    ("peer_systemd_262_rejects_what_we_reject", refuses),
    ("peer_systemd_262_prints_the_same_disabled_components", disabled),
    ("peer_systemd_262_removes_our_files_and_we_remove_its_files", overlapping),
    ("peer_systemd_262_differs_for_links_in_a_linked_directory", linked_directory),
];

/// The definitions: all are below `/run`, so that a program wrote everything in `/etc`.
const FILES: &[(&str, &str)] = &[
    ("sysupdate.d/a.transfer", ""),
    ("sysupdate.d/b.transfer", "Features=devel"),
    ("sysupdate.d/c.transfer", "RequisiteFeatures=devel plain"),
    ("sysupdate.d/plain.feature", "[Feature]\n"),
    ("sysupdate.apps.d/d.transfer", ""),
    ("sysupdate.apps.d/devel.feature", "[Feature]\nDescription=Other tools\nSuggest=no\n"),
    (
        "sysupdate.apps.component",
        "[Component]\nDescription=Applications\nDocumentation=https://example.org/apps\n",
    ),
    ("sysupdate.off.d/e.transfer", ""),
    (
        "sysupdate.off.component",
        "[Component]\nEnabled=no\nSuggestOnArchitecture=!ia64\nDocumentation=https://a/\nDocumentation=https://b/\n",
    ),
    ("sysupdate.bare.d/only.feature", "[Feature]\nEnabled=yes\n"),
    (
        "sysupdate.d/devel.feature",
        "[Feature]\nDescription=Tools, and their sources\nDocumentation=https://example.org/a\n\
         Documentation=https://example.org/b\nAppStream=https://example.org/devel.xml\nSuggestOnVersion=>=2.6\n",
    ),
    ("sysupdate.d/odd.feature", "[Feature]\nDescription=Größe\nEnabled=yes\nSuggestOnHost=|!%%\n"),
];

/// Creates new definitions.
fn lay_out() -> Result<()> {
    for directory in ["/etc", "/run"] {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match (name.starts_with("sysupdate"), path.is_dir()) {
                (false, _) => {}
                (true, true) => fs::remove_dir_all(&path)?,
                (true, false) => fs::remove_file(&path)?,
            }
        }
    }
    for (file, text) in FILES {
        let path = Path::new("/run").join(file);
        fs::create_dir_all(path.parent().context("a file is in a directory")?)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let transfer = format!(
            "[Transfer]\n{text}\n[Source]\nType=regular-file\nPath=/srv/source\nMatchPattern={name}-@v.raw\n\
             [Target]\nType=regular-file\nPath=/srv/target\nMatchPattern={name}-@v.raw\n"
        );
        let text = if file.ends_with(".transfer") { &transfer } else { *text };
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn enter() -> Result<()> {
    let program = program("sysupdate")?;
    let ours = program.parent().context("a program is in a directory")?;
    Peer::Sid.enter(&[Shared { host: ours, peer: Path::new("/opt/ours") }])?;
    for directory in ["/srv/source", "/srv/target"] {
        fs::create_dir_all(directory)?;
    }
    lay_out()
}

/// The result of a program: status, output, messages, and the files in `/etc` afterwards, with their modes.
#[derive(Debug, PartialEq, Eq)]
struct Done {
    status: Option<i32>,
    stdout: Vec<String>,
    stderr: Vec<String>,
    files: BTreeMap<String, (u32, String)>,
}

fn run(program: &str, arguments: &[&str]) -> Result<Done> {
    lay_out()?;
    // Stock wraps lines at 80 columns, ours never wraps.
    let output = Command::new(program).args(arguments).env("COLUMNS", "500").output()?;
    let lines = |bytes: Vec<u8>| -> Result<Vec<String>> {
        Ok(String::from_utf8(bytes)?.lines().map(str::to_owned).collect())
    };
    let mut stderr = lines(output.stderr)?;
    // Ours prints errors and hints; stock prints what it is about to do.
    stderr.retain(|line| !line.starts_with("hint: ") && !line.ends_with('…'));
    for line in &mut stderr {
        if let Some(message) = line.strip_prefix("error: ") {
            *line = message.to_owned();
        }
    }
    let mut files = BTreeMap::new();
    for entry in fs::read_dir("/etc")? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("sysupdate.")) {
            collect(&path, &mut files)?;
        }
    }
    Ok(Done { status: output.status.code(), stdout: lines(output.stdout)?, stderr, files })
}

fn collect(path: &Path, files: &mut BTreeMap<String, (u32, String)>) -> Result<()> {
    let mode = fs::metadata(path)?.permissions().mode();
    let mut text = String::new();
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            collect(&entry?.path(), files)?;
        }
    } else {
        text = fs::read_to_string(path)?;
    }
    files.insert(path.display().to_string(), (mode, text));
    Ok(())
}

/// Runs both programs with new definitions, and requires the same result.
fn same(arguments: &[&str]) -> Result<Done> {
    let (mut stock, mut ours) = (run(STOCK, arguments)?, run(OURS, arguments)?);
    // Stock lists features in the order of a hash that differs in every run; ours are sorted.
    if arguments.contains(&"features")
        || arguments.iter().any(|argument| ["-a", "-s", "--feature-suggested"].contains(argument))
    {
        for done in [&mut stock, &mut ours] {
            done.stdout.sort();
            done.stderr.sort();
        }
    }
    if arguments.iter().any(|argument| argument.starts_with("--json")) && stock.stdout.is_empty() {
        // Stock prints no JSON here, and we list the changes.
        let changes: Value = serde_json::from_str(&ours.stdout.concat())?;
        ensure!(changes["changes"].is_array(), "{changes}");
        ours.stdout.clear();
    }
    ensure!(stock == ours, "{arguments:?}: stock did\n{stock:#?}\nwe did\n{ours:#?}");
    Ok(ours)
}

/// Like [`same`], for JSON with any layout and lists in any order.
fn same_json(arguments: &[&str]) -> Result<()> {
    let answer = |program| -> Result<Value> {
        let done = run(program, arguments)?;
        let mut value: Value = serde_json::from_str(&done.stdout.join("\n"))
            .with_context(|| format!("{program} {arguments:?}: {done:?}"))?;
        for list in value.as_object_mut().into_iter().flatten().filter_map(|(_, value)| value.as_array_mut())
        {
            list.sort_by_key(Value::to_string);
        }
        Ok(value)
    };
    let (stock, ours) = (answer(STOCK)?, answer(OURS)?);
    ensure!(stock == ours, "{arguments:?}: stock says {stock}, we say {ours}");
    Ok(())
}

fn shows() -> Result<()> {
    enter()?;
    let done = same(&["features"])?;
    ensure!(done.stdout.len() == 6, "a heading, three features, and how many: {done:?}");
    let done = same(&["features", "devel"])?;
    ensure!(done.stdout.len() == 8, "{done:?}");
    for arguments in [
        &["features", "--no-legend"][..],
        &["features", "-C", "apps"],
        &["features", "-C", "off"],
        &["features", "-C", "off", "--no-legend"],
        &["features", "-C", "off", "--json=short"],
        &["features", "--definitions=/run/sysupdate.apps.d"],
        &["features", "devel", "--json=short"],
        &["features", "plain", "--json=short"],
        &["features", "plain"],
        &["features", "odd"],
        &["features", "odd", "--no-legend"],
        &["features", "devel", "-C", "apps"],
        &["features", "nothing"],
        &["components"],
        &["components", "--no-legend"],
        &["components", "--json=short"],
        &["components", "-C", "apps"],
        &["components", "-C", ""],
    ] {
        same(arguments)?;
    }
    for format in ["--json=short", "--json=pretty"] {
        for arguments in [&["features"][..], &["features", "devel"], &["features", "plain"], &["components"]]
        {
            same_json(&[arguments, &[format]].concat())?;
        }
    }
    Ok(())
}

fn switches() -> Result<()> {
    enter()?;
    for verb in ["enable-feature", "disable-feature"] {
        let done = same(&[verb, "devel"])?;
        let (_, text) = done
            .files
            .get("/etc/sysupdate.d/devel.feature.d/50-systemd-sysupdate-enabled.conf")
            .context("no drop-in")?;
        ensure!(text.starts_with(&format!("# Generated via 'systemd-sysupdate {verb}'\n")), "{text:?}");
        for arguments in [
            &["devel", "plain"][..],
            &["devel", "nothing", "plain"],
            &["devel", "-C", "apps"],
            &["devel", "-C", "off"],
            &["only", "-C", "bare"],
            &["devel", "-C", "nowhere"],
            &["devel", "-A"],
            &["-a"],
            &["-a", "-A"],
            &["-a", "-C", "apps"],
            &["-s"],
            &["-s", "-A"],
            &["-s", "-C", "apps"],
            &["--feature-suggested", "--json=short"],
        ] {
            same(&[&[verb], arguments].concat())?;
        }
    }
    // The stored value counts.
    let ours = run(OURS, &["enable-feature", "plain"])?;
    ensure!(ours.status == Some(0), "{ours:?}");
    for program in [STOCK, OURS] {
        let output = Command::new(program).args(["features", "plain", "--json=short"]).output()?;
        let text = String::from_utf8(output.stdout)?;
        ensure!(text.contains("\"enabled\":true"), "{program}: {text}");
    }
    Ok(())
}

fn switches_components() -> Result<()> {
    enter()?;
    for verb in ["enable-component", "disable-component"] {
        let done = same(&[verb, "apps"])?;
        let (_, text) = done
            .files
            .get("/etc/sysupdate.apps.component.d/50-systemd-sysupdate-enabled.conf")
            .context("no drop-in")?;
        ensure!(text.ends_with(if verb == "enable-component" { "yes\n" } else { "no\n" }), "{text:?}");
        for arguments in [
            &[][..],
            &["apps", "off"],
            &["apps", "nowhere"],
            &["bare"],
            &["-A"],
            &["-S"],
            &["-C", "apps"],
            &["-C", "apps", "off"],
            &["-A", "apps"],
            &["a/b"],
            &["apps", "-a"],
        ] {
            same(&[&[verb], arguments].concat())?;
        }
    }
    Ok(())
}

fn refuses() -> Result<()> {
    enter()?;
    for arguments in [
        &["enable-feature"][..],
        &["enable-feature", "devel", "-a"],
        &["enable-feature", "a/b"],
        &["enable-feature", "devel", "-S"],
        &["disable-feature", "devel", "--definitions=/run/sysupdate.d"],
        &["enable-component", "apps", "--definitions=/run/sysupdate.d"],
        &["components", "--definitions=/run/sysupdate.d"],
        &["components", "-A"],
        &["components", "-s"],
        &["features", "-A"],
        &["features", "-S"],
        &["check-new", "-A"],
        &["check-new", "-a"],
        &["list", "-a"],
        &["update", "-S"],
        &["update", "-s"],
        &["update", "-m", "1"],
        &["acquire", "-S"],
        &["acquire", "-a"],
        &["acquire", "--instances-max=1"],
        &["vacuum", "-A"],
        &["vacuum", "-S"],
        &["vacuum", "-s"],
        &["vacuum", "-m", "0"],
        &["vacuum", "-C", "a/b"],
        &["list", "-C", "a/b"],
        &["list", "-C", "apps", "7"],
        &["list", "-C", "apps", "a/b"],
    ] {
        let done = same(arguments)?;
        ensure!(done.status == Some(1) && done.stderr.len() == 1, "{arguments:?}: {done:?}");
    }
    Ok(())
}

/// The files of a disabled component can be listed; nothing is installed for it.
fn disabled() -> Result<()> {
    enter()?;
    fs::write("/srv/source/e-1.raw", "")?;
    for arguments in [&["check-new"][..], &["list", "1"]] {
        let [stock, ours] =
            [STOCK, OURS].map(|program| run(program, &[arguments, &["-C", "off", "--no-legend"]].concat()));
        let (stock, ours) = (stock?, ours?);
        ensure!(stock.status == Some(0) && stock.stdout == ours.stdout, "{stock:#?} {ours:#?}");
        ensure!(
            ours.stderr == ["warning: component off is disabled: `sysupdate update` skips it"],
            "{ours:?}"
        );
    }
    for (program, word) in [(STOCK, "Component is disabled."), (OURS, "off: Component is disabled: off")] {
        let done = run(program, &["update", "-C", "off"])?;
        let said = [done.stdout, done.stderr].concat();
        ensure!(done.status == Some(1) && said.iter().any(|line| line == word), "{program}: {said:?}");
    }
    ensure!(fs::read_dir("/srv/target")?.next().is_none(), "something was installed");
    Ok(())
}

/// The directory of `CurrentSymlink=` is a symbolic link: stock's link starts at its name and dangles, ours
/// starts at the real directory. Each program recognises the link of the other.
fn linked_directory() -> Result<()> {
    enter()?;
    fs::create_dir_all("/srv/deep/down/extensions")?;
    std::os::unix::fs::symlink("/srv/deep/down/extensions", "/var/lib/extensions")?;
    fs::create_dir_all("/run/sysupdate.linked.d")?;
    let definition = "[Source]\nType=regular-file\nPath=/srv/source\nMatchPattern=l-@v.raw\n\
                      [Target]\nPath=/srv/target\nCurrentSymlink=/var/lib/extensions/l.raw\n";
    fs::write("/run/sysupdate.linked.d/l.transfer", definition)?;
    let update = |program: &str| -> Result<String> {
        let output = Command::new(program).args(["update", "-C", "linked"]).output()?;
        ensure!(output.status.success(), "{program}: {output:?}");
        Ok(fs::read_link("/var/lib/extensions/l.raw")?.display().to_string())
    };
    let current = || -> Result<Value> {
        let output = Command::new(OURS).args(["list", "-C", "linked", "--json=short"]).output()?;
        Ok(serde_json::from_slice::<Value>(&output.stdout)?["current"].take())
    };
    fs::write("/srv/source/l-1.raw", "1")?;
    let text = update(OURS)?;
    ensure!(text == "../../../target/l-1.raw", "{text}");
    ensure!(fs::read("/var/lib/extensions/l.raw")? == b"1" && current()? == "1", "it leads nowhere");
    fs::write("/srv/source/l-2.raw", "2")?;
    let text = update(STOCK)?;
    ensure!(text == "../../../srv/target/l-2.raw", "{text}");
    ensure!(!Path::new("/var/lib/extensions/l.raw").exists() && current()? == Value::Null, "stock is right");
    let text = update(OURS)?;
    ensure!(text == "../../../target/l-2.raw" && current()? == "2", "{text}");
    Ok(())
}

/// If two transfers match each other's files, each program removes the files of the other; ours warns about it.
fn overlapping() -> Result<()> {
    enter()?;
    let left = |program: &str| -> Result<(Vec<String>, String)> {
        fs::create_dir_all("/run/sysupdate.both.d")?;
        for (name, pattern) in [("any", "@v.raw"), ("one", "one-@v.raw")] {
            let definition = format!(
                "[Source]\nType=regular-file\nPath=/srv/source\nMatchPattern={pattern}\n[Target]\nPath=/srv/target\n"
            );
            fs::write(format!("/run/sysupdate.both.d/{name}.transfer"), definition)?;
        }
        for file in ["one-1.raw", "one-2.raw", "one-3.raw", "two-1.raw"] {
            fs::write(Path::new("/srv/target").join(file), file)?;
        }
        let output = Command::new(program).args(["vacuum", "-C", "both", "-m", "2"]).output()?;
        ensure!(output.status.success(), "{program}: {output:?}");
        let mut names = Vec::new();
        for entry in fs::read_dir("/srv/target")? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok((names, String::from_utf8(output.stderr)?))
    };
    let ((stock, _), (ours, words)) = (left(STOCK)?, left(OURS)?);
    ensure!(
        stock == ours && stock == ["one-3.raw", "two-1.raw"],
        "stock leaves {stock:?}, we leave {ours:?}"
    );
    let warning = "warning: both/any also matches files that both/one installs into /srv/target, such as one-1.raw, and may";
    ensure!(words.starts_with(warning), "{words}");
    Ok(())
}
