//! The ledgers' caps brought in line with the configuration, once after each start: what the file lowers holds, what it raises holds if two
//! people signed it (`crate::approval` says what that is worth), and otherwise the old cap stays and says so.
//!
//! The first caps of a store stand on the names in the file (`approved_by`): there is nothing yet that a signature could protect. Every later
//! cap that allows more does not, nor does a line for somebody who had none. `*` is a line of the ledger like any other; lines that were
//! opened at its cap, or set to it, and were never anything else follow it unless they have a name in the file; a line that two people made
//! smaller does not grow because its name was taken out of the file.

use std::collections::BTreeMap;

use privacy::ledger::{AnalystSummary, EntryHash};
use privacy::{Cap, Ledger, PopulationId};

use super::{Books, Budget, Participant, Turn};
use crate::approval::{Approval, Approved, Approvers, Change, EVERYBODY, Unapproved, approved};
use crate::codes;
use crate::record::ParticipantRecord;
use crate::step::ParticipantEvent;
use crate::workload::Refusal;

/// What a cap of the configuration takes to become the ledger's.
#[derive(Debug, PartialEq)]
enum Takes {
    /// It is the ledger's.
    Nothing,
    /// It allows nothing more: those who stand for it already.
    Nobody(Vec<String>),
    /// The first caps of a store: the names in the file.
    Names,
    Signatures(Change),
}

fn takes(ledger: &Ledger, line: Option<&str>, to: Cap, founding: bool) -> Takes {
    let own = match line {
        None => ledger.cap(),
        Some(analyst) => ledger.analyst_cap(analyst),
    };
    let everybody = line.and_then(|_| ledger.analyst_cap(EVERYBODY));
    match (own, everybody) {
        (Some(own), _) if own == to => Takes::Nothing,
        (Some(own), _) if !own.is_raised_by(&to) => Takes::Nobody(Vec::new()),
        // Whoever has no line has everybody's.
        (None, Some(everybody)) if !everybody.is_raised_by(&to) => {
            Takes::Nobody(ledger.cap_approvals(Some(EVERYBODY)).to_vec())
        }
        (None, _) if founding => Takes::Names,
        _ => Takes::Signatures(Change::of_cap(ledger, line, to)),
    }
}

/// Everybody's first, since the others are held against it.
fn lines(budget: &Budget) -> impl Iterator<Item = (Option<&str>, Cap)> {
    let everybody = budget.analysts.get_key_value(EVERYBODY);
    let others = budget.analysts.iter().filter(|(analyst, _)| *analyst != EVERYBODY);
    let analysts = everybody.into_iter().chain(others);
    let analysts = analysts.map(|(analyst, cap)| (Some(analyst.as_str()), *cap));
    std::iter::once((None, budget.cap)).chain(analysts)
}

fn ledger_of(books: &Books, population: &str) -> Ledger {
    let new = || Ledger::new(PopulationId::new(population));
    books.ledger(population).cloned().unwrap_or_else(new)
}

/// What two people would have to sign for a configuration to hold whole; nothing where it does already.
pub fn to_be_signed(books: &Books, budgets: &BTreeMap<String, Budget>, people: &Approvers) -> Vec<Change> {
    let founding = books.is_founding();
    let mut changes = Vec::new();
    for (population, budget) in budgets {
        let ledger = ledger_of(books, population);
        let taken = lines(budget).map(|(line, cap)| takes(&ledger, line, cap, founding));
        changes.extend(taken.filter_map(|takes| match takes {
            Takes::Signatures(change) => Some(change),
            _ => None,
        }));
    }
    changes.extend(list_changed(books, people));
    changes
}

/// The change from the list that is pinned to that of the file, if one is pinned.
fn list_changed(books: &Books, people: &Approvers) -> Option<Change> {
    let (version, pinned) = books.approvers()?;
    let changed = !pinned.is_empty() && pinned != people;
    changed.then(|| Change::Approvers {
        version: version + 1,
        from: pinned.clone(),
        to: people.clone(),
    })
}

impl Participant {
    /// Once after a start, before anything else.
    pub(super) fn align_budgets(&mut self, turn: &mut Turn<'_>) {
        if std::mem::replace(&mut self.budgets_aligned, true) {
            return;
        }
        let founding = self.books.is_founding();
        self.pin_approvers(turn);
        // Caps before the list: what the list before signed counts, whoever is on the next.
        let mut kept = Vec::new();
        for (population, budget) in self.config.budgets.clone() {
            for (line, cap) in lines(&budget) {
                self.align(&population, line, cap, (founding, &budget), &mut kept, turn);
            }
        }
        self.align_approvers(&mut kept, turn);
    }

    /// Caps and lists of the configuration that do not hold, because two people did not sign them.
    pub fn unapproved(&self) -> &[Refusal] {
        &self.unapproved
    }

