//! Who pays for a request at this owner: the analyst's own part of a population's budget, or a grant's. A grant has a line of its
//! own in the ledger, named by its id, with its cap; what the population may spend holds besides. The cap is the grant's, and a ledger is one
//! population's: so a grant pays in one ledger only, and where it paid once.

use governance::{ContentHash, Request};
use privacy::{Cap, Charge, Entry, Ledger, PopulationId, Renewal};

use super::{Participant, Turn};
use crate::approval::EVERYBODY;
use crate::codes;
use crate::step::ParticipantEvent;
use crate::workload::Refusal;

/// One request, and the grant that admits it if it is not the owner's own list.
#[derive(Clone, Copy)]
pub(super) struct Payer<'a> {
    pub request: &'a Request,
    pub grant: Option<ContentHash>,
}

impl Payer<'_> {
    /// The line of the ledger.
    pub fn line(&self) -> String {
        match &self.grant {
            Some(grant) => super::acts::line(grant),
            None => self.request.analyst.clone(),
        }
    }
}

impl Participant {
    /// Whether the configuration grants this payer anything, whatever cap a ledger remembers from before: no entry, no budget.
    pub(super) fn budgeted(&self, population: &str, payer: Payer<'_>) -> Result<(), Refusal> {
        let analyst = &payer.request.analyst;
        let budget = self.config.budgets.get(population);
        if budget.is_some_and(|budget| {
            payer.grant.is_some() || budget.analysts.contains_key(analyst) || budget.analysts.contains_key(EVERYBODY)
        }) {
            return Ok(());
        }
        let text = format!("no budget for analyst `{analyst}` over these people: an absent budget is zero");
        Err(Refusal::new(codes::BUDGET, text).remedy("the owner sets a budget in the agent's configuration"))
    }

    /// Opens the payer's line where it has none: at the grant's cap, or at the default one for an analyst who is not named.
    pub(super) fn admit(&mut self, population: &str, payer: Payer<'_>, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        self.paid_elsewhere(population, payer, turn.now_ms)?;
        match self.opening(population, payer, turn.now_ms) {
            None => {}
            Some(Ok(entry)) => self.write(population, Ok(entry), turn),
            Some(Err(reason)) => {
                let population = population.to_owned();
                turn.event(ParticipantEvent::BudgetUnchanged { population, reason });
            }
        }
        Ok(())
    }

    /// The entry that opens it, if one is needed; or why there is none.
    pub(super) fn opening(&self, population: &str, payer: Payer<'_>, at_ms: u64) -> Option<Result<Entry, String>> {
        let (cap, approvals) = match &payer.grant {
            None => {
                let budget = self.config.budgets.get(population)?;
                let listed = |analyst: &str| budget.analysts.contains_key(analyst);
                if listed(&payer.request.analyst) || !listed(EVERYBODY) {
                    return None;
                }
                let ledger = self.ledger(population);
                let cap = ledger.analyst_cap(EVERYBODY)?;
                // Nobody's line grows because its name was taken out of the file.
                let own = ledger.analyst_cap(&payer.request.analyst);
                if own.is_some_and(|own| own.is_raised_by(&cap)) {
                    return None;
                }
                (cap, ledger.cap_approvals(Some(EVERYBODY)).to_vec())
            }
            Some(grant) => {
                let grant = self.books.heard().register().any_grant(grant)?;
                let line = grant.lines.get(self.organisation())?;
                let (terms, approvals) = (line.terms(), line.approvals().map_or_else(Vec::new, |two| two.to_vec()));
                match Cap::new(terms.epsilon.get(), terms.delta.get(), Renewal::Never) {
                    Ok(cap) => (cap, approvals),
                    Err(error) => return Some(Err(error.to_string())),
                }
            }
        };
        let line = payer.line();
        let ledger = self.ledger(population);
        let changed = ledger.analyst_cap(&line) != Some(cap);
        changed.then(|| {
            let entry = ledger.set_analyst_cap(at_ms, &line, cap, &approvals);
            entry.map_err(|refusal| refusal.to_string())
        })
    }

    /// The dataset was moved to another population, or the population renamed, since the grant paid: its cap would open again in full.
    pub(super) fn paid_elsewhere(&self, population: &str, payer: Payer<'_>, now_ms: u64) -> Result<(), Refusal> {
        let line = payer.line();
        let mut others = self.books.ledgers().filter(|(id, _)| *id != population);
        // What a replay charged stands on a line without a cap.
        let paid = |ledger: &Ledger| ledger.spent_by(&line, now_ms) != Charge::zero();
        if payer.grant.is_none() || !others.any(|(_, ledger)| paid(ledger)) {
            return Ok(());
        }
        let text = "the grant has paid here for people of another name, and its cap holds for both together";
        Err(Refusal::new(codes::BUDGET, text).remedy("ask for a new grant: `sotto grant request`"))
    }

    pub(super) fn ledger(&self, population: &str) -> std::borrow::Cow<'_, Ledger> {
        match self.books.ledger(population) {
            Some(ledger) => std::borrow::Cow::Borrowed(ledger),
            None => std::borrow::Cow::Owned(Ledger::new(PopulationId::new(population))),
        }
    }
}
