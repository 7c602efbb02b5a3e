//! The command line: verbs and flags as systemd-sysupdate has them, and what goes beyond.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;
use sysext_manifests::specifier::Identity;

use crate::failure::Failure;
use crate::host::Host;
use crate::host::lock::Lock;
use crate::host::view::{absolute, is_directory};
use crate::node::identity::{self, IdentityError};
use crate::paths::Paths;
use crate::plan::{Goal, Survey, Wanted};
use crate::repository::Memory;
use crate::settings::{self, Component, ComponentName, Disabled, Loaded};
use crate::sources::Discovery;

mod check_new;
mod compare_versions;
mod components;
mod enable_component;
mod enable_feature;
mod features;
mod list;
mod plan;
mod progress;
mod scope;
mod stock;
mod switch;
mod sysext;
mod table;
mod trust;
mod update;
mod vacuum;

use scope::{Reach, Scope};
use stock::Stock;
use switch::Turn;

/// Downloads, verifies and merges system extensions, checks that they work, and takes them back when they
/// do not.
#[derive(Debug, Parser)]
#[command(name = "sysupdate", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    global: Global,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the versions that are here and that are offered (what happens without a verb)
    List(list::Args),
    /// Print the version an update would bring; the exit status is 1 if there is none
    CheckNew(check_new::Args),
    /// Show what an update would do, and why
    Plan(plan::Args),
    /// Bring the newest version, or the one named, and put it in use if it passes its checks
    Update(update::Args),
    /// Bring the newest version, or the one named; `update` then puts it in use
    Acquire(update::Args),
    /// Make room: remove old versions, and what features brought that are off now
    Vacuum(vacuum::Args),
    /// Merge system extensions into /usr and /opt
    Sysext(sysext::Args),
    /// Show what this node believes of its repositories, or make it start afresh
    Trust(trust::Args),
    /// Show what may be switched on and off within a component
    Features(features::Args),
    /// Switch features on; their transfers take part from the next update on
    EnableFeature(enable_feature::Args),
    /// Switch features off; what they brought goes with the next update
    DisableFeature(enable_feature::Args),
    /// Show which components there are, and which take part
    Components(components::Args),
    /// Switch components on; they take part from the next update on
    EnableComponent(enable_component::Args),
    /// Switch components off; what they have installed stays
    DisableComponent(enable_component::Args),
    /// Tell which of two versions is newer, as systemd-analyze does: 0 equal, 11 the first, 12 the second
    CompareVersions(compare_versions::Args),
    /// Refused: files that no definition claims any more stay
    #[command(hide = true)]
    Cleanup,
    /// Refused: the running system is not updated by this version
    #[command(hide = true)]
    Pending,
    /// Refused: the running system is not updated by this version
    #[command(hide = true)]
    Reboot,
}

#[derive(Debug, Args)]
struct Global {
    #[command(flatten)]
    scope: Scope,
    /// Work on the system below this directory
    #[arg(long, global = true, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Whether a manifest without a repository must be signed with OpenPGP; overrides Verify=
    #[arg(long, global = true, value_name = "BOOL", value_parser = parse_boolean)]
    verify: Option<bool>,
    /// How many versions of each file may be there, whatever InstancesMax= says
    #[arg(short = 'm', long, global = true, value_name = "NUMBER")]
    instances_max: Option<u64>,
    /// Print JSON
    #[arg(long, global = true, value_name = "MODE", num_args = 0..=1, require_equals = true,
          default_value = "off", default_missing_value = "short")]
    json: Json,
    /// Print no headings and footings
    #[arg(long, global = true)]
    no_legend: bool,
    #[command(flatten)]
    stock: Stock,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Json {
    Off,
    Short,
    Pretty,
}

/// A boolean as systemd spells it.
fn parse_boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Ok(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Ok(false),
        _ => Err("say yes or no".to_owned()),
    }
}

/// What a verb works with.
struct Context {
    host: Host,
    paths: Paths,
    global: Global,
}

/// The chosen components, and what is known of them.
struct Looked {
    components: BTreeMap<ComponentName, Component>,
    survey: Survey,
    /// Whether nothing failed.
    all_well: bool,
}

