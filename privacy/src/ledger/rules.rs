//! The rules of the ledger: what may happen next, and what it changes. Pure; costs a copy of the books for each entry.

use super::cap::{Book, EVERYBODY};
use super::{Cap, EntryHash, Ledger, LedgerEvent, Refusal, ReservationId, Whose};
use crate::cost::Charge;
use std::collections::{BTreeMap, BTreeSet};

/// Caps and sums: of everybody together, and of each analyst.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Books {
    pub(super) whole: Book,
    pub(super) analysts: BTreeMap<String, Book>,
}

/// A reservation with tokens left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) analyst: String,
    /// Of one token; nothing for releases without noise, which are counted apart.
    pub(super) charge: Charge,
    pub(super) tokens: u32,
}

impl Ledger {
    /// The books with their windows turned to `at_ms`.
    pub(super) fn books_at(&self, at_ms: u64) -> Books {
        let at_ms = at_ms.max(self.last_ms);
        let mut books = self.books.clone();
        books.whole.turn(at_ms, || self.still_open(None));
        for (analyst, book) in &mut books.analysts {
            book.turn(at_ms, || self.still_open(Some(analyst)));
        }
        books
    }

    /// What is reserved and neither committed nor voided, by one analyst or by all.
    fn still_open(&self, analyst: Option<&str>) -> Charge {
        let of = |open: &&Open| analyst.is_none_or(|analyst| analyst == open.analyst);
        let price = |open: &Open| open.charge.times(open.tokens.into());
        self.open
            .values()
            .filter(of)
            .fold(Charge::zero(), |sum, open| sum.plus(&price(open)))
    }

    /// Whether the event may happen now.
    pub(super) fn permit(&self, books: &Books, event: &LedgerEvent, forgiven: u64) -> Result<(), Refusal> {
        match event {
            LedgerEvent::CapSet { cap, approvals } => approved(books.whole.cap, cap, approvals),
            LedgerEvent::AnalystCapSet {
                analyst,
                cap,
                approvals,
            } => approved(self.analyst_cap(analyst), cap, approvals),
            LedgerEvent::Reserved {
                id,
                analyst,
                charge,
                tokens,
            } => {
                self.is_new(id, *tokens)?;
                let price = charge.times((*tokens).into());
                fits(
                    &books.whole,
                    Whose::Population(self.population.clone()),
                    &price,
                    forgiven,
                )?;
                let missing = Book::new();
                let book = books.analysts.get(analyst).unwrap_or(&missing);
                fits(book, Whose::Analyst(analyst.clone()), &price, forgiven)
            }
            LedgerEvent::ReservedWithoutNoise {
                id, tokens, approvals, ..
            } => {
                self.is_new(id, *tokens)?;
                if approvals.is_empty() {
                    Err(Refusal::NotOptedIn)
                } else {
                    Ok(())
                }
            }
            LedgerEvent::Restored {
                id, tokens, approvals, ..
            } => {
                self.is_new(id, *tokens)?;
                two_people(approvals)
            }
            LedgerEvent::Committed { id, tokens } | LedgerEvent::Voided { id, tokens } => {
                let left = self
                    .tokens_left(id)
                    .ok_or_else(|| Refusal::Unknown { id: id.clone() })?;
                if *tokens == 0 || *tokens > left {
                    return Err(Refusal::Tokens {
                        id: id.clone(),
                        left,
                        found: *tokens,
                    });
                }
                Ok(())
            }
        }
    }

    /// Whether an analyst's own part alone would allow `tokens` releases, whatever everybody together has left: all that may be
    /// told of a budget whose owner does not show it.
    pub fn own_part_allows(&self, at_ms: u64, analyst: &str, charge: &Charge, tokens: u32) -> Result<(), Refusal> {
        let books = self.books_at(at_ms);
        let missing = Book::new();
        let book = books.analysts.get(analyst).unwrap_or(&missing);
        let price = charge.times(tokens.into());
        fits(book, Whose::Analyst(analyst.to_owned()), &price, 0)
    }

    fn is_new(&self, id: &ReservationId, tokens: u32) -> Result<(), Refusal> {
        match self.tokens_left(id) {
            Some(_) => Err(Refusal::Duplicate { id: id.clone() }),
            None if tokens == 0 => Err(Refusal::Tokens {
                id: id.clone(),
                left: 0,
                found: 0,
            }),
            None => Ok(()),
        }
    }

