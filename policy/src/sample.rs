//! A request that somebody thought up, to try policies on: a case of a test file, or the flags of `sotto policy explain`.

use std::collections::BTreeSet;

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::{Action, Asked};

/// What is said of a request; a draft is completed by another that stands for what it leaves out.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    pub analyst: Option<String>,
    pub organisation: Option<String>,
    pub action: Option<String>,
    pub dataset: Option<String>,
    pub version: Option<String>,
    pub purpose: Option<String>,
    pub broader_purposes: Option<Vec<String>>,
    pub columns: Option<Vec<String>>,
    pub classifications: Option<BTreeSet<String>>,
    pub aggregates: Option<Vec<String>>,
    /// `true` if left out.
    pub noise: Option<bool>,
    pub epsilon: Option<f64>,
    pub delta: Option<f64>,
    pub max_attempts: Option<u32>,
    pub cohort: Option<u32>,
    /// As `2026-03-02T10:00:00Z`.
    pub time: Option<Instant>,
}

/// A moment, written as a date and time of TOML or as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instant {
    pub unix_ms: u64,
}

impl Instant {
    pub fn parse(text: &str) -> Option<Self> {
        let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        let unix_ms = u64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()?;
        Some(Self { unix_ms })
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Spelled {
            Date(toml::value::Datetime),
            Text(String),
        }
        let text = match Spelled::deserialize(d)? {
            Spelled::Date(date) => date.to_string(),
            Spelled::Text(text) => text,
        };
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "malformed time `{text}`: expected one like 2026-03-02T10:00:00Z"
            ))
        })
    }
}

/// A whole request.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    analyst: String,
    organisation: String,
    action: Action,
    dataset: String,
    version: String,
    purpose: String,
    broader_purposes: Vec<String>,
    columns: Vec<String>,
    classifications: BTreeSet<String>,
    aggregates: Option<Vec<String>>,
    noise: bool,
    epsilon: f64,
    delta: f64,
    max_attempts: u32,
    cohort: u32,
    time: Instant,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Missing {
    #[error("the request has no {0}")]
    Term(&'static str),
    #[error("unknown action `{0}`: expected query, train or evaluate")]
    Action(String),
    #[error("epsilon is {0}: expected a finite number above zero")]
    Epsilon(f64),
    #[error("delta is {0}: expected a number above zero and below one")]
    Delta(f64),
}

impl Draft {
    /// The request, with `rest` standing for what this leaves out.
    pub fn over(&self, rest: &Self) -> Result<Sample, Missing> {
        fn of<T: Clone>(own: &Option<T>, rest: &Option<T>, name: &'static str) -> Result<T, Missing> {
            own.as_ref().or(rest.as_ref()).cloned().ok_or(Missing::Term(name))
        }
        let action = of(&self.action, &rest.action, "action")?;
        let epsilon = of(&self.epsilon, &rest.epsilon, "epsilon")?;
        if !(epsilon.is_finite() && epsilon > 0.0) {
            return Err(Missing::Epsilon(epsilon));
        }
        let delta = self.delta.or(rest.delta).unwrap_or(1e-6);
        if !(delta > 0.0 && delta < 1.0) {
            return Err(Missing::Delta(delta));
        }
        Ok(Sample {
            analyst: of(&self.analyst, &rest.analyst, "analyst")?,
            organisation: of(&self.organisation, &rest.organisation, "organisation")?,
            action: Action::parse(&action).ok_or(Missing::Action(action))?,
            dataset: of(&self.dataset, &rest.dataset, "dataset")?,
            version: of(&self.version, &rest.version, "version").unwrap_or_else(|_| "1.0.0".to_owned()),
            purpose: of(&self.purpose, &rest.purpose, "purpose")?,
            broader_purposes: of(&self.broader_purposes, &rest.broader_purposes, "").unwrap_or_default(),
            columns: of(&self.columns, &rest.columns, "columns")?,
            classifications: of(&self.classifications, &rest.classifications, "").unwrap_or_default(),
            aggregates: of(&self.aggregates, &rest.aggregates, "").ok(),
            noise: self.noise.or(rest.noise).unwrap_or(true),
            epsilon,
            delta,
            max_attempts: self.max_attempts.or(rest.max_attempts).unwrap_or(1),
            cohort: of(&self.cohort, &rest.cohort, "cohort")?,
            time: of(&self.time, &rest.time, "time")?,
        })
    }
}

impl Sample {
    pub fn asked(&self) -> Asked<'_> {
        Asked {
            analyst: &self.analyst,
            organisation: &self.organisation,
            action: self.action,
            dataset: &self.dataset,
            version: &self.version,
            purpose: &self.purpose,
            broader_purposes: self.broader_purposes.iter().map(String::as_str).collect(),
            columns: self.columns.iter().map(String::as_str).collect(),
            classifications: self.classifications.iter().map(String::as_str).collect(),
            aggregates: self
                .aggregates
                .as_ref()
                .map(|texts| texts.iter().map(String::as_str).collect()),
            noise: self.noise,
            epsilon: self.epsilon,
            delta: self.delta,
            max_attempts: self.max_attempts,
            cohort: self.cohort,
            now_ms: self.time.unix_ms,
        }
    }
}
