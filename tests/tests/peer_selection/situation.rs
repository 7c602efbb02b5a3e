//! Generated situations: pseudo-random, and the same on every machine.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sysext_manifests::feature::{ENABLED_FILE, Feature, Kind, enabled_text};
use sysext_manifests::transfer::{TransferText, VerifyText};
use sysext_manifests::update_set::State;
use sysext_manifests::version::Version;

/// Versions for one situation, with typical traps: numbers that are not decimals, separators that change the
/// order, letters and digits, several spellings of one version.
const POOLS: [&[&str]; 7] = [
    &["1", "2", "3", "4", "5"],
    &["1.9", "1.10", "1.10-2", "1.10+k3s1", "1.11", "1.11.0"],
    &["1.33.0~rc.1", "1.33.0", "1.33.0-rc.1", "1.33.0^post1", "1.33.1"],
    &["122.1", "123~rc1-1", "123", "123-a", "123-1.1", "123.a-1", "123a-1"],
    &["v1.2", "1.2", "v1.10", "1.2.0", "V1.2", "1,5"],
    &["a", "B", "0", "1.a", "1-", "1."],
    SPELLINGS,
];

/// Two versions, each in three spellings.
const SPELLINGS: &[&str] = &["1", "01", "1_", "2", "2+", "02"];

/// The files and rules of one transfer.
#[derive(Debug)]
struct Line {
    name: &'static str,
    minimum: Option<Version>,
    protected: Vec<Version>,
    instances_max: u64,
    here: Vec<(Version, State)>,
    offered: Vec<Version>,
    /// The permission bits of the files on offer.
    mode: u32,
    /// Any of these features enables it; empty for none.
    features: Vec<&'static str>,
    /// All of these features are required.
    requisites: Vec<&'static str>,
}

/// Features that transfers may name: two that have files, and one that has none.
const FEATURES: [&str; 3] = ["f", "g", "ghost"];

/// A feature with a file.
#[derive(Debug)]
struct Switch {
    name: &'static str,
    /// The value in its file.
    enabled: Option<bool>,
    /// The value in the drop-in of `enable-feature` or `disable-feature`.
    switched: Option<bool>,
}

/// The effect of features on the transfers of a situation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Effect {
    /// No transfer requires any.
    None,
    /// All required ones are enabled.
    On,
    /// Some are disabled.
    Off,
    /// All are disabled: there is nothing to update.
    AllOff,
    /// A drop-in enabled one that would be disabled.
    SwitchedOn,
    /// A drop-in disabled one that would be enabled.
    SwitchedOff,
}

impl Effect {
    pub(crate) const ALL: [Self; 6] =
        [Self::None, Self::On, Self::Off, Self::AllOff, Self::SwitchedOn, Self::SwitchedOff];
}

/// A component with all of its files.
#[derive(Debug)]
pub(crate) struct Situation {
    pub(crate) number: u64,
    /// The versions that may occur.
    pub(crate) pool: &'static [&'static str],
    lines: Vec<Line>,
    switches: Vec<Switch>,
}

impl Situation {
    /// The situation of that number.
    pub(crate) fn generate(number: u64) -> Result<Self> {
        let mut chance = Chance(number);
        let pool = chance.one_of(&POOLS);
        let mut lines = Vec::new();
        for name in &["a", "b", "c"][..1 + chance.below(3)] {
            let mut some = |percent| -> Result<Option<Version>> {
                let version = chance.one_of(pool).parse().context("the pool has a version that is none")?;
                Ok((chance.below(100) < percent).then_some(version))
            };
            let minimum = some(25)?;
            let protected = some(30)?.into_iter().chain(some(10)?).collect();
            let instances_max = 2 + u64::try_from(chance.below(3))?;
            lines.push(Line {
                name,
                minimum,
                protected,
                instances_max,
                here: vec![],
                offered: vec![],
                mode: [0o600, 0o4755, 0o666][lines.len()],
                features: vec![],
                requisites: vec![],
            });
        }
        for version in pool {
            let version: Version = version.parse()?;
            // All transfers mostly agree, as after successful runs.
            let common = Fate::draw(&mut chance);
            for line in &mut lines {
                let fate = if chance.below(100) < 20 { Fate::draw(&mut chance) } else { common };
                // Of several files of one version in one directory, stock uses any.
                if let Some(state) = fate.here
                    && line.here.iter().all(|(other, _)| *other != version)
                {
                    line.here.push((version.clone(), state));
                }
                if fate.offered && !line.offered.contains(&version) {
                    line.offered.push(version.clone());
                }
            }
        }
        let switches = switch(&mut chance, &mut lines);
        Ok(Self { number, pool, lines, switches })
    }