    /// What the event changes; it was permitted.
    pub(super) fn fold(&mut self, event: &LedgerEvent, entry: EntryHash) {
        match event {
            LedgerEvent::CapSet { cap, approvals } => self.books.whole.set_cap(*cap, entry, approvals, None),
            LedgerEvent::AnalystCapSet {
                analyst,
                cap,
                approvals,
            } => {
                let never_differed = self.analyst_cap(analyst).is_none() || self.follows(analyst).is_some();
                let same = never_differed && analyst != EVERYBODY && self.analyst_cap(EVERYBODY) == Some(*cap);
                let follows = same.then(|| self.cap_set_by(Some(EVERYBODY)));
                self.book(analyst).set_cap(*cap, entry, approvals, follows);
            }
            LedgerEvent::Reserved {
                id,
                analyst,
                charge,
                tokens,
            } => {
                let price = charge.times((*tokens).into());
                self.books.whole.spend(&price);
                self.book(analyst).spend(&price);
                self.open.insert(
                    id.clone(),
                    Open {
                        analyst: analyst.clone(),
                        charge: charge.clone(),
                        tokens: *tokens,
                    },
                );
            }
            LedgerEvent::ReservedWithoutNoise {
                id, analyst, tokens, ..
            } => {
                self.without_noise += u64::from(*tokens);
                self.open.insert(
                    id.clone(),
                    Open {
                        analyst: analyst.clone(),
                        charge: Charge::zero(),
                        tokens: *tokens,
                    },
                );
            }
            LedgerEvent::Restored {
                id,
                analyst,
                charge,
                tokens,
                ..
            } => {
                self.closed.insert(id.clone());
                if charge.is_infinite() {
                    self.without_noise += u64::from(*tokens);
                } else {
                    let price = charge.times((*tokens).into());
                    self.books.whole.spend(&price);
                    self.book(analyst).spend(&price);
                }
            }
            LedgerEvent::Committed { id, tokens } => {
                self.use_up(id, *tokens);
            }
            LedgerEvent::Voided { id, tokens } => {
                if let Some(open) = self.use_up(id, *tokens) {
                    let price = open.charge.times((*tokens).into());
                    self.books.whole.give_back(&price);
                    self.book(&open.analyst).give_back(&price);
                }
            }
        }
    }

    /// Takes tokens out of an open reservation and closes it with the last.
    fn use_up(&mut self, id: &ReservationId, tokens: u32) -> Option<Open> {
        let open = self.open.get_mut(id)?;
        open.tokens -= tokens;
        let open = open.clone();
        if open.tokens == 0 {
            self.open.remove(id);
            self.closed.insert(id.clone());
        }
        Some(open)
    }

    fn book(&mut self, analyst: &str) -> &mut Book {
        let last_ms = self.last_ms;
        self.books.analysts.entry(analyst.into()).or_insert_with(|| {
            let mut book = Book::new();
            book.turn(last_ms, Charge::zero);
            book
        })
    }
}

fn fits(book: &Book, whose: Whose, price: &Charge, forgiven: u64) -> Result<(), Refusal> {
    let Some(cap) = book.cap else {
        return Err(Refusal::NoCap { whose });
    };
    match cap.room_after(&book.spent().plus(price), forgiven) {
        Some(_) => Ok(()),
        None => Err(Refusal::CapExceeded {
            whose,
            left: cap.left_after(book.spent()).epsilon,
            of: cap.epsilon(),
        }),
    }
}

fn approved(old: Option<Cap>, new: &Cap, approvals: &[String]) -> Result<(), Refusal> {
    match old.is_none_or(|old| old.is_raised_by(new)) {
        true => two_people(approvals),
        false => Ok(()),
    }
}

fn two_people(approvals: &[String]) -> Result<(), Refusal> {
    let names = approvals.iter().map(|name| name.trim()).filter(|name| !name.is_empty());
    match names.collect::<BTreeSet<_>>().len() {
        found @ (0 | 1) => Err(Refusal::Approvals { found }),
        _ => Ok(()),
    }
}
