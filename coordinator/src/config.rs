//! The coordinator's configuration: one TOML file, checked whole before anything starts. `coordinator.example.toml`
//! documents every key. Unknown keys are errors with their line; relative paths are relative to the file's folder; scalar
//! keys can be overridden by the environment.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

/// A checked configuration.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub listen: SocketAddr,
    /// Where newcomers without a certificate ask to join; none: they send files.
    pub enroll_listen: Option<SocketAddr>,
    pub identity: PathBuf,
    /// The newest roster; none: the one in the identity directory.
    pub roster: Option<PathBuf>,
    pub store: PathBuf,
    pub store_max_pages: Option<u32>,
    /// Where masked vectors are kept for audits; none: they are forgotten when they are added.
    pub spool: Option<PathBuf>,
    #[serde(default = "default_spool_mib")]
    pub spool_max_mib: u64,
    /// Where the transparency log is written as files; none: nowhere.
    pub tiles: Option<PathBuf>,
    pub metrics_port: Option<u16>,
    #[serde(default)]
    pub log: Log,
    #[serde(default)]
    pub limits: Limits,
    #[serde(default)]
    pub retention: Retention,
}

/// How long what was answered is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// None: for ever.
    pub releases_days: Option<NonZeroU32>,
}

const DAY_MS: u64 = 86_400_000;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Log {
    #[default]
    Json,
    Text,
}

/// What one organisation may ask: more than a hundred people at work, or a benchmark, do. Unwrap safety: constants, and none is zero.
const CALLS_PER_SECOND: NonZeroU32 = NonZeroU32::new(1_000).unwrap();
const CALLS_BURST: NonZeroU32 = NonZeroU32::new(5_000).unwrap();
const SUBMISSIONS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(6_000).unwrap();
/// Half a gibibyte: requests stay in the books.
const SUBMITTED_KIB_PER_HOUR: NonZeroU32 = NonZeroU32::new(512 * 1024).unwrap();
const ACTS_PER_HOUR: NonZeroU32 = NonZeroU32::new(1_000).unwrap();
const LOG_PAGES_PER_MINUTE: NonZeroU32 = NonZeroU32::new(1_200).unwrap();
const STREAMS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(120).unwrap();

/// Patience and capacity, the engine's and this shell's.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    pub open_jobs: usize,
    pub queued_jobs: usize,
    pub organisation_jobs: usize,
    pub calls_per_second: NonZeroU32,
    pub calls_burst: NonZeroU32,
    pub submissions_per_minute: NonZeroU32,
    pub submitted_kib_per_hour: NonZeroU32,
    pub acts_per_hour: NonZeroU32,
    pub log_pages_per_minute: NonZeroU32,
    pub streams_per_minute: NonZeroU32,
    pub agent_events_per_hour: u32,
    pub agent_acts_per_hour: u32,
    pub uploads: usize,
    pub unasked_kib: usize,
    pub upload_idle_ms: u64,
    pub outbox: usize,
    pub slots: Option<u16>,
    pub epoch_settle_ms: u64,
    pub epoch_timeout_ms: u64,
    pub bench_ms: u64,
    pub patience_ms: u64,
    pub retry_ms: u64,
    pub accept_ms: u64,
    pub collect_ms: u64,
    pub least_collect_ms: u64,
    pub survive_ms: u64,
    pub unmask_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        let engine = engine::coordinator::Limits::default();
        Self {
            open_jobs: engine.open_jobs,
            queued_jobs: engine.queued_jobs,
            organisation_jobs: engine.organisation_jobs,
            calls_per_second: CALLS_PER_SECOND,
            calls_burst: CALLS_BURST,
            submissions_per_minute: SUBMISSIONS_PER_MINUTE,
            submitted_kib_per_hour: SUBMITTED_KIB_PER_HOUR,
            acts_per_hour: ACTS_PER_HOUR,
            log_pages_per_minute: LOG_PAGES_PER_MINUTE,
            streams_per_minute: STREAMS_PER_MINUTE,
            agent_events_per_hour: engine.agent_events_per_hour,
            agent_acts_per_hour: engine.agent_acts_per_hour,
            uploads: engine.uploads,
            unasked_kib: engine.unasked_bytes / 1024,
            upload_idle_ms: 10_000,
            outbox: 1024,
            slots: engine.slots,
            epoch_settle_ms: engine.epoch_settle_ms,
            epoch_timeout_ms: engine.epoch_timeout_ms,
            bench_ms: engine.bench_ms,
            patience_ms: engine.patience_ms,
            retry_ms: engine.retry_ms,
            accept_ms: engine.accept_ms,
            collect_ms: engine.collect_ms,
            least_collect_ms: engine.least_collect_ms,
            survive_ms: engine.survive_ms,
            unmask_ms: engine.unmask_ms,
        }
    }
}

