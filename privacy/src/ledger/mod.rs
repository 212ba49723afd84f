//! Who has spent what: the state machine of one population's budget. Storage is elsewhere.
//!
//! [`Ledger::apply`] is the only thing that changes a ledger, so recovery is the same code as running; the other methods look at it and
//! build the next [`Entry`], which the caller makes durable and then applies. An entry built on an older head does not apply, so no
//! schedule of crashes, retries, duplicates or reorderings can overspend: the cap holds at every prefix (`tests/ledger_schedules.rs`).
//!
//! reserve -> commit or void. A reservation counts as spent from its entry on; a crash after it changes nothing. `Committed` must be durable
//! *before* the data of its tokens is touched: then what is not committed was never touched, also after a crash, and may be voided.
//! No cap is a cap of zero. Raising takes two people, lowering none to wait for; a ledger holds their names, and that they signed is the
//! caller's to see to (`engine::approval`). Costs: an entry is about 1 KiB as JSON, microseconds to apply.
//!
//! Deliberately absent: refunds of touched data, budgets without a population, deleting or editing entries.

mod calendar;
mod cap;
mod entry;
mod refusal;
mod rules;
mod summary;

pub use calendar::Renewal;
pub use cap::{Cap, CapError, EVERYBODY, Left};
pub use entry::{Entry, EntryHash, LedgerEvent, PopulationId, ReservationId};
pub use refusal::{Broken, Damage, Refusal, Whose};
pub use summary::{AnalystSummary, Summary};

use crate::cost::Charge;
use cap::Book;
use rules::{Books, Open};
use std::collections::{BTreeMap, BTreeSet};

/// A replayed reservation may exceed the cap by this many nano-units: a machine whose logarithm differs in the last place must be able to
/// read what another wrote.
const FORGIVEN_NANO: u64 = 1000;

/// The ledger of one population: a pure fold over its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    population: PopulationId,
    entries: u64,
    head: EntryHash,
    last_ms: u64,
    books: Books,
    open: BTreeMap<ReservationId, Open>,
    closed: BTreeSet<ReservationId>,
    without_noise: u64,
}

impl Ledger {
    pub fn new(population: PopulationId) -> Self {
        let head = EntryHash::empty(&population);
        Self {
            population,
            entries: 0,
            head,
            last_ms: 0,
            books: Books {
                whole: Book::new(),
                analysts: BTreeMap::new(),
            },
            open: BTreeMap::new(),
            closed: BTreeSet::new(),
            without_noise: 0,
        }
    }