    /// A list is believed once: the first that a store without one is shown.
    fn pin_approvers(&mut self, turn: &mut Turn<'_>) {
        let people = self.config.approvers.clone();
        let version = match self.books.approvers() {
            None => 0,
            Some((version, pinned)) if pinned.is_empty() && !people.is_empty() => version + 1,
            Some(_) => return,
        };
        if !people.is_empty() {
            let names: Vec<&str> = people.keys().map(String::as_str).collect();
            let what = format!("the first list of approvers: {}", names.join(", "));
            let by = Vec::new();
            turn.event(ParticipantEvent::Approved { what, by });
        }
        self.record(ParticipantRecord::ApproversSet { version, people }, turn);
    }

    fn align(
        &mut self,
        population: &str,
        line: Option<&str>,
        cap: Cap,
        (founding, budget): (bool, &Budget),
        kept: &mut Vec<Approval>,
        turn: &mut Turn<'_>,
    ) {
        let approvals = match takes(&self.ledger(population), line, cap, founding) {
            Takes::Nothing => return,
            Takes::Nobody(approvals) => approvals,
            Takes::Names => budget.approvals.clone(),
            Takes::Signatures(change) => match self.signed(&change) {
                Ok(approved) => self.keep(&change, approved, kept, turn),
                Err(unapproved) => return self.budget_stays(population, &change, &unapproved, turn),
            },
        };
        let ledger = self.ledger(population);
        let before = ledger.cap_set_by(line);
        let entry = match line {
            None => ledger.set_cap(turn.now_ms, cap, &approvals),
            Some(analyst) => ledger.set_analyst_cap(turn.now_ms, analyst, cap, &approvals),
        };
        let set = entry.is_ok();
        self.write(population, entry, turn);
        if line == Some(EVERYBODY) && set {
            self.follow(population, before, budget, turn);
        }
    }

    /// Lines that never differed from everybody's cap, and have no name in the file, go where it went; and none without a name keeps more than
    /// everybody has.
    fn follow(&mut self, population: &str, before: EntryHash, budget: &Budget, turn: &mut Turn<'_>) {
        let ledger = self.ledger(population);
        let Some(cap) = ledger.analyst_cap(EVERYBODY) else {
            return;
        };
        let approvals = ledger.cap_approvals(Some(EVERYBODY)).to_vec();
        // No analyst's name has a slash; a grant's line has its own cap.
        let own = |line: &str| line == EVERYBODY || line.contains('/') || budget.analysts.contains_key(line);
        let lines = ledger.summary(turn.now_ms).analysts.into_iter();
        let goes = |line: &AnalystSummary| {
            let more = line.cap.is_some_and(|had| had != cap && !had.is_raised_by(&cap));
            !own(&line.analyst) && (more || ledger.follows(&line.analyst) == Some(before))
        };
        let followers: Vec<String> = lines.filter(goes).map(|line| line.analyst).collect();
        for analyst in followers {
            let entry = self
                .ledger(population)
                .set_analyst_cap(turn.now_ms, &analyst, cap, &approvals);
            self.write(population, entry, turn);
        }
    }

    fn align_approvers(&mut self, kept: &mut Vec<Approval>, turn: &mut Turn<'_>) {
        let Some(change) = list_changed(&self.books, &self.config.approvers) else {
            return;
        };
        let approved = match self.signed(&change) {
            Ok(approved) => approved,
            Err(unapproved) => {
                let text = format!("the list of approvers stays as it was: {unapproved}");
                let refusal = Refusal::new(codes::LIST_UNAPPROVED, text);
                let reason = refusal.to_string();
                turn.event(ParticipantEvent::ApproversUnchanged { reason });
                return self.unapproved.push(refusal);
            }
        };
        self.keep(&change, approved, kept, turn);
        if let Change::Approvers {
            version, to: people, ..
        } = change
        {
            self.record(ParticipantRecord::ApproversSet { version, people }, turn);
        }
    }

    /// Whether two of the pinned list signed it.
    pub(super) fn signed(&self, change: &Change) -> Result<Approved, Unapproved> {
        self.signed_in(change, &self.config.approvals)
    }

    pub(super) fn signed_in(&self, change: &Change, approvals: &[Approval]) -> Result<Approved, Unapproved> {
        let nobody = Approvers::new();
        let people = self.books.approvers().map_or(&nobody, |(_, people)| people);
        approved(change, &self.config.actor_key.public(), people, approvals)
    }

    /// What was signed is durable before what rests on it; one file that allows many things is kept once.
    fn keep(
        &mut self,
        change: &Change,
        Approved { by, signed }: Approved,
        kept: &mut Vec<Approval>,
        turn: &mut Turn<'_>,
    ) -> Vec<String> {
        for approval in signed
            .into_iter()
            .filter(|approval| !kept.contains(approval))
            .collect::<Vec<_>>()
        {
            kept.push(approval.clone());
            self.record(ParticipantRecord::Approved { approval }, turn);
        }
        let what = change.to_string();
        turn.event(ParticipantEvent::Approved { what, by: by.clone() });
        by
    }

