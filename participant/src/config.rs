//! The participant's configuration: one TOML file, checked whole before anything starts.
//!
//! Whatever the file does not grant is not granted: a population without a budget has a budget of zero, a dataset without
//! analysts answers nobody. Unknown keys are errors with their line. Relative paths are relative to the file's folder.
//! A data path with a scheme (`s3://`, `http://`, anything with `://`) is refused, because the data engine could open it
//! and this agent opens no connection but the coordinator's. `participant.example.toml` documents every key.
//! A few scalar keys can be overridden by the environment (`SOTTO_PARTICIPANT_*`); budgets and mappings cannot.

mod check;
mod file;

use governance::VerifyingKey;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

pub use file::{Code, Linear, Renews};

/// A checked configuration. Every path is absolute or relative to the working directory, never to the file.
#[derive(Debug, Clone)]
pub struct Config {
    /// This agent's id in the roster.
    pub name: String,
    /// `host:port` of the coordinator; the host is also the name expected in its certificate.
    pub coordinator: String,
    /// The identity directory: keys, certificate, governance key, roster.
    pub identity: PathBuf,
    /// The SQLite file of ledger and books.
    pub store: PathBuf,
    /// The local operator's socket, made with mode 0600.
    pub socket: PathBuf,
    /// Loopback port of the Prometheus metrics; `None`: no listener at all.
    pub metrics_port: Option<u16>,
    /// Largest size of the store in pages of 4 KiB; a store that is full stops the agent before anything leaves.
    pub store_max_pages: Option<u32>,
    /// Masked vectors leave at multiples of this after the data work began; 0 sends at once.
    pub tick_ms: u64,
    /// How often a dataset that could not be read is tried again.
    pub reopen_s: u64,
    pub limits: Requests,
    /// How long the words of refusals are kept beside the log. `None`: for ever.
    pub payload_days: Option<NonZeroU32>,
    pub consent: Consent,
    /// A file or a folder of Cedar policies: the local layer. `None`: this owner has no policies of its own.
    pub local_policies: Option<PathBuf>,
    /// The signing keys of the stewards who speak for this organisation. Empty: nobody does, and only `analysts` lists admit anybody.
    pub stewards: BTreeSet<VerifyingKey>,
    /// Nothing is answered until the consortium's layer of policies is in force here.
    pub consortium_required: bool,
    /// Who signs that a cap allows more, by name: nobody, or two people at least.
    pub approvers: BTreeMap<String, VerifyingKey>,
    /// Files that they signed.
    pub approvals: Vec<PathBuf>,
    pub populations: Vec<Population>,
    pub datasets: Vec<Dataset>,
}

/// How often this owner lets itself be asked. A training run is one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requests {
    /// Of one analyst.
    pub requests_per_hour: u32,
    /// Of all analysts of one organisation.
    pub organisation_requests_per_hour: u32,
}

/// The same people, whatever datasets and versions they appear in: one ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct Population {
    pub id: String,
    pub epsilon: f64,
    pub delta: f64,
    pub renews: Renews,
    /// Two local people who agreed to this budget: what the first caps of a store stand on. Later ones that allow more are signed.
    pub approved_by: Vec<String>,
    /// Caps of single analysts within the population's cap; `*` stands for everyone not named; no line, no budget.
    pub analysts: BTreeMap<String, f64>,
}

/// One dataset and how the local files become its contract's columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    pub contract: PathBuf,
    /// Further versions of it that are served over the same files.
    pub other_versions: Vec<PathBuf>,
    /// Globs of CSV (`.csv`) or Parquet (`.parquet`, `.pq`) files.
    pub files: Vec<String>,
    /// A declared population's id.
    pub population: String,
    pub min_cohort: u32,
    pub paused: bool,
    /// Whether analysts see what is left of the budget.
    pub show_budget: bool,
    /// The two local people who allow sums without noise ("secure aggregation only"); empty: nobody may ask for one.
    pub without_noise_approved_by: Vec<String>,
    /// Who may ask; `*` admits every analyst of the roster. Empty: nobody.
    pub analysts: BTreeSet<String>,
    pub forbidden_columns: BTreeSet<String>,
    /// Only rows are used whose unit consents to the request's purpose.
    pub consent_required: bool,
    pub mapping: Mapping,
}

