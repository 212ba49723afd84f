//! The participant's own ledger at work (`caps` says under which caps): tokens set aside at Accept, committed before data is touched, given back
//! only where it never was.
//!
//! A token is one attempt at one round of one request. A job of T rounds that allows A attempts has T + A - 1 of them, so no schedule of
//! replays, restarts and retries costs more than that. A run's tokens are set aside together and committed one by one; the next one
//! while the network closes this round, so that no round waits for a disk. A crash, a failed attempt or an early end leaves at most one
//! token committed and unused: it stays charged. A reservation is named by request, price and number, so that a restarted agent finds
//! it again, and a plan that changes its price starts another.

use governance::decision::Path;
use governance::log::event::Price;
use governance::{ContentHash, Request};
use privacy::ledger::Refusal as LedgerRefusal;
use privacy::{Entry, Ledger, Renewal, ReservationId};

use super::log::{Terms, price};
use super::payer::Payer;
use super::round::judge::held;
use super::{Dataset, Participant, Turn};
use crate::codes;
use crate::context::Planned;
use crate::record::ParticipantRecord;
use crate::step::ParticipantEvent;
use crate::workload::{Plan, Refusal};

impl Participant {
    /// Sets tokens aside if none is left for this price: all rounds still to come at first, one more for each failed attempt.
    pub(super) fn reserve(
        &mut self,
        hash: ContentHash,
        payer: Payer<'_>,
        dataset: &Dataset,
        planned: &Planned,
        (round, index): (u32, u32),
        turn: &mut Turn<'_>,
    ) -> Result<(), Refusal> {
        self.budgeted(&dataset.population, payer)?;
        let token = Token::new(&dataset.population, payer, planned, index, turn.now_ms);
        if self
            .runs
            .get(&hash)
            .is_some_and(|run| run.ahead.as_ref() == Some(&token))
        {
            return Ok(());
        }
        let plan = &planned.plan;
        let left = self.tokens_left(&hash, payer.request, planned)?;
        let ledger = self.ledger(&dataset.population);
        let next = match reservations(&ledger, &hash, payer, planned) {
            Reservations::Open(_) => return Ok(()),
            Reservations::UsedUp(next) => next,
        };
        self.admit(&dataset.population, payer, turn)?;
        let ledger = self.ledger(&dataset.population);
        let count = tokens_wanted(plan, next, round).min(left);
        let (at_ms, id, line) = (turn.now_ms, reservation(&hash, payer, planned, next), payer.line());
        let entry = set_aside(&ledger, (at_ms, id, &line), planned, count, dataset)?;
        let population = dataset.population.clone();
        self.record(ParticipantRecord::Ledger { population, entry }, turn);
        let price = price(&plan.charge, payer.request.delta, plan.variance == 0);
        let terms = (payer.request.contract, Some(payer));
        self.log_charge(hash, terms, &dataset.population, (i64::from(count), price), turn);
        Ok(())
    }

    /// Whether all rounds of a question that was never asked could be set aside now: what [`Self::reserve`] does first, and nothing is
    /// written. Of a budget that its owner does not show only the payer's own part is told: what everybody together has left
    /// would tell what others asked.
    pub(super) fn affordable(
        &self,
        hash: &ContentHash,
        payer: Payer<'_>,
        dataset: &Dataset,
        planned: &Planned,
        (path, at_ms): (&mut Path, u64),
    ) -> Result<(), Refusal> {
        let population = &dataset.population;
        held(path, "budget", self.paid_elsewhere(population, payer, at_ms))?;
        let mut ledger = self.ledger(population);
        if let Some(Ok(entry)) = self.opening(population, payer, at_ms) {
            let opened = ledger.to_mut().apply(&entry);
            opened.map_err(|broken| Refusal::new(codes::BUDGET, broken.to_string()).remedy("ask the owner"))?;
        }
        let (plan, line) = (&planned.plan, payer.line());
        let count = tokens_wanted(plan, 0, 0).min(self.tokens_left(hash, payer.request, planned)?);
        let fits = match dataset.show_budget || plan.variance == 0 {
            true => {
                let id = reservation(hash, payer, planned, 0);
                set_aside(&ledger, (at_ms, id, &line), planned, count, dataset).map(|_| ())
            }
            false => {
                let own = ledger.own_part_allows(at_ms, &line, &plan.charge, count);
                own.map_err(|refusal| refused(&refusal, false))
            }
        };
        held(path, "budget", fits)?;
        let whose = match &payer.grant {
            Some(grant) => format!("the line of grant {grant}"),
            None => format!("the part of `{}`", payer.request.analyst),
        };
        match dataset.show_budget {
            true => path.passed("budget", || match ledger.left_for(&line, at_ms) {
                Some(left) => format!(
                    "{whose} covers it: epsilon {} of {} is left",
                    left.epsilon, left.of_epsilon
                ),
                None => format!("{whose} covers it"),
            }),
            false => path.untold("budget", || {
                format!("{whose} covers it; what is left over all these people its owner does not show")
            }),
        }
        Ok(())
    }