/// The environment variable of systemd that names the only OpenPGP keyring to use.
const KEYRING_VARIABLE: &str = "SYSTEMD_OPENPGP_KEYRING";

/// How a verb ended, if nothing went wrong.
enum Ended {
    /// All is well.
    Well,
    /// It said what there was to say, and the answer is no.
    No,
    /// It said what there was to say, and the exit status says it too.
    With(ExitCode),
}

/// Runs the program: `open` opens the door to the world, so that a test may open another.
pub fn main<I, F>(arguments: I, open: F) -> ExitCode
where
    I: IntoIterator<Item = OsString>,
    F: FnOnce() -> Host,
{
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // A closed output is nothing to complain about.
            let _unprinted = error.print();
            // systemd's tools end with 1 whatever was wrong.
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    let root = absolute(&cli.global.root);
    if !is_directory(&root) {
        // Said before anything is written: the directories of a misspelt root would be made.
        say(format_args!("error: --root={}: no such directory", cli.global.root.display()));
        return ExitCode::FAILURE;
    }
    let mut paths = Paths::new(&root);
    if let Some(keyring) = std::env::var_os(KEYRING_VARIABLE).filter(|path| !path.is_empty()) {
        paths = paths.with_keyring(absolute(Path::new(&keyring)));
    }
    let mut global = cli.global;
    global.scope.definitions = global.scope.definitions.as_deref().map(absolute);
    let mut host = open();
    host.confine(&root);
    let context = Context { host, paths, global };
    let verb = cli.verb.unwrap_or(Verb::List(list::Args::default()));
    let (name, reach) = verb.reach();
    let checked = context.global.scope.check(name, reach).and_then(|()| context.global.stock.check());
    let ended = checked.and_then(|()| verb.run(context));
    match ended {
        Ok(Ended::Well) => ExitCode::SUCCESS,
        Ok(Ended::No) => ExitCode::FAILURE,
        Ok(Ended::With(status)) => status,
        Err(Failure { error, hint }) => {
            say(format_args!("error: {error}"));
            if let Some(hint) = hint {
                say(format_args!("hint: {hint}"));
            }
            ExitCode::FAILURE
        }
    }
}

impl Verb {
    /// Its name, and what it can be about.
    const fn reach(&self) -> (&'static str, Reach) {
        match self {
            Self::List(_) => ("list", Reach::Every),
            Self::CheckNew(_) => ("check-new", Reach::One),
            Self::Plan(_) => ("plan", Reach::Every),
            Self::Update(_) => ("update", Reach::Every),
            Self::Acquire(_) => ("acquire", Reach::Every),
            Self::Vacuum(_) => ("vacuum", Reach::One),
            Self::Sysext(_) => ("sysext", Reach::One),
            Self::Trust(_) => ("trust", Reach::One),
            Self::Features(_) => ("features", Reach::One),
            Self::EnableFeature(_) => ("enable-feature", Reach::Features),
            Self::DisableFeature(_) => ("disable-feature", Reach::Features),
            Self::Components(_) => ("components", Reach::One),
            Self::EnableComponent(_) => ("enable-component", Reach::Components),
            Self::DisableComponent(_) => ("disable-component", Reach::Components),
            Self::CompareVersions(_) => ("compare-versions", Reach::One),
            Self::Cleanup => ("cleanup", Reach::Every),
            Self::Pending => ("pending", Reach::One),
            Self::Reboot => ("reboot", Reach::One),
        }
    }

    fn run(self, context: Context) -> Result<Ended, Failure> {
        match self {
            Self::List(args) => args.run(&context),
            Self::CheckNew(args) => args.run(&context),
            Self::Plan(args) => args.run(&context),
            Self::Update(args) => args.run(context, Goal::Update),
            Self::Acquire(args) => args.run(context, Goal::Download),
            Self::Vacuum(args) => args.run(context),
            Self::Sysext(args) => args.run(&context),
            Self::Trust(args) => args.run(&context),
            Self::Features(args) => args.run(&context),
            Self::EnableFeature(args) => args.run(context, Turn::On),
            Self::DisableFeature(args) => args.run(context, Turn::Off),
            Self::Components(args) => args.run(&context),
            Self::EnableComponent(args) => args.run(context, Turn::On),
            Self::DisableComponent(args) => args.run(context, Turn::Off),
            Self::CompareVersions(args) => args.run(),
            Self::Cleanup => Err(stock::no_cleanup()),
            Self::Pending => Err(stock::no_reboot("pending")),
            Self::Reboot => Err(stock::no_reboot("reboot")),
        }
    }
}