    /// Whether a transfer is enabled, by the rules of the manual; `enabled` tells which features are.
    fn is_enabled(&self, line: &Line, enabled: fn(&Switch) -> bool) -> bool {
        let is_on = |name: &&str| self.switches.iter().any(|each| each.name == *name && enabled(each));
        (line.features.is_empty() || line.features.iter().any(is_on)) && line.requisites.iter().all(is_on)
    }

    /// The disabled transfers.
    pub(crate) fn idle(&self) -> impl Iterator<Item = &'static str> {
        self.lines.iter().filter(|line| !self.is_enabled(line, Switch::is_on)).map(|line| line.name)
    }

    /// The files of a transfer that its definition protects, except partial ones.
    pub(crate) fn protected_files(&self, name: &str) -> BTreeSet<String> {
        let lines = self.lines.iter().filter(|line| line.name == name);
        let files = lines.flat_map(|line| {
            let here = line
                .here
                .iter()
                .filter(|(version, state)| *state != State::Partial && line.protected.contains(version));
            here.map(|(version, state)| format!("{}{}", prefix(*state), line.file(version.as_str())))
        });
        files.collect()
    }

    /// The effect of features in this situation.
    pub(crate) fn effects(&self) -> Vec<Effect> {
        let count = |said| self.lines.iter().filter(|line| self.is_enabled(line, said)).count();
        let asks = |line: &Line| !line.features.is_empty() || !line.requisites.is_empty();
        let is = count(Switch::is_on);
        let would_be = count(|each| each.enabled.unwrap_or(false));
        let mut effects = vec![match (self.lines.iter().any(asks), is) {
            (false, _) => Effect::None,
            (true, 0) => Effect::AllOff,
            (true, some) if some < self.lines.len() => Effect::Off,
            (true, _) => Effect::On,
        }];
        if is != would_be {
            effects.push(if is > would_be { Effect::SwitchedOn } else { Effect::SwitchedOff });
        }
        effects
    }

    /// Whether versions occur in several spellings.
    pub(crate) fn has_spellings(&self) -> bool {
        self.pool == SPELLINGS
    }

    /// Whether 262 sees every version that may occur.
    pub(crate) fn is_seen_by_262(&self) -> bool {
        self.pool.iter().all(|text| text.parse::<Version>().is_ok_and(|version| version.is_seen_by_262()))
    }

    /// The directory; the definitions are in `definitions`.
    pub(crate) fn root(&self) -> PathBuf {
        Path::new("/srv").join(self.number.to_string())
    }

    /// Writes all files.
    pub(crate) fn lay_out(&self) -> Result<()> {
        self.lines.iter().try_for_each(|line| line.lay_out(&self.root()))?;
        let definitions = self.root().join("definitions");
        self.switches.iter().try_for_each(|each| each.lay_out(&definitions))
    }
}

