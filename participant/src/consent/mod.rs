//! Who consents to what, at this participant and nowhere else.
//!
//! A dataset whose configuration says `consent = "required"` uses a row only if its unit consents, at that moment, to the purpose of the
//! request. Consents belong to a population, as budgets do: one person's choice holds in every dataset over the same people.
//!
//! # What follows a change at once
//! - *The filter.* Every computation asks for the filter of its own moment (`compute::consent`); nothing here answers from an older one.
//!   The agent keeps no answers and no vectors, and rows that a training run keeps are read again when the filter is another one. So
//!   a repeated question, if it reaches the agent at all, is computed anew, under today's filter, with fresh noise, and charged.
//! - *A vector that has not left.* The engine compares [`Stamp`]s from before data was touched and from right before the vector is
//!   handed to the connection; if they differ it stays. A withdrawal returns when it is durable and every step that was begun before it
//!   is done: from then on nothing leaves that rests on it. A vector that left earlier may be in one release, which is charged.
//!
//! # What does not
//! What leaves is the number of the newest publication and its root (`publication.rs`), made at fixed times and folded into the
//! dataset's snapshot, which leaves in keyed form. The snapshot does not follow a change, because *that* it changed, and when, would
//! tell the coordinator that somebody in this population gave or withdrew consent just now; in a small clinic, who. It also does not
//! stay when nothing changed, which would tell the same a day later.
//!
//! Therefore the coordinator may serve a release again, to the analyst who had it and until the next publication, that rests on a
//! consent withdrawn meanwhile. No row is used and nothing new is learned: the same bytes that this analyst holds already. After the
//! publication the question is another one, and is computed, under the filter of then.
//!
//! # What can be seen
//! A filter by consent is part of the data as differential privacy sees it: two answers before and after a withdrawal differ as
//! neighbouring datasets do, and both are charged. A dataset whose units all refuse answers with noise. A round that a change stops looks
//! like a computation that failed. A coordinator that asks all the time sees such rounds, and can suspect a withdrawal behind one;
//! it cannot tell it from a disk, nor see whose it was.
//!
//! Costs: a look-up a row while scanning (`experiments govern`); about 70 bytes of memory and 200 of disk a unit.

mod file;
mod import;
mod instant;
mod names;
mod order;
mod publication;
mod pulse;
mod purposes;
mod register;
mod terms;

use engine::participant::{Consent, ConsentTerms, Published, Stamp};
use file::{Change, ConsentFile};
use governance::purpose::Vocabulary;
use governance::{ContentHash, LogicalType};
use pulse::Pulse;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use workload::query::UnitId;

pub use import::{Decision, Fault, ImportError, Place};
pub use instant::Instant;
pub use names::{Name, Names};
pub use order::{Order, OrderError};
pub use publication::Publication;
pub use purposes::Purposes;
pub use register::{Choice, Counts, Window};
pub use terms::{BadChoice, BadTerms, People, Terms};

/// The consents of an agent's populations: one value, shared by those who change them and those who filter by them.
pub struct Consents {
    terms: Terms,
    names: Names,
    kept: Mutex<Kept>,
    /// By population. Read without a lock: the engine must never wait for an import.
    pulses: BTreeMap<String, Pulse>,
    /// By population, with a lock of its own for the same reason.
    published: RwLock<BTreeMap<String, Publication>>,
}

struct Kept {
    file: ConsentFile,
    registers: BTreeMap<String, register::Register>,
}

/// What an import did, in units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    pub changed: u64,
    /// Withdrawals of units that were not on record: perhaps their ids are spelled otherwise in the data.
    pub not_on_record: u64,
    /// Units whose withdrawal the file's consent took the place of.
    pub overruled: u64,
}

/// What went wrong with the file, or with what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ConsentError {
    #[error(transparent)]
    Store(#[from] proto::store::StoreError),
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error("no dataset here requires consent of population `{0}`")]
    Population(String),
}

/// Beside the agent's store.
pub fn path(store: &Path) -> PathBuf {
    store.with_extension("consent.sqlite")
}

