//! The command line: the verbs and options of systemd-sysupdate, and our own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::failure::Failure;
use crate::host::Host;
use crate::host::view::{absolute, is_directory};
use crate::paths::Paths;
use crate::plan::Goal;

mod check_new;
mod compare_versions;
mod components;
mod context;
mod enable_component;
mod enable_feature;
mod features;
mod help;
mod list;
mod output;
mod plan;
mod progress;
mod remove;
mod retry;
#[cfg(feature = "schema")]
mod schema;
mod scope;
mod stock;
mod switch;
mod sysext;
mod table;
mod trust;
mod update;
mod vacuum;

use context::Context;
use output::{Json, fail, fail_component, warn};
use scope::{Scope, Takes};
use stock::Stock;
use switch::Switch;

#[cfg(feature = "schema")]
pub use schema::schemas;

/// Download, verify and merge system extensions, run health checks, and roll back on failure
#[derive(Debug, Parser)]
#[command(name = "sysupdate", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List installed and available versions (default)
    List(list::Args),
    /// Check for a newer version; exits with 1 if there is none
    CheckNew(check_new::Args),
    /// Show what an update would do, and why
    Plan(plan::Args),
    /// Install and activate the newest (or given) version
    Update(update::Args),
    /// Download the newest (or given) version without activating it
    Acquire(update::Args),
    /// Remove old versions and files of disabled features
    Vacuum(vacuum::Args),
    /// Allow a version again that failed its health checks
    ///
    /// A version that failed its health checks is rolled back, and later updates skip it. Use this after the
    /// cause was repaired on this host. `sysupdate update VERSION` installs a failed version once, too.
    Retry(retry::Args),
    /// Unmerge and delete an extension whose definitions were removed
    ///
    /// Without definitions, no other command knows the files that were installed for a component. `list` and
    /// `update` warn of such components.
    Remove(remove::Args),
    /// Merge system extensions into /usr and /opt
    Sysext(sysext::Args),
    /// Show or reset the trust state of repositories
    Trust(trust::Args),
    /// List the optional features of a component
    Features(features::Args),
    /// Enable features, effective with the next update
    EnableFeature(enable_feature::Args),
    /// Disable features; their files are removed by the next update
    DisableFeature(enable_feature::Args),
    /// List components and whether they are enabled
    Components(components::Args),
    /// Enable components, effective with the next update
    EnableComponent(enable_component::Args),
    /// Disable components; installed files are kept
    DisableComponent(enable_component::Args),
    /// Compare two versions; exits with 0 (equal), 11 (first newer) or 12 (second newer)
    CompareVersions(compare_versions::Args),
    /// Not supported: files that no longer belong to any transfer are kept
    #[command(hide = true)]
    Cleanup,
    /// Not supported: this version does not update the base system
    #[command(hide = true)]
    Pending,
    /// Not supported: this version does not update the base system
    #[command(hide = true)]
    Reboot,
}

/// The options of every verb. As in systemd-sysupdate, its verbs accept them all and refuse those that contradict
/// the verb; our own verbs only accept those that they use. The help of a verb shows those that it uses.
#[derive(Debug, Args)]
struct Options {
    #[command(flatten)]
    scope: Scope,
    /// Work on the system below this directory
    #[arg(long, global = true, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Require an OpenPGP-signed SHA256SUMS where Repository= is not set (overrides Verify=)
    #[arg(long, global = true, value_name = "BOOL", value_parser = parse_boolean)]
    verify: Option<bool>,
    /// Keep at most NUMBER versions (overrides InstancesMax=)
    #[arg(short = 'm', long, global = true, value_name = "NUMBER")]
    instances_max: Option<u64>,
    /// Print the result as JSON
    #[arg(long, global = true, value_name = "MODE", num_args = 0..=1, require_equals = true,
          default_value = "off", default_missing_value = "short", help_heading = OUTPUT)]
    json: Json,
    /// Omit headers and footers
    #[arg(long, global = true, help_heading = OUTPUT)]
    no_legend: bool,
    /// Print only results, warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = OUTPUT)]
    quiet: bool,
    /// Print more detail about each step
    #[arg(short, long, global = true, help_heading = OUTPUT)]
    verbose: bool,
    #[command(flatten)]
    stock: Stock,
}

/// The heading of options that choose components and features.
const SELECTION: &str = "Selection";

/// The heading of options about the output.
const OUTPUT: &str = "Output";

/// The heading of options that change nothing.
const COMPATIBILITY: &str = "Compatibility with systemd-sysupdate";

/// How much is reported on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verbosity {
    /// Warnings and errors.
    Quiet,
    /// What happens, too.
    Normal,
    /// What happens in detail.
    Verbose,
}

impl Options {
    const fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => Verbosity::Normal,
        }
    }
}

/// A boolean as systemd spells it.
fn parse_boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Ok(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Ok(false),
        _ => Err("expected yes or no".to_owned()),
    }
}