    /// Commits the token `index`, unless it was committed ahead. The records are durable before the data is touched.
    pub(super) fn commit(
        &mut self,
        hash: ContentHash,
        payer: Payer<'_>,
        population: &str,
        planned: &Planned,
        index: u32,
        turn: &mut Turn<'_>,
    ) -> Result<(), Refusal> {
        let ahead = self.runs.entry(hash).or_default().ahead.take();
        if ahead.as_ref() == Some(&Token::new(population, payer, planned, index, turn.now_ms)) {
            return Ok(());
        }
        // The cohort's terms changed, and the price with them, or a budget's window ended: what was set aside is lost.
        let instead = ahead.is_some_and(|token| token.index == index);
        let records = self.token(hash, payer, population, planned, (index, instead), turn.now_ms)?;
        records.into_iter().for_each(|record| self.record(record, turn));
        Ok(())
    }

    /// Commits the token of the next round after this step's messages have left. If none is left the next round says so.
    pub(super) fn commit_ahead(
        &mut self,
        hash: ContentHash,
        payer: Payer<'_>,
        population: &str,
        planned: &Planned,
        index: u32,
        turn: &mut Turn<'_>,
    ) {
        // A slow round may end after a later one began.
        if index < self.books.tokens(&hash).next {
            return;
        }
        if let Ok(records) = self.token(hash, payer, population, planned, (index, false), turn.now_ms) {
            records
                .into_iter()
                .for_each(|record| self.record_afterwards(record, turn));
            self.runs.entry(hash).or_default().ahead = Some(Token::new(population, payer, planned, index, turn.now_ms));
        }
    }

    /// What makes one token used.
    fn token(
        &self,
        hash: ContentHash,
        payer: Payer<'_>,
        population: &str,
        planned: &Planned,
        (first, instead): (u32, bool),
        now_ms: u64,
    ) -> Result<[ParticipantRecord; 2], Refusal> {
        self.tokens_left(&hash, payer.request, planned)?;
        let ledger = self.ledger(population);
        let Reservations::Open(id) = reservations(&ledger, &hash, payer, planned) else {
            return Err(Refusal::new(codes::BUDGET, "no token is set aside for this round").remedy("ask anew"));
        };
        let entry = ledger
            .commit(now_ms, id, 1)
            .map_err(|refusal| refused(&refusal, false))?;
        let (population, request) = (population.to_owned(), hash);
        let taken = ParticipantRecord::TokensTaken {
            request,
            first,
            count: 1,
            instead,
        };
        Ok([taken, ParticipantRecord::Ledger { population, entry }])
    }

    /// Tokens that the request still has here: one at least.
    fn tokens_left(&self, hash: &ContentHash, request: &Request, planned: &Planned) -> Result<u32, Refusal> {
        let allowed = planned.plan.rounds.saturating_add(request.max_attempts - 1);
        match allowed.saturating_sub(self.books.tokens(hash).used) {
            0 => {
                let text = format!("all {allowed} attempts that the request allows were used here");
                Err(Refusal::new(codes::TOKENS_SPENT, text).remedy("ask anew"))
            }
            left => Ok(left),
        }
    }