impl Consents {
    /// Opens or makes the file; `secret` is the key beside the agent's store.
    pub fn open(path: &Path, secret: &[u8; 32], terms: Terms) -> Result<Self, ConsentError> {
        let mut file = ConsentFile::open(path)?;
        let mut registers = file.registers()?;
        let mut published = BTreeMap::new();
        for population in terms.populations.keys() {
            registers.entry(population.clone()).or_default();
            if let Some(publication) = file.published(population)? {
                published.insert(population.clone(), publication);
            }
        }
        let pulses = terms
            .populations
            .keys()
            .map(|id| (id.clone(), Pulse::default()))
            .collect();
        Ok(Self {
            names: Names::new(secret),
            kept: Mutex::new(Kept { file, registers }),
            pulses,
            published: RwLock::new(published),
            terms,
        })
    }

    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Of `units`, those that consent now to `purpose`, and the generation whose answer this is.
    pub fn consenting(
        &self,
        population: &str,
        purpose: &str,
        now_ms: u64,
        units: &[(UnitId, Name)],
    ) -> Result<(u64, Vec<UnitId>), ConsentError> {
        let unknown = || ConsentError::Population(population.to_owned());
        let kept = self.kept();
        let register = kept.registers.get(population).ok_or_else(unknown)?;
        let pulse = self.pulses.get(population).ok_or_else(unknown)?;
        let (changes, vocabulary) = self.terms.subsumed.now();
        let generation = pulse.refresh(now_ms, register) + changes;
        let permits = register.permits(|by| vocabulary.subsumes(by, purpose), now_ms);
        let consenting = units.iter().filter(|(_, name)| permits(name)).map(|(unit, _)| *unit);
        Ok((generation, consenting.collect()))
    }

    /// The generation that holds now, for a cache of [`Consents::consenting`].
    pub fn generation(&self, population: &str, now_ms: u64) -> Result<u64, ConsentError> {
        let unknown = || ConsentError::Population(population.to_owned());
        let kept = self.kept();
        let register = kept.registers.get(population).ok_or_else(unknown)?;
        let pulse = self.pulses.get(population).ok_or_else(unknown)?;
        // Both only rise, so their sum names both.
        let changes = self.terms.subsumed.changes();
        Ok(pulse.refresh(now_ms, register) + changes)
    }

    /// Takes a file, all of it or nothing. A withdrawal, also of a part, gives way to a consent that was decided on after it was recorded, or
    /// by `overrule` to any: an export may be older than what somebody told the owner since.
    pub fn import(&self, population: &str, path: &Path, overrule: bool, now_ms: u64) -> Result<Imported, ConsentError> {
        let people = self.people(population)?;
        let decisions = import::read(path, &self.terms, people)?;
        let at = |at, fault| ImportError::At {
            path: path.to_owned(),
            at,
            fault,
        };
        let mut first: HashMap<Name, Place> = HashMap::with_capacity(decisions.len());
        let mut named = Vec::with_capacity(decisions.len());
        for decision in &decisions {
            let unit = self.unit(&decision.unit, people);
            let unit = unit.map_err(|fault| at(decision.at, fault))?;
            if let Some(first) = first.insert(unit, decision.at) {
                return Err(at(decision.at, Fault::Duplicate { first }).into());
            }
            named.push((unit, &decision.choice));
        }
        let mut kept = self.kept();
        let register = kept.registers.get(population);
        let register = register.ok_or_else(|| ConsentError::Population(population.to_owned()))?;
        let mut imported = Imported::default();
        for (decision, (unit, choice)) in decisions.iter().zip(&named) {
            match (register.took_back_ms(unit, choice, now_ms), choice) {
                (Some(taken_ms), _) => {
                    let is_later = |decided: Instant| (taken_ms + 1..=now_ms).contains(&decided.from_ms());
                    if !(overrule || decision.decided.is_some_and(is_later)) {
                        return Err(at(decision.at, Fault::Withdrawn).into());
                    }
                    imported.overruled += 1;
                }
                (None, Choice::Withdrawn) if !register.is_on_record(unit) => imported.not_on_record += 1,
                _ => {}
            }
        }
        imported.changed = self.record(&mut kept, population, &named, now_ms)?;
        Ok(imported)
    }

    /// Makes choices durable and true. Answers how many were not so already.
    pub fn change(&self, population: &str, choices: &[(Name, &Choice)], now_ms: u64) -> Result<u64, ConsentError> {
        self.record(&mut self.kept(), population, choices, now_ms)
    }