/// How consents are read and published; whose are required, each dataset says.
#[derive(Debug, Clone, PartialEq)]
pub struct Consent {
    /// The number of the publication and its root leave this often, whatever changed or not.
    pub publish_every_hours: u32,
    /// Purpose as files of consents spell it (of FHIR: `code`, or `system|code`) -> purpose of requests.
    pub purposes: BTreeMap<String, String>,
    /// What a FHIR permit that names no purpose stands for. Empty: such a resource is refused.
    pub permit_means: BTreeSet<String>,
    /// Kinds of FHIR consent (`code`, or `system|code` of `category`) whose permits mean that. Empty: none does.
    pub permit_categories: BTreeSet<String>,
}

/// From the files' columns to the contract's. Every map is keyed by the *contract's* column.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mapping {
    /// The column's name in the files, where it differs.
    pub rename: BTreeMap<String, String>,
    /// Values in the files that mean NULL.
    pub nulls: BTreeMap<String, Vec<Code>>,
    /// Value in the files -> category of the contract. Values not listed stay as they are.
    pub categories: BTreeMap<String, BTreeMap<String, String>>,
    /// `value in the files * factor + offset` is the contract's value.
    pub units: BTreeMap<String, Linear>,
}

/// What is wrong with the file, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct ConfigError {
    /// The file, with its line where one is to blame; or the environment variable.
    pub place: String,
    pub message: String,
}

