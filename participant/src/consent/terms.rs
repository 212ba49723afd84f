//! What consents speak about, from the configuration and the contracts: whose units, how their ids are spelled, which purposes there
//! are, and when one purpose lies within another.

use super::purposes::Purposes;
use super::register::{Choice, Window};
use crate::config::{self, Config};
use governance::{Contract, LogicalType};
use std::collections::{BTreeMap, BTreeSet};

/// Everything about consent that is not anybody's consent.
#[derive(Clone)]
pub struct Terms {
    /// By id: populations of which some dataset requires consent.
    pub populations: BTreeMap<String, People>,
    /// Datasets that require consent, and their populations.
    pub datasets: BTreeMap<String, String>,
    /// Purposes as files spell them -> as requests do.
    pub mapping: BTreeMap<String, String>,
    /// What a permit without purposes stands for; empty: such a permit is refused.
    pub permit_means: BTreeSet<String>,
    /// Of which kinds of consent: `code` or `system|code`.
    pub permit_categories: BTreeSet<String>,
    pub publish_every_ms: u64,
    /// When one purpose lies within another.
    pub subsumed: Purposes,
}

/// One population.
#[derive(Debug, Clone, PartialEq)]
pub struct People {
    /// The type of the column whose values are the units.
    pub unit: LogicalType,
    /// Purposes that somebody can consent to: those of the contracts and of the mapping.
    pub purposes: BTreeSet<String>,
}

/// What configuration and contracts do not agree on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTerms {
    #[error(
        "dataset `{0}` requires consent, but its contract has no privacy unit: nobody is known to give it; name the unit's column in the contract"
    )]
    NoUnit(String),
    #[error("datasets of population `{0}` have units of different types: consents could not say whom they are of")]
    Types(String),
    #[error(
        "consent.permit_means names `{found}`: expected purposes of the contracts or of [consent.purposes]: {known}"
    )]
    Permit { found: String, known: String },
}

/// What is wrong with a choice. It quotes a purpose at most, never a unit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadChoice {
    #[error(
        "unknown purpose `{found}`: known here are {known}; map it in [consent.purposes], or add it to the contract's purposes"
    )]
    Purpose { found: String, known: String },
    #[error("it names no purpose: a consent is to something")]
    NoPurpose,
    #[error("it ends before it begins")]
    Window,
}

impl Terms {
    /// Of all datasets that require consent; none: `None`.
    pub fn of<'a>(
        config: &Config,
        datasets: impl IntoIterator<Item = (&'a config::Dataset, &'a Contract)>,
    ) -> Result<Option<Self>, BadTerms> {
        let (mut populations, mut required) = (BTreeMap::new(), BTreeMap::new());
        for (entry, contract) in datasets.into_iter().filter(|(entry, _)| entry.consent_required) {
            let unit = contract.privacy_unit.as_ref().and_then(|unit| contract.column(unit));
            let unit = unit
                .ok_or_else(|| BadTerms::NoUnit(contract.name.clone()))?
                .logical_type;
            let people = populations.entry(entry.population.clone()).or_insert_with(|| People {
                unit,
                purposes: config.consent.purposes.values().cloned().collect(),
            });
            if people.unit != unit {
                return Err(BadTerms::Types(entry.population.clone()));
            }
            people.purposes.extend(contract.purposes.iter().cloned());
            required.insert(contract.name.clone(), entry.population.clone());
        }
        for people in populations.values() {
            if let Some(found) = config.consent.permit_means.difference(&people.purposes).next() {
                return Err(BadTerms::Permit {
                    found: found.clone(),
                    known: people.spelled_purposes(),
                });
            }
        }
        let terms = Self {
            populations,
            datasets: required,
            mapping: config.consent.purposes.clone(),
            permit_means: config.consent.permit_means.clone(),
            permit_categories: config.consent.permit_categories.clone(),
            publish_every_ms: u64::from(config.consent.publish_every_hours) * 3_600_000,
            subsumed: Purposes::default(),
        };
        Ok((!terms.datasets.is_empty()).then_some(terms))
    }

    /// A consent to purposes that are spelled as in a file.
    pub fn given<'a>(
        &self,
        people: &People,
        purposes: impl IntoIterator<Item = &'a str>,
        window: Window,
    ) -> Result<Choice, BadChoice> {
        let purposes = purposes.into_iter().map(|purpose| self.purpose(people, purpose));
        consent_to(purposes.collect::<Result<_, _>>()?, window)
    }

    /// A purpose as requests spell it.
    pub fn purpose(&self, people: &People, spelled: &str) -> Result<String, BadChoice> {
        let spelled = spelled.trim();
        let purpose = self.mapping.get(spelled).map_or(spelled, String::as_str);
        // A form may have been signed for more than anybody asks here.
        if people.purposes.contains(purpose) || self.subsumed.is_above(purpose, &people.purposes) {
            return Ok(purpose.to_owned());
        }
        Err(BadChoice::Purpose {
            found: spelled.chars().take(60).collect(),
            known: people.spelled_purposes(),
        })
    }
}

impl People {
    fn spelled_purposes(&self) -> String {
        let known: Vec<&str> = self.purposes.iter().map(String::as_str).collect();
        known.join(", ")
    }
}

/// A consent to purposes as requests spell them.
pub(super) fn consent_to(purposes: BTreeSet<String>, window: Window) -> Result<Choice, BadChoice> {
    if purposes.is_empty() {
        return Err(BadChoice::NoPurpose);
    }
    if window.from_ms >= window.until_ms {
        return Err(BadChoice::Window);
    }
    Ok(Choice::Given { purposes, window })
}
