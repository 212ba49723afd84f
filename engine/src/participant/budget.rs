//! The participant's own ledger at work: caps as configured, tokens set aside at Accept, committed before data is touched, given back
//! only where it never was.
//!
//! A token is one attempt at one round of one request. A job of T rounds that allows A attempts has T + A - 1 of them, so no schedule of
//! replays, restarts and retries costs more than that. A run's tokens are set aside together and committed one by one, or in blocks
//! of at most a tenth of the run; a crash loses the rest of its block. A reservation is named by request, price and number, so
//! that a restarted agent finds it again, and a plan that changes its price starts another.

use std::borrow::Cow;

use governance::{ContentHash, Request};
use privacy::ledger::Refusal as LedgerRefusal;
use privacy::{Entry, Ledger, PopulationId, ReservationId};

use super::{Dataset, Participant, Turn};
use crate::codes;
use crate::context::Planned;
use crate::record::ParticipantRecord;
use crate::step::ParticipantEvent;
use crate::workload::Refusal;

impl Participant {
    /// Brings the ledgers' caps in line with the configuration. Lowering always works; raising needs the names of two people.
    pub(super) fn align_budgets(&mut self, turn: &mut Turn<'_>) {
        if std::mem::replace(&mut self.budgets_aligned, true) {
            return;
        }
        for (population, budget) in self.config.budgets.clone() {
            let ledger = self.ledger(&population);
            if ledger.cap() != Some(budget.cap) {
                let entry = ledger.set_cap(turn.now_ms, budget.cap, &budget.approvals);
                self.write(&population, entry, turn);
            }
            for (analyst, cap) in budget.analysts.iter().filter(|(analyst, _)| *analyst != "*") {
                let ledger = self.ledger(&population);
                if ledger.analyst_cap(analyst) != Some(*cap) {
                    let entry = ledger.set_analyst_cap(turn.now_ms, analyst, *cap, &budget.approvals);
                    self.write(&population, entry, turn);
                }
            }
        }
    }

    /// Whether the configuration grants this analyst anything, whatever cap a ledger remembers from before: no entry, no budget.
    pub(super) fn budgeted(&self, population: &str, analyst: &str) -> Result<(), Refusal> {
        let budget = self.config.budgets.get(population);
        if budget.is_some_and(|budget| budget.analysts.contains_key(analyst) || budget.analysts.contains_key("*")) {
            return Ok(());
        }
        let text = format!("no budget for analyst `{analyst}` over these people: an absent budget is zero");
        Err(Refusal::new(codes::BUDGET, text).remedy("the owner sets a budget in the agent's configuration"))
    }

    /// Sets tokens aside if none is left for this price: all rounds still to come at first, one more for each failed attempt.
    pub(super) fn reserve(
        &mut self,
        hash: ContentHash,
        request: &Request,
        dataset: &Dataset,
        planned: &Planned,
        round: u32,
        turn: &mut Turn<'_>,
    ) -> Result<(), Refusal> {
        self.budgeted(&dataset.population, &request.analyst)?;
        let plan = &planned.plan;
        let allowed = plan.rounds.saturating_add(request.max_attempts - 1);
        let left = allowed.saturating_sub(self.books.tokens(&hash).used);
        if left == 0 {
            let text = format!("all {allowed} attempts that the request allows were used here");
            return Err(Refusal::new(codes::TOKENS_SPENT, text));
        }
        let ledger = self.ledger(&dataset.population);
        let next = match reservations(&ledger, &hash, planned) {
            Reservations::Open(..) => return Ok(()),
            Reservations::UsedUp(next) => next,
        };
        self.admit_analyst(&dataset.population, &request.analyst, turn);
        let ledger = self.ledger(&dataset.population);
        let wanted = if next == 0 {
            plan.rounds.saturating_sub(round).max(1)
        } else {
            1
        };
        let count = wanted.min(left);
        let (at_ms, id, analyst) = (turn.now_ms, reservation(&hash, planned, next), &request.analyst);
        let entry = match plan.variance {
            0 => ledger.reserve_without_noise(at_ms, id, analyst, count, &dataset.without_noise),
            _ => ledger.reserve(at_ms, id, analyst, &plan.charge, count),
        };
        let entry = entry.map_err(|refusal| refused(&refusal, dataset.show_budget))?;
        let population = dataset.population.clone();
        self.record(ParticipantRecord::Ledger { population, entry }, turn);
        Ok(())
    }