impl Config {
    /// Reads, overrides and checks the file at `path`.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|e| ConfigError {
            place: path.display().to_string(),
            message: format!("cannot be read: {e}; name the file with --config"),
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, &path.display().to_string(), folder, |name| {
            std::env::var(name).ok()
        })
    }

    /// Checks `text`, with `environment` answering for `SOTTO_PARTICIPANT_*`.
    pub fn parse(
        text: &str,
        place: &str,
        folder: &Path,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut file = file::read(text, place)?;
        file::override_from(&mut file, environment)?;
        check::check(&file, text, place)?;
        Ok(file::resolve(file, folder))
    }

    pub fn population(&self, id: &str) -> Option<&Population> {
        self.populations.iter().find(|p| p.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, "p.toml", Path::new("/etc/sotto"), |_| None)
    }

    fn example() -> String {
        include_str!("../participant.example.toml").to_owned()
    }

    #[test]
    fn the_documented_example_is_a_valid_configuration() {
        let config = parse(&example()).unwrap();
        assert_eq!(config.store, Path::new("/etc/sotto/state/participant.sqlite"));
        let heart = &config.datasets[0];
        assert!(heart.files[0].starts_with("/etc/sotto/"), "{:?}", heart.files);
        assert_eq!(heart.mapping.rename["sex"], "gender");
        assert_eq!(config.population(&heart.population).unwrap().renews, Renews::Year);
    }

    #[test]
    fn an_absent_budget_is_zero() {
        let text = example().replace("epsilon = 10.0", "");
        assert_eq!(parse(&text).unwrap().populations[0].epsilon, 0.0);
    }

    #[test]
    fn a_path_with_a_scheme_is_refused_by_name_with_its_line() {
        for scheme in [
            "s3://bucket/heart/*.parquet",
            "http://host/heart.csv",
            "file:///heart.csv",
        ] {
            let text = example().replace("data/heart/*.csv", scheme);
            let error = parse(&text).unwrap_err();
            let line = text.lines().position(|l| l.contains(scheme)).unwrap() + 1;
            assert_eq!(error.place, format!("p.toml:{line}"));
            assert!(error.message.contains(scheme), "{error}");
        }
        let text = example().replace("state/participant.sqlite", "s3://ledger");
        assert!(parse(&text).unwrap_err().message.contains("s3://ledger"));
    }

    #[test]
    fn an_unknown_key_and_a_wrong_type_name_their_lines() {
        let typo = format!("{}\nrenewz = \"year\"\n", example());
        let error = parse(&typo).unwrap_err();
        assert_eq!(error.place, format!("p.toml:{}", typo.lines().count()));
        assert!(error.message.contains("renewz"), "{error}");
        let error = parse(&example().replace("tick_ms = 0", "tick_ms = \"soon\"")).unwrap_err();
        let line = example().lines().position(|l| l.starts_with("tick_ms")).unwrap() + 1;
        assert_eq!(error.place, format!("p.toml:{line}"));
    }

    #[test]
    fn a_tick_that_no_round_would_wait_for_is_refused() {
        let error = parse(&example().replace("tick_ms = 0", "tick_ms = 20001")).unwrap_err();
        assert!(error.message.contains("tick_ms"), "{error}");
        let error = parse(&example().replace("reopen_s = 60", "reopen_s = 0")).unwrap_err();
        assert!(error.message.contains("reopen_s"), "{error}");
    }

    #[test]
    fn an_owner_says_how_often_it_lets_itself_be_asked_and_never_is_not_a_limit() {
        let limits = parse(&example()).unwrap().limits;
        assert_eq!(
            (limits.requests_per_hour, limits.organisation_requests_per_hour),
            (10_000, 50_000)
        );
        for bad in [
            "requests_per_hour = 0",
            "organisation_requests_per_hour = 0",
            "requests = 1",
        ] {
            let text = example().replace("requests_per_hour = 10000\n", &format!("{bad}\n"));
            assert!(parse(&text).is_err(), "{bad}");
        }
    }

    #[test]
    fn words_of_refusals_are_kept_for_ever_or_for_some_days() {
        assert_eq!(parse(&example()).unwrap().payload_days, None);
        let kept = |days: &str| {
            parse(&example().replace(
                "[limits]\n",
                &format!("[retention]\npayload_days = {days}\n\n[limits]\n"),
            ))
        };
        assert_eq!(kept("30").unwrap().payload_days, NonZeroU32::new(30));
        assert!(kept("0").is_err());
    }

    #[test]
    fn a_policy_table_names_its_policies_or_is_an_error() {
        assert_eq!(parse(&example()).unwrap().local_policies, None);
        let with = |keys: &str| {
            let text = example().replace("[[dataset]]\n", &format!("[policy]\n{keys}\n[[dataset]]\n"));
            parse(&text).map(|config| config.local_policies)
        };
        assert_eq!(
            with("local = \"policies\"").unwrap().unwrap(),
            Path::new("/etc/sotto/policies")
        );
        for (keys, says) in [
            ("", "local"),
            ("locale = \"policies\"", "locale"),
            ("local = \"\"", "is empty"),
            ("local = \"https://policies\"", "https://policies"),
            ("local = \"state/participant.sqlite\"", "is used"),
        ] {
            let error = with(keys).unwrap_err();
            assert!(error.message.contains(says), "{keys}: {error}");
            assert!(error.place.starts_with("p.toml:"), "{keys}: {error}");
        }
    }

    #[test]
    fn the_consortiums_policies_are_required_by_name() {
        assert!(!parse(&example()).unwrap().consortium_required);
        let with = |rule: &str| {
            let table = format!("[policy]\nconsortium = \"{rule}\"\n[[dataset]]\n");
            parse(&example().replace("[[dataset]]\n", &table))
        };
        let config = with("required").unwrap();
        assert!(config.consortium_required && config.local_policies.is_none());
        assert!(with("optional").is_err(), "one spelling: a slip of the pen is not a no");
    }

    #[test]
    fn one_path_is_not_used_twice() {
        let (socket, store) = (
            "socket = \"state/participant.sock\"",
            "store = \"state/participant.sqlite\"",
        );
        for (from, to) in [
            (socket, "socket = \"state/participant.sqlite\""),
            (socket, "socket = \"state/./participant.key\""),
            ("identity = \"identity\"", "identity = \"state/participant.sqlite\""),
            (store, "store = \"contracts/heart.toml\""),
            (store, "store = \"data/heart/ledger.csv\""),
        ] {
            let error = parse(&example().replace(from, to)).unwrap_err();
            assert!(error.message.contains("is used"), "{to}: {error}");
        }
    }

    #[test]
    fn a_dataset_of_an_undeclared_population_is_refused() {
        let error =
            parse(&example().replace("population = \"cardiology-patients\"", "population = \"others\"")).unwrap_err();
        assert!(
            error.message.contains("others") && error.message.contains("[[population]]"),
            "{error}"
        );
    }

    #[test]
    fn approvers_are_two_people_with_two_keys_or_nobody() {
        assert!(parse(&example()).unwrap().approvers.is_empty());
        let with =
            |people: &str| parse(&example().replace("[[dataset]]\n", &format!("[approvers]\n{people}\n[[dataset]]\n")));
        let (ada, bo) = ("11".repeat(32), "22".repeat(32));
        let two = with(&format!("ada = \"{ada}\"\nbo = \"{bo}\"")).unwrap();
        assert_eq!(two.approvers.len(), 2);
        for bad in [
            String::new(),
            format!("ada = \"{ada}\""),
            format!("ada = \"{ada}\"\nbo = \"{ada}\""),
        ] {
            assert!(with(&bad).unwrap_err().message.contains("two people"), "{bad}");
        }
        assert!(with("ada = \"short\"").is_err());
        let named = example().replace("# approvals = ", "approvals = ");
        assert_eq!(parse(&named).unwrap().approvals, [Path::new("/etc/sotto/raise.json")]);
        let store = named.replace("raise.json", "state/participant.sqlite");
        assert!(parse(&store).unwrap_err().message.contains("is used"));
    }

    #[test]
    fn sums_without_noise_take_the_names_of_two_people() {
        let with = |people: &str| {
            let line = format!("show_budget = true\nwithout_noise_approved_by = {people}");
            parse(&example().replace("show_budget = true", &line))
        };
        for bad in [r#"["ada"]"#, r#"["ada", "ada"]"#, r#"["ada", " "]"#] {
            assert!(with(bad).unwrap_err().message.contains("two people"), "{bad}");
        }
        assert_eq!(
            with(r#"["ada", "grace"]"#).unwrap().datasets[0]
                .without_noise_approved_by
                .len(),
            2
        );
        assert!(
            parse(&example()).unwrap().datasets[0]
                .without_noise_approved_by
                .is_empty()
        );
    }

    #[test]
    fn consent_is_required_by_name_and_published_at_least_once_a_month() {
        let (asked, every) = ("# consent = \"required\"", "publish_every_hours = 24");
        assert!(!parse(&example()).unwrap().datasets[0].consent_required);
        let config = parse(&example().replace(asked, "consent = \"required\"")).unwrap();
        assert!(config.datasets[0].consent_required);
        assert_eq!(config.consent.purposes["HRESCH"], "research");
        assert!(parse(&example().replace(asked, "consent = \"maybe\"")).is_err());
        for bad in ["0", "745"] {
            let error = parse(&example().replace(every, &format!("publish_every_hours = {bad}"))).unwrap_err();
            assert!(error.message.contains("publish_every_hours"), "{error}");
        }
        let text = example().replace("state/participant.sock", "state/participant.consent.sqlite");
        assert!(parse(&text).unwrap_err().message.contains("is used"));
    }

    #[test]
    fn budgets_that_are_not_numbers_are_refused() {
        for bad in ["-1.0", "nan", "inf"] {
            let error = parse(&example().replace("epsilon = 10.0", &format!("epsilon = {bad}"))).unwrap_err();
            assert!(error.message.contains("epsilon"), "{error}");
        }
    }

    #[test]
    fn the_environment_overrides_scalars_and_says_which_variable_is_wrong() {
        let with = |value: &'static str| {
            Config::parse(&example(), "p.toml", Path::new(""), move |name| {
                (name == "SOTTO_PARTICIPANT_TICK_MS").then(|| value.to_owned())
            })
        };
        assert_eq!(with("250").unwrap().tick_ms, 250);
        assert_eq!(with("soon").unwrap_err().place, "SOTTO_PARTICIPANT_TICK_MS");
    }
}
