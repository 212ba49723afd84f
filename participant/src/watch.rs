//! Whether what is offered can still be computed. A dataset whose files changed is taken off the offers within seconds, so
//! that no question is charged for it and then fails; it is read again at a fixed interval and, once good, offered with its
//! new snapshot. A dataset that was not good at the start comes back the same way.
//!
//! Here, too, consents are published when their period begins, because that is when a snapshot changes without a file.
//!
//! Costs a `stat` per file every two seconds, on a thread of its own because a file system may hang, and one pass over the
//! rows at each attempt to read again. When it looks and when it reads depends on the clock and on files' sizes and times,
//! never on a row. Deliberately absent: a contract that changed under its name; that is a decision, and takes a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use engine::participant;
use governance::{ContentHash, Contract};
use tokio::sync::mpsc;

use crate::compute;
use crate::config;
use crate::consent::{Consents, Publication};
use crate::data::{DataError, Dataset};
use crate::driver::{Event, now_ms};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// The datasets of a configuration whose contracts could be read.
pub struct Watch {
    watched: Vec<Watched>,
    /// Datasets without a contract, and why: they stay as they are.
    hopeless: BTreeMap<String, String>,
    executor: Arc<compute::Engine>,
    snapshot_key: [u8; 32],
    reopen_ms: u64,
    /// None: no dataset here requires consent.
    consents: Option<Arc<Consents>>,
    /// Changes of the vocabulary that snapshots tell of.
    spoken: u64,
}

struct Watched {
    entry: config::Dataset,
    contract: Arc<Contract>,
    state: State,
}

enum State {
    Served(Arc<Dataset>),
    Gone { why: String, again_at_ms: u64 },
}

/// What can be served now, and what cannot.
#[derive(Clone)]
pub struct Served {
    pub datasets: Vec<participant::Dataset>,
    /// Dataset or contract file, and why it is not served.
    pub refused: BTreeMap<String, String>,
}

fn changes_of(consents: Option<&Consents>) -> u64 {
    consents.map_or(0, |consents| consents.terms().subsumed.changes())
}

impl Watch {
    pub(crate) fn new(
        executor: Arc<compute::Engine>,
        hopeless: BTreeMap<String, String>,
        snapshot_key: [u8; 32],
        reopen_s: u64,
        consents: Option<Arc<Consents>>,
    ) -> Self {
        Self {
            watched: Vec::new(),
            hopeless,
            executor,
            snapshot_key,
            reopen_ms: reopen_s * 1000,
            spoken: changes_of(consents.as_deref()),
            consents,
        }
    }

    pub(crate) fn add(&mut self, entry: config::Dataset, contract: Contract, opened: Result<Dataset, DataError>) {
        let state = self.state(opened, now_ms());
        let contract = Arc::new(contract);
        self.watched.push(Watched { entry, contract, state });
    }

    /// Every dataset, served now or not.
    pub fn names(&self) -> BTreeSet<String> {
        self.watched
            .iter()
            .map(|watched| watched.contract.name.clone())
            .collect()
    }

    pub fn served(&self) -> Served {
        let mut served = Served {
            datasets: Vec::new(),
            refused: self.hopeless.clone(),
        };
        for Watched { entry, contract, state } in &self.watched {
            match state {
                State::Served(dataset) => served.datasets.push(participant::Dataset {
                    contract: contract.clone(),
                    snapshot: self.snapshot(dataset).to_string(),
                    population: entry.population.clone(),
                    min_cohort: entry.min_cohort,
                    paused: entry.paused,
                    without_noise: entry.without_noise_approved_by.clone(),
                    show_budget: entry.show_budget,
                }),
                State::Gone { why, .. } => drop(served.refused.insert(self.label(contract), why.clone())),
            }
        }
        served
    }

    /// What people call a version: the dataset's name, and which version where there are several.
    fn label(&self, contract: &Contract) -> String {
        let named = self.watched.iter().filter(|other| other.contract.name == contract.name);
        match named.count() {
            0 | 1 => contract.name.clone(),
            _ => format!("{} {}", contract.name, contract.version),
        }
    }

    /// Looks at all files; answers what is served if that is not what it was.
    pub fn look(&mut self, now_ms: u64) -> Option<Served> {
        let mut moved = self.published(now_ms);
        let spoken = changes_of(self.consents.as_deref());
        moved |= std::mem::replace(&mut self.spoken, spoken) != spoken;
        for i in 0..self.watched.len() {
            let Watched { entry, contract, state } = &self.watched[i];
            let found = match state {
                State::Served(dataset) => match dataset.unchanged() {
                    Ok(()) => continue,
                    Err(error) => Err(error),
                },
                State::Gone { again_at_ms, .. } if now_ms < *again_at_ms => continue,
                State::Gone { .. } => Dataset::open(Contract::clone(contract), &entry.files, entry.mapping.clone()),
            };
            let name = self.label(contract);
            match &found {
                Ok(_) => tracing::info!(dataset = %name, "served again"),
                Err(error) => tracing::error!(dataset = %name, %error, "not served"),
            }
            self.watched[i].state = self.state(found, now_ms);
            moved = true;
        }
        moved.then(|| self.served())
    }

    /// The state of the files and, where consent is required, what was published of it last and the vocabulary that everybody knows: never
    /// who changed what since.
    fn snapshot(&self, dataset: &Dataset) -> ContentHash {
        let files = dataset.snapshot(&self.snapshot_key);
        let published = self
            .consents
            .as_ref()
            .and_then(|c| c.published(&dataset.contract().name));
        match published {
            None => files,
            Some(Publication { number, root, .. }) => {
                let state = ContentHash::of("snapshot", &[files.as_bytes(), &number.to_le_bytes(), &root.0]);
                let state = match self.consents.as_ref().map_or(0, |c| c.terms().subsumed.version()) {
                    0 => state,
                    version => ContentHash::of("snapshot and vocabulary", &[state.as_bytes(), &version.to_le_bytes()]),
                };
                ContentHash(*blake3::keyed_hash(&self.snapshot_key, &state.0).as_bytes())
            }
        }
    }

    /// Whether a period of publication has begun. If it cannot be published, the last one stands and it is tried again.
    fn published(&self, now_ms: u64) -> bool {
        let Some(consents) = &self.consents else { return false };
        consents.publish_due(now_ms).unwrap_or_else(|error| {
            tracing::error!(%error, "consents not published");
            false
        })
    }

    fn state(&self, found: Result<Dataset, DataError>, now_ms: u64) -> State {
        match found {
            Ok(dataset) => {
                let dataset = Arc::new(dataset);
                // Before it is offered: whoever is asked must be able to compute.
                self.executor.reopened(dataset.clone());
                State::Served(dataset)
            }
            Err(error) => State::Gone {
                why: error.to_string(),
                again_at_ms: now_ms.saturating_add(self.reopen_ms),
            },
        }
    }

    /// Looks until the driver is gone.
    pub(crate) fn keep_looking(mut self, driver: &mpsc::WeakSender<Event>) {
        loop {
            std::thread::sleep(LOOK); // the interval of the header, not a wait for something
            let Some(driver) = driver.upgrade() else { return };
            if let Some(served) = self.look(now_ms())
                && driver.blocking_send(Event::Serving(served)).is_err()
            {
                return;
            }
        }
    }
}
