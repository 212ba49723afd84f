//! Filters by consent, over the units that a dataset really holds: made once per snapshot, purpose and generation of consent, and kept
//! until one of them is another.
//!
//! The consent file knows units by keyed hashes only, so each unit of the data is hashed, once per snapshot: a pass over the unit's
//! column and some 80 ns for each distinct unit, 48 bytes kept. A filter is a look-up for each of them: 0.1 s a million. What a
//! filter costs a query is measured by `experiments govern`.

use super::ComputeFailed;
use super::query::NotExecuted;
use super::who::{Basis, UnitSet, Who};
use crate::consent::{ConsentError, Consents, Name};
use crate::data::Dataset;
use governance::ContentHash;
use polars::prelude::{Engine, PolarsResult, UniqueKeepStrategy};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use workload::query::{BoundingKey, UnitId};

/// Filters of the datasets that require consent.
pub struct Filters {
    consents: Arc<Consents>,
    /// By contract.
    known: Mutex<BTreeMap<ContentHash, Known>>,
}

struct Known {
    /// The files that were read; opened again they are others.
    dataset: Arc<Dataset>,
    units: Arc<Vec<(UnitId, Name)>>,
    /// By purpose; a contract lists few.
    filters: BTreeMap<String, (u64, Arc<UnitSet>)>,
}

impl Filters {
    pub fn new(consents: Arc<Consents>) -> Self {
        Self {
            consents,
            known: Mutex::default(),
        }
    }

    /// Reads whose rows there are when files are opened, so that the first question does not take longer for it.
    pub(super) fn prepare(&self, key: &BoundingKey, dataset: &Arc<Dataset>) {
        let name = &dataset.contract().name;
        if self.consents.terms().datasets.contains_key(name) {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = self.known_units(&mut known, key, dataset) {
                // A question meets it again, and fails.
                tracing::error!(dataset = %name, %error, "units not read");
            }
        }
    }

    /// Whose rows of `dataset` may be used for `purpose` now.
    pub(super) fn who(
        &self,
        key: &BoundingKey,
        dataset: &Arc<Dataset>,
        purpose: &str,
        now_ms: u64,
    ) -> Result<Who, ComputeFailed> {
        let name = &dataset.contract().name;
        let Some(population) = self.consents.terms().datasets.get(name) else {
            return Ok(Who::everybody(key));
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.known_units(&mut known, key, dataset)?;
        let mut generation = self.consents.generation(population, now_ms).map_err(unanswered)?;
        let kept = known.filters.get(purpose).filter(|(of, _)| *of == generation);
        let units = match kept {
            Some((_, units)) => units.clone(),
            None => {
                let found = self.consents.consenting(population, purpose, now_ms, &known.units);
                let (of, found) = found.map_err(unanswered)?;
                generation = of;
                let units = Arc::new(UnitSet::of(&found));
                known.filters.insert(purpose.to_owned(), (of, units.clone()));
                units
            }
        };
        let basis = Basis {
            purpose: purpose.to_owned(),
            generation,
        };
        Ok(Who::consenting(key, basis, units))
    }

    fn known_units<'a>(
        &self,
        known: &'a mut BTreeMap<ContentHash, Known>,
        key: &BoundingKey,
        dataset: &Arc<Dataset>,
    ) -> Result<&'a mut Known, ComputeFailed> {
        let contract = dataset.contract().hash();
        if known
            .get(&contract)
            .is_none_or(|known| !Arc::ptr_eq(&known.dataset, dataset))
        {
            let units = distinct(dataset, key).map_err(|reason| ComputeFailed::NotExecuted {
                dataset: dataset.contract().name.clone(),
                reason,
            })?;
            let named = units.into_iter().map(|unit| (unit, self.consents.names().of(unit)));
            let fresh = Known {
                dataset: dataset.clone(),
                units: Arc::new(named.collect()),
                filters: BTreeMap::new(),
            };
            known.insert(contract, fresh);
        }
        known.get_mut(&contract).ok_or(ComputeFailed::NotServed(contract))
    }
}

/// Every unit that some row is about.
fn distinct(dataset: &Dataset, key: &BoundingKey) -> Result<Vec<UnitId>, NotExecuted> {
    const UNIT: &str = "unit";
    let column = dataset.contract().privacy_unit.as_deref().ok_or(NotExecuted::Plan)?;
    let who = Who::everybody(key);
    let mut units = Vec::new();
    for source in dataset.sources().map_err(|_| NotExecuted::Unreadable("opening"))? {
        let unit = source.unit(column).ok_or(NotExecuted::Plan)?.alias(UNIT);
        let read = || -> PolarsResult<Vec<Option<UnitId>>> {
            let frame = source
                .frame
                .clone()
                .select([unit])
                .unique(None, UniqueKeepStrategy::Any);
            let frame = frame.collect_with_engine(Engine::Streaming)?.unwrap_single();
            who.units(frame.column(UNIT)?)
        };
        units.extend(
            read()
                .map_err(|_| NotExecuted::Unreadable("units"))?
                .into_iter()
                .flatten(),
        );
    }
    units.sort_unstable();
    units.dedup();
    Ok(units)
}

fn unanswered(error: ConsentError) -> ComputeFailed {
    ComputeFailed::Consent(error.to_string())
}