    /// Gives back what was set aside for a request and never committed: its data was never touched.
    pub(super) fn void_rest(&mut self, hash: &ContentHash, terms: Option<&Terms>, turn: &mut Turn<'_>) {
        let prefix = format!("{hash}/");
        let mut voids = Vec::new();
        for (population, ledger) in self.books.ledgers() {
            let open = ledger
                .summary(turn.now_ms)
                .open
                .into_iter()
                .filter(|(name, _)| name.starts_with(&prefix));
            voids.extend(open.map(|(name, left)| (population.clone(), ReservationId::new(name), left)));
        }
        for (population, id, left) in voids {
            let charge = self.ledger(&population).price_of(&id).cloned();
            let entry = self.ledger(&population).void(turn.now_ms, id, left);
            self.write(&population, entry, turn);
            if let Some((terms, charge)) = terms.zip(charge) {
                let price = match &terms.price {
                    Price::Private { delta, .. } => price(&charge, delta.get(), false),
                    Price::WithoutNoise => Price::WithoutNoise,
                };
                self.log_charge(
                    *hash,
                    (terms.contract, None),
                    &population,
                    (-i64::from(left), price),
                    turn,
                );
            }
        }
    }

    pub(super) fn write(&mut self, population: &str, entry: Result<Entry, LedgerRefusal>, turn: &mut Turn<'_>) {
        let population = population.to_owned();
        match entry {
            Ok(entry) => self.record(ParticipantRecord::Ledger { population, entry }, turn),
            Err(refusal) => {
                let reason = refusal.to_string();
                turn.event(ParticipantEvent::BudgetUnchanged { population, reason });
            }
        }
    }
}

/// How many tokens are set aside together: all rounds still to come at first, one more for each failed attempt.
fn tokens_wanted(plan: &Plan, reservations: u32, round: u32) -> u32 {
    match reservations {
        0 => plan.rounds.saturating_sub(round).max(1),
        _ => 1,
    }
}

/// The entry that sets tokens aside, if the ledger allows it.
fn set_aside(
    ledger: &Ledger,
    (at_ms, id, line): (u64, ReservationId, &str),
    planned: &Planned,
    count: u32,
    dataset: &Dataset,
) -> Result<Entry, Refusal> {
    let entry = match planned.plan.variance {
        0 => ledger.reserve_without_noise(at_ms, id, line, count, &dataset.without_noise),
        _ => ledger.reserve(at_ms, id, line, &planned.plan.charge, count),
    };
    entry.map_err(|refusal| refused(&refusal, dataset.show_budget))
}

/// One token by what it was paid for: of another price, or of other people, it is another.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub index: u32,
    population: String,
    /// Of the ledger: what one grant paid for, no other uses.
    line: String,
    price: String,
    /// A token is charged to the window in which data is touched: of another month, it is another. Quarters and years are months.
    month: u64,
}

impl Token {
    pub fn new(population: &str, payer: Payer<'_>, planned: &Planned, index: u32, now_ms: u64) -> Self {
        Self {
            index,
            population: population.to_owned(),
            line: payer.line(),
            price: planned.price.clone(),
            month: Renewal::Month.window(now_ms),
        }
    }
}

/// What a ledger holds for one request at one price.
enum Reservations {
    /// With tokens left.
    Open(ReservationId),
    /// So many were made, and none has tokens left.
    UsedUp(u32),
}

fn reservations(ledger: &Ledger, hash: &ContentHash, payer: Payer<'_>, planned: &Planned) -> Reservations {
    let mut number = 0;
    loop {
        let id = reservation(hash, payer, planned, number);
        match ledger.tokens_left(&id) {
            Some(0) => number += 1,
            Some(_) => return Reservations::Open(id),
            None => return Reservations::UsedUp(number),
        }
    }
}

/// Named by request, price and who pays: tokens that one grant paid for are never another's.
fn reservation(hash: &ContentHash, payer: Payer<'_>, planned: &Planned, number: u32) -> ReservationId {
    let price = &planned.price;
    ReservationId::new(match &payer.grant {
        Some(grant) => format!("{hash}/{price}/grant/{grant}/{number}"),
        None => format!("{hash}/{price}/{number}"),
    })
}

/// What the ledger said, as far as the owner shows its budget.
fn refused(refusal: &LedgerRefusal, show_budget: bool) -> Refusal {
    let remedy = match refusal {
        LedgerRefusal::CapExceeded { .. } => "ask for a smaller epsilon, or wait until the budget renews",
        LedgerRefusal::NoCap { .. } => "the owner sets a budget in the agent's configuration",
        _ => "ask the owner",
    };
    let text = if show_budget {
        refusal.to_string()
    } else {
        "the budget does not cover this question".to_owned()
    };
    Refusal::new(codes::BUDGET, text).remedy(remedy)
}