    /// Commits the token `index`, or finds it in the committed block. The records are durable before the data is touched.
    pub(super) fn commit(
        &mut self,
        hash: ContentHash,
        population: &str,
        planned: &Planned,
        index: u32,
        turn: &mut Turn<'_>,
    ) -> Result<(), Refusal> {
        let run = self.runs.entry(hash).or_default();
        if let Some((first, end)) = run.block.take()
            && (first..end).contains(&index)
        {
            run.block = (index + 1 < end).then_some((index + 1, end));
            return Ok(());
        }
        let ledger = self.ledger(population);
        let Reservations::Open(id, left) = reservations(&ledger, &hash, planned) else {
            return Err(Refusal::new(codes::BUDGET, "no token is set aside for this round"));
        };
        let most = (planned.plan.rounds / 10).max(1);
        let count = self.config.limits.block.clamp(1, most).min(left);
        let entry = ledger
            .commit(turn.now_ms, id, count)
            .map_err(|refusal| refused(&refusal, false))?;
        if let Some(run) = self.runs.get_mut(&hash) {
            run.block = (count > 1).then_some((index + 1, index + count));
        }
        let population = population.to_owned();
        self.record(
            ParticipantRecord::TokensTaken {
                request: hash,
                first: index,
                count,
            },
            turn,
        );
        self.record(ParticipantRecord::Ledger { population, entry }, turn);
        Ok(())
    }

    /// Gives back what was set aside for a request and never committed: its data was never touched.
    pub(super) fn void_rest(&mut self, hash: &ContentHash, turn: &mut Turn<'_>) {
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
            let entry = self.ledger(&population).void(turn.now_ms, id, left);
            self.write(&population, entry, turn);
        }
    }

    /// The default cap, for an analyst who is not named and asks for the first time.
    fn admit_analyst(&mut self, population: &str, analyst: &str, turn: &mut Turn<'_>) {
        let Some(budget) = self.config.budgets.get(population).cloned() else {
            return;
        };
        let Some(cap) = budget
            .analysts
            .get("*")
            .filter(|_| !budget.analysts.contains_key(analyst))
        else {
            return;
        };
        let ledger = self.ledger(population);
        if ledger.analyst_cap(analyst) != Some(*cap) {
            let entry = ledger.set_analyst_cap(turn.now_ms, analyst, *cap, &budget.approvals);
            self.write(population, entry, turn);
        }
    }

    fn write(&mut self, population: &str, entry: Result<Entry, LedgerRefusal>, turn: &mut Turn<'_>) {
        let population = population.to_owned();
        match entry {
            Ok(entry) => self.record(ParticipantRecord::Ledger { population, entry }, turn),
            Err(refusal) => {
                let reason = refusal.to_string();
                turn.event(ParticipantEvent::BudgetUnchanged { population, reason });
            }
        }
    }

    fn ledger(&self, population: &str) -> Cow<'_, Ledger> {
        match self.books.ledger(population) {
            Some(ledger) => Cow::Borrowed(ledger),
            None => Cow::Owned(Ledger::new(PopulationId::new(population))),
        }
    }
}

/// What a ledger holds for one request at one price.
enum Reservations {
    /// With tokens left.
    Open(ReservationId, u32),
    /// So many were made, and none has tokens left.
    UsedUp(u32),
}

fn reservations(ledger: &Ledger, hash: &ContentHash, planned: &Planned) -> Reservations {
    let mut number = 0;
    loop {
        let id = reservation(hash, planned, number);
        match ledger.tokens_left(&id) {
            Some(0) => number += 1,
            Some(left) => return Reservations::Open(id, left),
            None => return Reservations::UsedUp(number),
        }
    }
}

fn reservation(hash: &ContentHash, planned: &Planned, number: u32) -> ReservationId {
    ReservationId::new(format!("{hash}/{}/{number}", planned.price))
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
