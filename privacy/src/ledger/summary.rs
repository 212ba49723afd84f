//! The ledger for people: what is capped, spent and left at a moment, so that a budget that was renewed shows as renewed.

use super::{Cap, EntryHash, Ledger, Left, PopulationId};
use crate::cost::{Charge, epsilon_at};
use serde::Serialize;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub population: PopulationId,
    pub entries: u64,
    pub head: EntryHash,
    pub at_ms: u64,
    pub cap: Option<Cap>,
    /// Epsilon of the sum of what was spent in the window, at the cap's order and delta; absent where nothing was spent or no cap is.
    pub spent_epsilon: Option<f64>,
    pub left: Option<Left>,
    pub analysts: Vec<AnalystSummary>,
    /// Reservations with tokens left, by name.
    pub open: Vec<(String, u32)>,
    pub releases_without_noise: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AnalystSummary {
    pub analyst: String,
    pub cap: Option<Cap>,
    pub spent_epsilon: Option<f64>,
    /// The less of the analyst's own and the population's.
    pub left: Option<Left>,
}

impl Ledger {
    /// As of `now_ms`; a clock behind the last entry counts as that entry's time.
    pub fn summary(&self, now_ms: u64) -> Summary {
        let at_ms = now_ms.max(self.last_ms);
        let analysts = self.books.analysts.keys().map(|analyst| AnalystSummary {
            analyst: analyst.clone(),
            cap: self.analyst_cap(analyst),
            spent_epsilon: spent_epsilon(self.analyst_cap(analyst), &self.spent_by(analyst, at_ms)),
            left: self.left_for(analyst, at_ms),
        });
        Summary {
            population: self.population.clone(),
            entries: self.entries,
            head: self.head,
            at_ms,
            cap: self.cap(),
            spent_epsilon: spent_epsilon(self.cap(), &self.spent(at_ms)),
            left: self.left(at_ms),
            analysts: analysts.collect(),
            open: self
                .open
                .iter()
                .map(|(id, open)| (id.as_str().to_owned(), open.tokens))
                .collect(),
            releases_without_noise: self.without_noise,
        }
    }
}

fn spent_epsilon(cap: Option<Cap>, spent: &Charge) -> Option<f64> {
    let cap = cap?;
    if *spent == Charge::zero() {
        None
    } else {
        Some(epsilon_at(spent, cap.order, cap.delta.value()))
    }
}
