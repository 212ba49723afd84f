//! The configuration as it is written, before its paths are resolved. Parsing names the line; nothing is defaulted to "allow".

use super::{Config, ConfigError, Consent, Dataset, Mapping, Population, Requests};
use governance::VerifyingKey;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub name: Spanned<String>,
    pub coordinator: Spanned<String>,
    pub store: Spanned<PathBuf>,
    pub socket: Option<Spanned<PathBuf>>,
    pub metrics_port: Option<u16>,
    #[serde(default = "at_once")]
    pub tick_ms: Spanned<u64>,
    #[serde(default = "a_minute")]
    pub reopen_s: Spanned<u64>,
    pub identity: Spanned<PathBuf>,
    pub store_max_pages: Option<u32>,
    #[serde(default)]
    pub limits: LimitsFile,
    #[serde(default)]
    pub retention: RetentionFile,
    pub consent: Option<Spanned<ConsentFile>>,
    pub policy: Option<Spanned<PolicyFile>>,
    #[serde(default)]
    pub stewards: BTreeSet<VerifyingKey>,
    pub approvers: Option<Spanned<BTreeMap<String, VerifyingKey>>>,
    #[serde(default)]
    pub approvals: Vec<Spanned<PathBuf>>,
    #[serde(default, rename = "population")]
    pub populations: Vec<Spanned<PopulationFile>>,
    #[serde(default, rename = "dataset")]
    pub datasets: Vec<Spanned<DatasetFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsFile {
    pub requests_per_hour: NonZeroU32,
    pub organisation_requests_per_hour: NonZeroU32,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetentionFile {
    pub payload_days: Option<NonZeroU32>,
}

impl Default for LimitsFile {
    fn default() -> Self {
        let engine = engine::participant::Limits::default();
        let number = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MAX);
        Self {
            requests_per_hour: number(engine.requests_per_hour),
            organisation_requests_per_hour: number(engine.organisation_requests_per_hour),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyFile {
    pub local: Option<Spanned<PathBuf>>,
    pub consortium: Option<ConsortiumRule>,
}

/// Said in one way only, so that a slip of the pen is an error and not "not required".
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ConsortiumRule {
    Required,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PopulationFile {
    pub id: String,
    #[serde(default)]
    pub epsilon: f64,
    #[serde(default)]
    pub delta: f64,
    #[serde(default)]
    pub renews: Renews,
    #[serde(default)]
    pub approved_by: Vec<String>,
    #[serde(default)]
    pub analysts: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DatasetFile {
    pub contract: Spanned<PathBuf>,
    #[serde(default)]
    pub other_versions: Vec<Spanned<PathBuf>>,
    pub files: Vec<Spanned<String>>,
    pub population: Spanned<String>,
    #[serde(default)]
    pub min_cohort: u32,
    #[serde(default)]
    pub paused: bool,
    #[serde(default = "yes")]
    pub show_budget: bool,
    #[serde(default)]
    pub without_noise_approved_by: Vec<String>,
    #[serde(default)]
    pub analysts: BTreeSet<String>,
    #[serde(default)]
    pub forbidden_columns: BTreeSet<String>,
    #[serde(default)]
    pub consent: ConsentRule,
    #[serde(default)]
    pub rename: BTreeMap<String, String>,
    #[serde(default)]
    pub nulls: BTreeMap<String, Vec<Code>>,
    #[serde(default)]
    pub categories: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(default)]
    pub units: BTreeMap<String, Linear>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConsentFile {
    #[serde(default = "a_day")]
    pub publish_every_hours: u32,
    #[serde(default)]
    pub purposes: BTreeMap<String, String>,
    #[serde(default)]
    pub permit_means: BTreeSet<String>,
    #[serde(default)]
    pub permit_categories: BTreeSet<String>,
}

/// Whether a dataset uses rows of units that have not consented.
#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ConsentRule {
    #[default]
    NotAsked,
    Required,
}

fn a_day() -> u32 {
    24
}

fn yes() -> bool {
    true
}

fn at_once() -> Spanned<u64> {
    Spanned::new(0..0, 0)
}

fn a_minute() -> Spanned<u64> {
    Spanned::new(0..0, 60)
}

/// How often a population's budget starts afresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Renews {
    #[default]
    Never,
    Month,
    Quarter,
    Year,
}

/// A value in the files, as text or as a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Code {
    Integer(i64),
    Number(f64),
    Text(String),
}

/// A linear unit conversion.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Linear {
    pub factor: f64,
    #[serde(default)]
    pub offset: f64,
}

pub(super) fn read(text: &str, place: &str) -> Result<File, ConfigError> {
    toml::from_str(text).map_err(|error| ConfigError {
        place: error
            .span()
            .map_or(place.to_owned(), |span| line_of(text, place, span.start)),
        message: format!("{}; see participant.example.toml for every key", error.message()),
    })
}

/// `file:line` of a byte offset.
pub(super) fn line_of(text: &str, place: &str, offset: usize) -> String {
    let before = &text.as_bytes()[..offset.min(text.len())];
    format!("{place}:{}", 1 + before.iter().filter(|b| **b == b'\n').count())
}

pub(super) fn override_from(file: &mut File, environment: impl Fn(&str) -> Option<String>) -> Result<(), ConfigError> {
    let set = |name: &str| environment(&format!("SOTTO_PARTICIPANT_{name}"));
    if let Some(name) = set("NAME") {
        *file.name.as_mut() = name;
    }
    if let Some(coordinator) = set("COORDINATOR") {
        *file.coordinator.as_mut() = coordinator;
    }
    if let Some(identity) = set("IDENTITY") {
        *file.identity.as_mut() = identity.into();
    }
    if let Some(store) = set("STORE") {
        *file.store.as_mut() = store.into();
    }
    if let Some(port) = set("METRICS_PORT") {
        file.metrics_port = Some(number("METRICS_PORT", &port)?);
    }
    if let Some(tick) = set("TICK_MS") {
        *file.tick_ms.as_mut() = number("TICK_MS", &tick)?;
    }
    Ok(())
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, ConfigError> {
    value.parse().map_err(|_| ConfigError {
        place: format!("SOTTO_PARTICIPANT_{name}"),
        message: format!("expected a whole number within range, found `{value}`"),
    })
}

/// Makes paths independent of where the file lies.
pub(super) fn resolve(file: File, folder: &Path) -> Config {
    let at = |path: &Path| folder.join(path);
    let store = at(file.store.get_ref());
    let socket = match &file.socket {
        Some(path) => at(path.get_ref()),
        None => store.with_extension("sock"),
    };
    Config {
        name: file.name.into_inner(),
        coordinator: file.coordinator.into_inner(),
        identity: at(file.identity.get_ref()),
        store_max_pages: file.store_max_pages,
        store,
        socket,
        metrics_port: file.metrics_port,
        tick_ms: file.tick_ms.into_inner(),
        reopen_s: file.reopen_s.into_inner(),
        limits: Requests {
            requests_per_hour: file.limits.requests_per_hour.get(),
            organisation_requests_per_hour: file.limits.organisation_requests_per_hour.get(),
        },
        approvers: file.approvers.map(Spanned::into_inner).unwrap_or_default(),
        approvals: file.approvals.iter().map(|path| at(path.get_ref())).collect(),
        payload_days: file.retention.payload_days,
        consent: consent(file.consent.map(Spanned::into_inner)),
        stewards: file.stewards,
        consortium_required: (file.policy.as_ref()).is_some_and(|policy| policy.get_ref().consortium.is_some()),
        local_policies: (file.policy.and_then(|policy| policy.into_inner().local))
            .map(|local| folder.join(local.get_ref())),
        populations: file
            .populations
            .into_iter()
            .map(|p| population(p.into_inner()))
            .collect(),
        datasets: file
            .datasets
            .into_iter()
            .map(|d| dataset(d.into_inner(), folder))
            .collect(),
    }
}

fn consent(file: Option<ConsentFile>) -> Consent {
    match file {
        None => Consent {
            publish_every_hours: a_day(),
            purposes: BTreeMap::new(),
            permit_means: BTreeSet::new(),
            permit_categories: BTreeSet::new(),
        },
        Some(file) => Consent {
            publish_every_hours: file.publish_every_hours,
            purposes: file.purposes,
            permit_means: file.permit_means,
            permit_categories: file.permit_categories,
        },
    }
}

fn population(p: PopulationFile) -> Population {
    Population {
        id: p.id,
        epsilon: p.epsilon,
        delta: p.delta,
        renews: p.renews,
        approved_by: p.approved_by,
        analysts: p.analysts,
    }
}

fn dataset(d: DatasetFile, folder: &Path) -> Dataset {
    let file = |glob: Spanned<String>| folder.join(glob.get_ref()).to_string_lossy().into_owned();
    Dataset {
        contract: folder.join(d.contract.get_ref()),
        other_versions: d
            .other_versions
            .iter()
            .map(|path| folder.join(path.get_ref()))
            .collect(),
        files: d.files.into_iter().map(file).collect(),
        population: d.population.into_inner(),
        min_cohort: d.min_cohort,
        paused: d.paused,
        show_budget: d.show_budget,
        without_noise_approved_by: d.without_noise_approved_by,
        analysts: d.analysts,
        forbidden_columns: d.forbidden_columns,
        consent_required: d.consent == ConsentRule::Required,
        mapping: Mapping {
            rename: d.rename,
            nulls: d.nulls,
            categories: d.categories,
            units: d.units,
        },
    }
}