    /// The ledger that these entries make, or the first of them that is not as it was written.
    pub fn replay<'a>(population: PopulationId, entries: impl IntoIterator<Item = &'a Entry>) -> Result<Self, Broken> {
        let mut ledger = Self::new(population);
        for entry in entries {
            ledger.apply(entry)?;
        }
        Ok(ledger)
    }

    /// Takes the next entry in; on an error nothing has changed.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), Broken> {
        let broken = |damage| {
            Err(Broken {
                index: self.entries,
                damage,
            })
        };
        if entry.population != self.population {
            return broken(Damage::Population {
                expected: self.population.clone(),
                found: entry.population.clone(),
            });
        }
        if entry.seq != self.entries {
            return broken(Damage::Seq {
                expected: self.entries,
                found: entry.seq,
            });
        }
        if entry.previous != self.head {
            return broken(Damage::Chain);
        }
        if entry.hash != entry.digest() {
            return broken(Damage::Hash);
        }
        if entry.at_ms < self.last_ms {
            return broken(Damage::Time {
                expected: self.last_ms,
                found: entry.at_ms,
            });
        }
        let books = self.books_at(entry.at_ms);
        if let Err(refusal) = self.permit(&books, &entry.event, FORGIVEN_NANO) {
            return broken(Damage::Refused(refusal));
        }
        self.books = books;
        self.last_ms = entry.at_ms;
        self.fold(&entry.event, entry.hash);
        self.entries += 1;
        self.head = entry.hash;
        Ok(())
    }

    /// The entry that sets what the population may spend. The first cap, and any that allows more than the one before, takes two people.
    pub fn set_cap(&self, at_ms: u64, cap: Cap, approvals: &[String]) -> Result<Entry, Refusal> {
        self.build(
            at_ms,
            LedgerEvent::CapSet {
                cap,
                approvals: approvals.to_vec(),
            },
        )
    }

    /// The entry that sets what one analyst may spend inside the population's cap; the same two people.
    pub fn set_analyst_cap(&self, at_ms: u64, analyst: &str, cap: Cap, approvals: &[String]) -> Result<Entry, Refusal> {
        self.build(
            at_ms,
            LedgerEvent::AnalystCapSet {
                analyst: analyst.into(),
                cap,
                approvals: approvals.to_vec(),
            },
        )
    }

    /// The entry that sets `tokens` releases of `charge` each aside, if both caps allow it.
    pub fn reserve(
        &self,
        at_ms: u64,
        id: ReservationId,
        analyst: &str,
        charge: &Charge,
        tokens: u32,
    ) -> Result<Entry, Refusal> {
        self.build(
            at_ms,
            LedgerEvent::Reserved {
                id,
                analyst: analyst.into(),
                charge: charge.clone(),
                tokens,
            },
        )
    }

    /// The entry that records the owner's opt-in to `tokens` releases without noise. No cap covers them: the charge is infinite.
    pub fn reserve_without_noise(
        &self,
        at_ms: u64,
        id: ReservationId,
        analyst: &str,
        tokens: u32,
        approvals: &[String],
    ) -> Result<Entry, Refusal> {
        let event = LedgerEvent::ReservedWithoutNoise {
            id,
            analyst: analyst.into(),
            tokens,
            approvals: approvals.to_vec(),
        };
        self.build(at_ms, event)
    }

    /// The entry that must be durable before the data of `tokens` tokens is touched.
    pub fn commit(&self, at_ms: u64, id: ReservationId, tokens: u32) -> Result<Entry, Refusal> {
        self.build(at_ms, LedgerEvent::Committed { id, tokens })
    }

    /// The entry that gives `tokens` tokens back. They were never committed, so data was never touched for them.
    pub fn void(&self, at_ms: u64, id: ReservationId, tokens: u32) -> Result<Entry, Refusal> {
        self.build(at_ms, LedgerEvent::Voided { id, tokens })
    }

    /// The entry that charges what this ledger forgot when it was put back to an older state. No cap stops it: it was spent.
    pub fn restore(
        &self,
        at_ms: u64,
        id: ReservationId,
        analyst: &str,
        charge: &Charge,
        tokens: u32,
        approvals: &[String],
    ) -> Result<Entry, Refusal> {
        let event = LedgerEvent::Restored {
            id,
            analyst: analyst.into(),
            charge: charge.clone(),
            tokens,
            approvals: approvals.to_vec(),
        };
        self.build(at_ms, event)
    }

    /// What one token of an open reservation costs.
    pub fn price_of(&self, id: &ReservationId) -> Option<&Charge> {
        self.open.get(id).map(|open| &open.charge)
    }

    pub fn population(&self) -> &PopulationId {
        &self.population
    }

    /// How many entries there are and the hash of the last: what a witness remembers.
    pub fn head(&self) -> (u64, EntryHash) {
        (self.entries, self.head)
    }

    pub fn cap(&self) -> Option<Cap> {
        self.books.whole.cap
    }

    pub fn analyst_cap(&self, analyst: &str) -> Option<Cap> {
        self.books.analysts.get(analyst).and_then(|book| book.cap)
    }

    /// The entry that set the cap of everybody together, or of one analyst: a name for this state of it, which no later state has
    /// again. Where none was ever set, what stands before the first entry.
    pub fn cap_set_by(&self, analyst: Option<&str>) -> EntryHash {
        let set = self.book_of(analyst).and_then(|book| book.set.as_ref());
        set.map_or_else(|| EntryHash::empty(&self.population), |set| set.entry)
    }

    /// Who stood for that cap when it was last raised.
    pub fn cap_approvals(&self, analyst: Option<&str>) -> &[String] {
        let set = self.book_of(analyst).and_then(|book| book.set.as_ref());
        set.map_or(&[], |set| &set.approvals)
    }

    /// The entry that set what everybody had when an analyst's cap was made the same: where everybody's goes from that entry on, its goes. None
    /// of one that ever differed, whatever figures meet later.
    pub fn follows(&self, analyst: &str) -> Option<EntryHash> {
        let book = self.book_of(Some(analyst))?;
        book.set.as_ref()?.follows
    }

    fn book_of(&self, analyst: Option<&str>) -> Option<&Book> {
        match analyst {
            None => Some(&self.books.whole),
            Some(analyst) => self.books.analysts.get(analyst),
        }
    }

    /// Spent by everybody in the cap's window at `at_ms`, reservations included.
    pub fn spent(&self, at_ms: u64) -> Charge {
        self.books_at(at_ms).whole.spent().clone()
    }

    /// Spent by one analyst in that analyst's window at `at_ms`.
    pub fn spent_by(&self, analyst: &str, at_ms: u64) -> Charge {
        self.books_at(at_ms)
            .analysts
            .get(analyst)
            .map_or(Charge::zero(), |book| book.spent().clone())
    }

    /// What everybody together has left at `at_ms`; `None` without a cap.
    pub fn left(&self, at_ms: u64) -> Option<Left> {
        left(&self.books_at(at_ms).whole)
    }

    /// What one analyst has left at `at_ms`: the less of the analyst's cap and the population's. `None` if either is missing.
    pub fn left_for(&self, analyst: &str, at_ms: u64) -> Option<Left> {
        let now = self.books_at(at_ms);
        let (whole, own) = (left(&now.whole)?, left(now.analysts.get(analyst)?)?);
        Some(if own.epsilon <= whole.epsilon { own } else { whole })
    }

    /// Tokens of a reservation that are neither committed nor voided; `None` if it never existed.
    pub fn tokens_left(&self, id: &ReservationId) -> Option<u32> {
        if self.closed.contains(id) {
            Some(0)
        } else {
            self.open.get(id).map(|open| open.tokens)
        }
    }

    /// Releases made without noise over these people, for the owner to see. If not 0, what was claimed for releases with noise is a claim about
    /// those alone: nothing bounds all of them together.
    pub fn releases_without_noise(&self) -> u64 {
        self.without_noise
    }

    fn build(&self, at_ms: u64, event: LedgerEvent) -> Result<Entry, Refusal> {
        // A clock that was set back does not reopen a window.
        let at_ms = at_ms.max(self.last_ms);
        self.permit(&self.books_at(at_ms), &event, 0)?;
        Ok(Entry::chain(
            self.entries,
            at_ms,
            self.population.clone(),
            event,
            self.head,
        ))
    }
}

fn left(book: &Book) -> Option<Left> {
    book.cap.map(|cap| cap.left_after(book.spent()))
}