impl Limits {
    /// The engine's part.
    pub fn engine(&self) -> engine::coordinator::Limits {
        engine::coordinator::Limits {
            open_jobs: self.open_jobs,
            queued_jobs: self.queued_jobs,
            organisation_jobs: self.organisation_jobs,
            agent_events_per_hour: self.agent_events_per_hour,
            agent_acts_per_hour: self.agent_acts_per_hour,
            uploads: self.uploads,
            unasked_bytes: self.unasked_kib * 1024,
            slots: self.slots,
            epoch_settle_ms: self.epoch_settle_ms,
            epoch_timeout_ms: self.epoch_timeout_ms,
            bench_ms: self.bench_ms,
            patience_ms: self.patience_ms,
            retry_ms: self.retry_ms,
            accept_ms: self.accept_ms,
            collect_ms: self.collect_ms,
            least_collect_ms: self.least_collect_ms,
            survive_ms: self.survive_ms,
            unmask_ms: self.unmask_ms,
            keep_releases_ms: None,
            // Agents count on this one, so it is nobody's to tune.
            beat_ms: engine::coordinator::Limits::default().beat_ms,
        }
    }

    pub fn upload_idle(&self) -> Duration {
        Duration::from_millis(self.upload_idle_ms)
    }

    pub fn upload_longest(&self) -> Duration {
        Duration::from_millis(self.collect_ms)
    }

    fn check(&self) -> Result<(), String> {
        let at_least_one = [
            ("open_jobs", self.open_jobs as u64),
            ("queued_jobs", self.queued_jobs as u64),
            ("organisation_jobs", self.organisation_jobs as u64),
            ("agent_events_per_hour", u64::from(self.agent_events_per_hour)),
            ("agent_acts_per_hour", u64::from(self.agent_acts_per_hour)),
            ("uploads", self.uploads as u64),
            ("upload_idle_ms", self.upload_idle_ms),
            ("outbox", self.outbox as u64),
            ("epoch_timeout_ms", self.epoch_timeout_ms),
            ("accept_ms", self.accept_ms),
            ("collect_ms", self.collect_ms),
            ("survive_ms", self.survive_ms),
            ("unmask_ms", self.unmask_ms),
        ];
        if let Some((name, _)) = at_least_one.iter().find(|(_, value)| *value == 0) {
            return Err(format!("limits.{name} is 0: expected at least 1"));
        }
        match self.slots {
            Some(slots) if !(1..=256).contains(&slots) => Err(format!("limits.slots is {slots}: expected 1 to 256")),
            _ => Ok(()),
        }
    }
}

fn default_spool_mib() -> u64 {
    1024
}

/// What is wrong, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct ConfigError {
    /// The file with its line, or the environment variable.
    pub place: String,
    pub message: String,
}

impl Config {
    /// Reads, overrides and checks the file at `path`.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let place = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| ConfigError {
            place: place.clone(),
            message: format!("cannot be read: {e}; name the file with --config"),
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, &place, folder, |name| std::env::var(name).ok())
    }

    /// Checks `text`, with `environment` answering for `SOTTO_COORDINATOR_*`.
    pub fn parse(
        text: &str,
        place: &str,
        folder: &Path,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut config: Self = toml::from_str(text).map_err(|error| ConfigError {
            place: error
                .span()
                .map_or(place.to_owned(), |span| line_of(text, place, span.start)),
            message: format!("{}; see coordinator.example.toml for every key", error.message()),
        })?;
        config.override_from(&environment)?;
        let invalid = |message| ConfigError {
            place: place.to_owned(),
            message,
        };
        config.limits.check().map_err(invalid)?;
        config.identity = folder.join(&config.identity);
        config.store = folder.join(&config.store);
        config.roster = config.roster.map(|path| folder.join(path));
        config.spool = config.spool.map(|path| folder.join(path));
        config.tiles = config.tiles.map(|path| folder.join(path));
        Ok(config)
    }

    /// Patience, capacity and memory, the engine's part.
    pub fn engine(&self) -> engine::coordinator::Limits {
        let days = self.retention.releases_days;
        engine::coordinator::Limits {
            keep_releases_ms: days.map(|days| u64::from(days.get()) * DAY_MS),
            ..self.limits.engine()
        }
    }

    /// The file that holds the newest roster.
    pub fn roster_file(&self) -> PathBuf {
        self.roster.clone().unwrap_or_else(|| self.identity.join("roster.json"))
    }

    fn override_from(&mut self, environment: &dyn Fn(&str) -> Option<String>) -> Result<(), ConfigError> {
        set(environment, "LISTEN", |listen| self.listen = listen)?;
        set(environment, "ENROLL_LISTEN", |listen| self.enroll_listen = Some(listen))?;
        set(environment, "IDENTITY", |path| self.identity = path)?;
        set(environment, "ROSTER", |path| self.roster = Some(path))?;
        set(environment, "STORE", |path| self.store = path)?;
        set(environment, "STORE_MAX_PAGES", |pages| {
            self.store_max_pages = Some(pages)
        })?;
        set(environment, "SPOOL", |path| self.spool = Some(path))?;
        set(environment, "TILES", |path| self.tiles = Some(path))?;
        set(environment, "METRICS_PORT", |port| self.metrics_port = Some(port))
    }
}