/// The environment variable of systemd that names the only OpenPGP keyring to use.
const KEYRING_VARIABLE: &str = "SYSTEMD_OPENPGP_KEYRING";

/// How a verb ended that did not fail to run.
enum Status {
    /// Everything went well.
    Success,
    /// Something failed and was reported, or the answer is "no".
    Failure,
    /// The exit status is the answer.
    Code(u8),
}

/// The command line of the program, with its help.
pub fn command() -> clap::Command {
    help::complete(Cli::command())
}

/// Runs the program. `open` gives access to the machine; tests replace it.
pub fn main<I, F>(arguments: I, open: F) -> ExitCode
where
    I: IntoIterator<Item = OsString>,
    F: FnOnce() -> Host,
{
    output::choose_colors();
    let parsed = command().try_get_matches_from(arguments).and_then(|mut matches| {
        let unused = help::check(&matches);
        Ok((Cli::from_arg_matches_mut(&mut matches)?, unused))
    });
    let (cli, unused) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            // A closed output does not matter here.
            let _closed = error.print();
            // systemd's tools exit with 1 for every error.
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    match unused.and_then(|()| run(cli, open)) {
        Ok(Status::Success) => ExitCode::SUCCESS,
        Ok(Status::Failure) => ExitCode::FAILURE,
        Ok(Status::Code(code)) => ExitCode::from(code),
        Err(failure) => {
            fail(&failure);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli, open: impl FnOnce() -> Host) -> Result<Status, Failure> {
    let Cli { verb, mut options } = cli;
    let root = absolute(&options.root);
    if !is_directory(&root) {
        // Checked before anything is written, which would create the directories of a misspelt root.
        let error = format!("--root={}: no such directory", options.root.display());
        return Err(Failure { error, hint: None });
    }
    let mut paths = Paths::new(&root);
    if let Some(keyring) = std::env::var_os(KEYRING_VARIABLE).filter(|path| !path.is_empty()) {
        paths = paths.with_keyring(absolute(Path::new(&keyring)));
    }
    options.scope.definitions = options.scope.definitions.as_deref().map(absolute);
    let verb = verb.unwrap_or(Verb::List(list::Args::default()));
    let (name, takes) = verb.takes();
    options.scope.check(name, takes)?;
    options.stock.check()?;
    let mut host = open();
    host.confine(&root);
    verb.run(Context { host, paths, options })
}

impl Verb {
    /// Its name, and which components and features it can work on.
    const fn takes(&self) -> (&'static str, Takes) {
        match self {
            Self::List(_) => ("list", Takes::OneOrAll),
            Self::CheckNew(_) => ("check-new", Takes::One),
            Self::Plan(_) => ("plan", Takes::OneOrAll),
            Self::Update(_) => ("update", Takes::OneOrAll),
            Self::Acquire(_) => ("acquire", Takes::OneOrAll),
            Self::Vacuum(_) => ("vacuum", Takes::One),
            Self::Retry(_) => ("retry", Takes::One),
            Self::Remove(_) => ("remove", Takes::One),
            Self::Sysext(_) => ("sysext", Takes::One),
            Self::Trust(_) => ("trust", Takes::One),
            Self::Features(_) => ("features", Takes::One),
            Self::EnableFeature(_) => ("enable-feature", Takes::Features),
            Self::DisableFeature(_) => ("disable-feature", Takes::Features),
            Self::Components(_) => ("components", Takes::One),
            Self::EnableComponent(_) => ("enable-component", Takes::Components),
            Self::DisableComponent(_) => ("disable-component", Takes::Components),
            Self::CompareVersions(_) => ("compare-versions", Takes::One),
            Self::Cleanup => ("cleanup", Takes::OneOrAll),
            Self::Pending => ("pending", Takes::One),
            Self::Reboot => ("reboot", Takes::One),
        }
    }

    fn run(self, context: Context) -> Result<Status, Failure> {
        match self {
            Self::List(args) => args.run(&context),
            Self::CheckNew(args) => args.run(&context),
            Self::Plan(args) => args.run(&context),
            Self::Update(args) => args.run(context, Goal::Update),
            Self::Acquire(args) => args.run(context, Goal::Download),
            Self::Vacuum(args) => args.run(context),
            Self::Retry(args) => args.run(&context),
            Self::Remove(args) => args.run(context),
            Self::Sysext(args) => args.run(&context),
            Self::Trust(args) => args.run(&context),
            Self::Features(args) => args.run(&context),
            Self::EnableFeature(args) => args.run(context, Switch::Enable),
            Self::DisableFeature(args) => args.run(context, Switch::Disable),
            Self::Components(args) => args.run(&context),
            Self::EnableComponent(args) => args.run(context, Switch::Enable),
            Self::DisableComponent(args) => args.run(context, Switch::Disable),
            Self::CompareVersions(args) => args.run(&context),
            Self::Cleanup => Err(stock::no_cleanup()),
            Self::Pending => Err(stock::no_reboot("pending")),
            Self::Reboot => Err(stock::no_reboot("reboot")),
        }
    }
}