    fn budget_stays(&mut self, population: &str, change: &Change, unapproved: &Unapproved, turn: &mut Turn<'_>) {
        let refusal = Refusal::new(
            codes::CAP_UNAPPROVED,
            format!("{change}: the old cap stays: {unapproved}"),
        );
        let (population, reason) = (population.to_owned(), refusal.to_string());
        turn.event(ParticipantEvent::BudgetUnchanged { population, reason });
        self.unapproved.push(refusal);
    }
}

#[cfg(test)]
mod tests {
    use privacy::Renewal;

    use super::*;

    fn cap(epsilon: f64) -> Cap {
        Cap::new(epsilon, 1e-6, Renewal::Never).unwrap()
    }

    #[test]
    fn a_line_that_was_ever_made_to_differ_follows_nobody_when_figures_meet() {
        let everybody = Some(EVERYBODY);
        let opened = ledger(&[(everybody, 4.0), (Some("ann"), 4.0)]);
        assert_eq!(opened.follows("ann"), Some(opened.cap_set_by(everybody)));
        for differed in [
            // Made smaller, and everybody's came down to it.
            &[(everybody, 4.0), (Some("ann"), 2.0), (everybody, 2.0)][..],
            // Both came down together.
            &[
                (everybody, 4.0),
                (Some("ann"), 2.0),
                (everybody, 1.0),
                (Some("ann"), 1.0),
            ],
            // From before everybody had a line.
            &[
                (Some("ann"), 4.0),
                (everybody, 4.0),
                (everybody, 1.0),
                (Some("ann"), 1.0),
            ],
        ] {
            let ledger = ledger(differed);
            assert_eq!(ledger.analyst_cap("ann"), ledger.analyst_cap(EVERYBODY));
            assert_eq!(
                [ledger.follows("ann"), ledger.follows(EVERYBODY), ledger.follows("bo")],
                [None; 3]
            );
        }
        // Left behind while it had a name of its own: it is another entry's follower.
        let left = ledger(&[(everybody, 4.0), (Some("ann"), 4.0), (everybody, 8.0), (everybody, 4.0)]);
        assert!(
            left.follows("ann")
                .is_some_and(|entry| entry != left.cap_set_by(everybody))
        );
    }

    fn ledger(caps: &[(Option<&str>, f64)]) -> Ledger {
        let two = ["ada".to_owned(), "bo".to_owned()];
        let mut ledger = Ledger::new(PopulationId::new("people"));
        for (line, epsilon) in caps {
            let entry = match line {
                None => ledger.set_cap(0, cap(*epsilon), &two),
                Some(analyst) => ledger.set_analyst_cap(0, analyst, cap(*epsilon), &two),
            };
            ledger.apply(&entry.unwrap()).unwrap();
        }
        ledger
    }

    #[test]
    fn lowering_takes_nobody_and_whatever_allows_more_takes_signatures_once_there_is_a_ledger() {
        let ledger = ledger(&[(None, 10.0), (Some(EVERYBODY), 2.0), (Some("ann"), 4.0)]);
        let signatures = |line, epsilon| matches!(takes(&ledger, line, cap(epsilon), false), Takes::Signatures(_));
        assert_eq!(takes(&ledger, None, cap(10.0), false), Takes::Nothing);
        assert_eq!(takes(&ledger, None, cap(9.0), false), Takes::Nobody(Vec::new()));
        assert!(signatures(None, 11.0));
        assert!(signatures(Some("ann"), 5.0) && signatures(Some(EVERYBODY), 3.0));
        assert_eq!(takes(&ledger, Some("ann"), cap(1.0), false), Takes::Nobody(Vec::new()));
        // Bo has everybody's part: a smaller one of his own stands on the word of those who allowed that.
        let theirs = Takes::Nobody(vec!["ada".to_owned(), "bo".to_owned()]);
        assert_eq!(takes(&ledger, Some("bo"), cap(1.0), false), theirs);
        assert!(signatures(Some("bo"), 3.0));
        // A founding is about first caps; a raise is none.
        assert!(matches!(takes(&ledger, None, cap(11.0), true), Takes::Signatures(_)));
    }

    #[test]
    fn a_first_cap_takes_names_while_a_store_is_founded_and_signatures_afterwards() {
        let empty = ledger(&[]);
        assert_eq!(takes(&empty, None, cap(1.0), true), Takes::Names);
        assert!(matches!(takes(&empty, None, cap(1.0), false), Takes::Signatures(_)));
    }
}