    fn record(
        &self,
        kept: &mut Kept,
        population: &str,
        choices: &[(Name, &Choice)],
        now_ms: u64,
    ) -> Result<u64, ConsentError> {
        let unknown = || ConsentError::Population(population.to_owned());
        let pulse = self.pulses.get(population).ok_or_else(unknown)?;
        let Kept { file, registers, .. } = kept;
        let register = registers.get_mut(population).ok_or_else(unknown)?;
        let mut changes: Vec<Change<'_>> = choices
            .iter()
            .filter_map(|(unit, choice)| {
                Some(Change {
                    unit: *unit,
                    version: register.next_version(unit, choice)?,
                    choice,
                })
            })
            .collect();
        if changes.is_empty() {
            return Ok(0);
        }
        // In the order of the file's index: a million rows in seconds. And the order of an import is nobody's business.
        changes.sort_unstable_by_key(|change| change.unit);
        file.append(population, &changes, now_ms)?;
        for change in &changes {
            register.apply(change.unit, change.version, change.choice, now_ms);
        }
        pulse.beat(now_ms, register);
        Ok(changes.len() as u64)
    }

    /// Publishes every population whose period has begun; answers whether one was.
    pub fn publish_due(&self, now_ms: u64) -> Result<bool, ConsentError> {
        let number = now_ms / self.terms.publish_every_ms.max(1);
        let mut kept = self.kept();
        let mut any = false;
        for population in self.terms.populations.keys() {
            let last = self.said().get(population).copied();
            if last.is_none_or(|last| last.number < number) {
                let publication = kept.file.publish(population, number, now_ms)?;
                let mut published = self.published.write().unwrap_or_else(PoisonError::into_inner);
                published.insert(population.clone(), publication);
                any = true;
            }
        }
        Ok(any)
    }

    /// What a dataset's snapshot may say about consent; none where it is not required.
    pub fn published(&self, dataset: &str) -> Option<Publication> {
        let population = self.terms.datasets.get(dataset)?;
        self.said().get(population).copied()
    }

    fn said(&self) -> RwLockReadGuard<'_, BTreeMap<String, Publication>> {
        // Poisoned or not: a publication is replaced whole.
        self.published.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The unit that an order or a file means. A text with white space around it is another id than the one without, and names nobody.
    fn unit(&self, spelled: &str, people: &People) -> Result<Name, Fault> {
        if people.unit == LogicalType::String && spelled.trim() != spelled {
            return Err(Fault::Spaces);
        }
        self.names.spelled(spelled, people.unit).ok_or(Fault::NoUnit)
    }

    fn is_on_record(&self, population: &str, unit: &Name) -> bool {
        let kept = self.kept();
        kept.registers
            .get(population)
            .is_some_and(|register| register.is_on_record(unit))
    }

    fn people(&self, population: &str) -> Result<&People, ConsentError> {
        let people = self.terms.populations.get(population);
        people.ok_or_else(|| ConsentError::Population(population.to_owned()))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Poisoned or not: what is in memory was durable before, and a register is whole after every change.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Consent for Consents {
    fn stamp(&self, dataset: &str, now_ms: u64) -> Stamp {
        let population = self.terms.datasets.get(dataset);
        let Some((population, pulse)) = population.and_then(|id| Some((id, self.pulses.get(id)?))) else {
            return Stamp::default();
        };
        // Somebody who imports may hold the lock for seconds; then the stamp says that it is not up to date.
        if pulse.is_overdue(now_ms)
            && let Ok(kept) = self.kept.try_lock()
            && let Some(register) = kept.registers.get(population)
        {
            pulse.refresh(now_ms, register);
        }
        let changes = self.terms.subsumed.changes();
        let stamp = pulse.stamp(now_ms);
        Stamp {
            generation: stamp.generation + changes,
            ..stamp
        }
    }

    fn published(&self, dataset: &str) -> Option<Published> {
        let Publication { number, root, .. } = Consents::published(self, dataset)?;
        let root = ContentHash(root.0);
        Some(Published { version: number, root })
    }

    fn speaks(&self, version: u64, vocabulary: &Vocabulary) {
        self.terms.subsumed.speak(version, vocabulary);
    }

    fn terms(&self, dataset: &str) -> ConsentTerms {
        if !self.terms.datasets.contains_key(dataset) {
            return ConsentTerms::NotAsked;
        }
        let publication = Consents::published(self, dataset).map(|newest| newest.number);
        ConsentTerms::Required { publication }
    }
}

#[cfg(test)]
mod tests;