impl Context {
    fn identity(&self) -> Result<Identity, IdentityError> {
        identity::identify(&*self.host.store, &self.paths)
    }

    fn components(&self, identity: &Identity, disabled: Disabled) -> Result<Loaded, Failure> {
        let choice = self.global.scope.choice();
        let mut components = settings::load(&*self.host.store, &self.paths, identity, &choice, disabled)?;
        let components_mut = components.iter_mut().filter_map(|(_, component)| component.as_mut().ok());
        for transfer in components_mut.flat_map(|component| &mut component.transfers) {
            transfer.verify = self.global.verify.unwrap_or(transfer.verify);
            let target = &mut transfer.target;
            target.instances_max = self.global.instances_max.unwrap_or(target.instances_max);
        }
        Ok(components)
    }

    /// Refuses a number of versions that leaves no room for what a verb does, in stock's words.
    fn check_instances_max(&self, least: u64, doing: &str) -> Result<(), Failure> {
        match self.global.instances_max {
            Some(number) if number < least => Err(Failure {
                error: format!("The --instances-max= argument must be >= {least} while {doing}"),
                hint: None,
            }),
            _ => Ok(()),
        }
    }

    /// The lock, for verbs that write.
    fn lock(&self, verb: &str) -> Result<Lock, Failure> {
        let path = self.host.store.resolve(&self.paths.lock)?;
        Lock::take(&path, verb, self.host.clock.now()).map_err(Failure::from)
    }

    /// Surveys every chosen component, writing nothing. Failures are printed.
    fn look(&self, wanted: &Wanted) -> Result<Looked, Failure> {
        let identity = self.identity()?;
        let mut discovery = Discovery::new(&self.host, &self.paths, &identity, Memory::Leave);
        let mut components = BTreeMap::new();
        let mut all_well = true;
        for (name, component) in self.components(&identity, Disabled::Show)? {
            match component {
                Ok(component) => {
                    component.warnings.iter().for_each(warn);
                    components.insert(name, component);
                }
                Err(error) => {
                    complain(&name, &Failure::from(error));
                    all_well = false;
                }
            }
        }
        let discovery = (!self.global.stock.offline).then_some(&mut discovery);
        let goal = Goal::Update;
        let surveyed = crate::update::survey(
            &self.host,
            &self.paths,
            &identity,
            components.values(),
            discovery,
            goal,
            wanted,
        );
        surveyed.warnings.iter().for_each(|(_, warning)| warn(warning));
        surveyed.failures.iter().for_each(|(name, failure)| complain(name, failure));
        all_well &= surveyed.failures.is_empty();
        Ok(Looked { components, survey: surveyed.survey, all_well })
    }

    /// Whether a person reads what is printed.
    fn is_text(&self) -> bool {
        self.global.json == Json::Off
    }

    /// Prints data: as JSON if that is wanted, else as the text.
    fn print<T: Serialize>(&self, data: &T, text: impl FnOnce() -> String) -> Result<(), Failure> {
        let json = |result: serde_json::Result<String>| match result {
            Ok(json) => Ok(format!("{json}\n")),
            Err(error) => Err(Failure { error: error.to_string(), hint: None }),
        };
        let text = match self.global.json {
            Json::Off => text(),
            Json::Short => json(serde_json::to_string(data))?,
            Json::Pretty => json(serde_json::to_string_pretty(data))?,
        };
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| Failure {
            error: format!("cannot write to the standard output: {error}"),
            hint: None,
        })
    }
}

/// Says something on standard error. Nobody to read it is no reason to stop, least of all in mid-update.
fn say(text: impl fmt::Display) {
    let _unread = writeln!(io::stderr(), "{text}");
}

fn warn(warning: impl fmt::Display) {
    say(format_args!("warning: {warning}"));
}

fn complain(name: &ComponentName, failure: &Failure) {
    say(format_args!("error: {name}: {}", failure.error));
    if let Some(hint) = &failure.hint {
        say(format_args!("hint: {hint}"));
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