fn set<T: FromStr>(
    environment: &dyn Fn(&str) -> Option<String>,
    name: &str,
    set: impl FnOnce(T),
) -> Result<(), ConfigError> {
    let name = format!("SOTTO_COORDINATOR_{name}");
    let Some(text) = environment(&name) else {
        return Ok(());
    };
    let value = text.parse().map_err(|_| ConfigError {
        place: name,
        message: format!("unreadable value `{text}`"),
    })?;
    set(value);
    Ok(())
}

/// `file:line` of a byte offset.
fn line_of(text: &str, place: &str, offset: usize) -> String {
    let before = &text.as_bytes()[..offset.min(text.len())];
    format!("{place}:{}", 1 + before.iter().filter(|b| **b == b'\n').count())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "listen = \"127.0.0.1:0\"\nidentity = \"identity\"\nstore = \"c.sqlite\"\n";

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, "c.toml", Path::new("/etc/sottovoce"), |_| None)
    }

    #[test]
    fn the_example_is_accepted_and_says_the_defaults() {
        let config = parse(include_str!("../coordinator.example.toml")).unwrap();
        assert_eq!(config.store, Path::new("/etc/sottovoce/state/coordinator.sqlite"));
        let defaults = Limits {
            slots: Some(64),
            ..Limits::default()
        };
        assert_eq!(config.limits, defaults);
    }

    #[test]
    fn three_keys_are_enough() {
        let config = parse(LEAST).unwrap();
        assert_eq!(config.limits, Limits::default());
        assert_eq!(config.roster_file(), Path::new("/etc/sottovoce/identity/roster.json"));
        assert_eq!(config.limits.engine(), engine::coordinator::Limits::default());
    }

    #[test]
    fn an_unknown_key_and_a_useless_limit_are_named() {
        let error = parse(&format!("{LEAST}lisen = 1\n")).unwrap_err().to_string();
        assert!(error.starts_with("c.toml:4: ") && error.contains("lisen"), "{error}");
        let error = parse(&format!("{LEAST}[limits]\nuploads = 0\n"))
            .unwrap_err()
            .to_string();
        assert_eq!(error, "c.toml: limits.uploads is 0: expected at least 1");
        assert!(parse(&format!("{LEAST}[limits]\nslots = 257\n")).is_err());
        assert!(parse(&format!("{LEAST}[retention]\nreleases_days = 0\n")).is_err());
        let kept = parse(&format!("{LEAST}[retention]\nreleases_days = 2\n")).unwrap();
        assert_eq!(kept.engine().keep_releases_ms, Some(2 * DAY_MS));
    }

    #[test]
    fn the_environment_overrides_and_is_named_when_it_cannot_be_read() {
        let folder = Path::new("/x");
        let listen = |name: &str| (name == "SOTTO_COORDINATOR_LISTEN").then(|| "127.0.0.1:9".to_owned());
        assert_eq!(Config::parse(LEAST, "c.toml", folder, listen).unwrap().listen.port(), 9);
        let port = |name: &str| (name == "SOTTO_COORDINATOR_METRICS_PORT").then(|| "many".to_owned());
        let error = Config::parse(LEAST, "c.toml", folder, port).unwrap_err();
        assert_eq!(error.place, "SOTTO_COORDINATOR_METRICS_PORT");
    }
}