/// Makes features decide about the transfers of every second situation.
fn switch(chance: &mut Chance, lines: &mut [Line]) -> Vec<Switch> {
    if chance.below(2) == 0 {
        return Vec::new();
    }
    let mut maybe = || match chance.below(5) {
        0 => None,
        1 | 2 => Some(false),
        _ => Some(true),
    };
    let mut switches: Vec<_> =
        FEATURES[..2].iter().map(|name| Switch { name, enabled: maybe(), switched: maybe() }).collect();
    for each in &mut switches {
        each.switched = each.switched.filter(|_| chance.below(2) == 0);
    }
    for line in lines {
        let mut some = |percent| FEATURES.into_iter().filter(|_| chance.below(100) < percent).collect();
        line.features = some(40);
        line.requisites = some(15);
    }
    switches
}

impl Switch {
    fn is_on(&self) -> bool {
        self.switched.or(self.enabled).unwrap_or(false)
    }

    fn lay_out(&self, definitions: &Path) -> Result<()> {
        let mut feature = Feature::new(Kind::Feature);
        feature.description = Some(format!("The feature {}", self.name));
        feature.enabled = self.enabled.unwrap_or(feature.enabled);
        let text = match self.enabled {
            Some(_) => feature.render()?,
            None => format!("[Feature]\nDescription={}\n", self.name),
        };
        fs::write(definitions.join(format!("{}.feature", self.name)), text)?;
        if let Some(enabled) = self.switched {
            let beside = definitions.join(format!("{}.feature.d", self.name));
            fs::create_dir_all(&beside)?;
            let verb = if enabled { "enable-feature" } else { "disable-feature" };
            fs::write(beside.join(ENABLED_FILE), enabled_text(Kind::Feature, verb, enabled))?;
        }
        Ok(())
    }
}

impl Line {
    fn lay_out(&self, root: &Path) -> Result<()> {
        let place = |what: &str| root.join(what).join(self.name);
        let (source, target) = (place("source"), place("target"));
        let file = format!("{}.transfer", self.name);
        let definitions = root.join("definitions");
        let beside = definitions.join(format!("{file}.d"));
        for directory in [&source, &target, &beside] {
            fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        }
        for version in &self.offered {
            let path = source.join(self.file(version.as_str()));
            fs::write(&path, "")?;
            fs::set_permissions(&path, Permissions::from_mode(self.mode))?;
        }
        for (version, state) in &self.here {
            fs::write(target.join(format!("{}{}", prefix(*state), self.file(version.as_str()))), "")?;
        }
        let mut text = TransferText::new(
            format!("file://{}/", source.display()),
            self.file("@v"),
            target.display().to_string(),
            VerifyText::Unsigned,
        );
        text.min_version = self.minimum.clone();
        text.protect_versions = self.protected.iter().map(Version::to_string).collect();
        text.instances_max = Some(self.instances_max);
        let text = text.render()?;
        // Published definitions use a URL; a directory is faster, and needs no manifest.
        let local = format!(
            "[Transfer]\nChangeLog=https://example.org/changes/@v\nAppStream=https://example.org/{}.xml\n\
             Features={}\nRequisiteFeatures={}\n[Source]\nType=regular-file\nPath={}\n",
            self.name,
            self.features.join(" "),
            self.requisites.join(" "),
            source.display()
        );
        fs::write(definitions.join(&file), &text)?;
        fs::write(beside.join("local.conf"), &local)?;
        Ok(())
    }

    fn file(&self, version: &str) -> String {
        format!("{}-{version}.raw", self.name)
    }
}

fn prefix(state: State) -> &'static str {
    match state {
        State::Partial => ".sysupdate.partial.",
        State::Pending => ".sysupdate.pending.",
        State::Installed => "",
    }
}

/// The state of a version.
#[derive(Clone, Copy)]
struct Fate {
    here: Option<State>,
    offered: bool,
}

impl Fate {
    fn draw(chance: &mut Chance) -> Self {
        let here = match chance.below(10) {
            0..=4 => None,
            5..=7 => Some(State::Installed),
            8 => Some(State::Pending),
            _ => Some(State::Partial),
        };
        Self { here, offered: chance.below(2) == 0 }
    }
}

/// SplitMix64: small, and the first values of neighbouring seeds are unrelated.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 40).map_or(0, |value| value % bound)
    }

    fn one_of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}
