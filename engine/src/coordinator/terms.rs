//! With whom a dataset can be asked now, and under which terms: the members of the serving epoch that offer it, and the smallest
//! cohort that the threshold, the roster and every one of them allow.

use governance::Request;

use super::epoch::Live;
use super::{Coordinator, Offered};
use crate::codes;
use crate::ids::AgentId;
use crate::workload::{CohortTerms, Refusal};

impl Coordinator {
    /// Who would contribute to an answer now, from which snapshots, and under which terms. An owner that does not show its contract
    /// to the analyst, or has retired it, does not count.
    pub(super) fn terms_of(&self, request: &Request) -> Result<(CohortTerms, Vec<(AgentId, String)>), Refusal> {
        let (dataset, contract) = (&request.dataset, &request.contract);
        let who = "`sotto participant` shows who is missing";
        let live = self.serving_epoch()?;
        let least = (live.members.threshold() as u32).max(self.roster.min_cohort);
        let offered = self.catalogue.owners(&live.names, live.seq, dataset, contract);
        let answering = self.answering(request);
        let all: Vec<Owner<'_>> = offered.filter(|(agent, _)| answering.contains(agent)).collect();
        let found = all.len();
        let modest = all.iter().map(|(_, offered)| offered.min_cohort).min().unwrap_or(0);
        let fit = all
            .iter()
            .filter(|(agent, _)| !self.epochs.is_benched(agent, self.now_ms));
        let (mut owners, mut s_min) = willing(fit.copied().collect(), least);
        if owners.len() < s_min as usize {
            (owners, s_min) = willing(all, least); // a slow owner is better than no answer
        }
        if owners.len() < s_min as usize {
            let wanted = least.max(modest);
            let text = format!(
                "too few participants offer `{dataset}` now: {found}, and those who do ask for at least {wanted}"
            );
            return Err(Refusal::new(codes::TOO_FEW, text).remedy(who));
        }
        let terms = CohortTerms {
            n: live.members.n() as u32,
            c: live.members.c() as u32,
            s_min,
        };
        let owners = owners
            .into_iter()
            .map(|(agent, offered)| (agent.clone(), offered.snapshot.clone()));
        Ok((terms, owners.collect()))
    }

    /// The epoch that rounds start in now.
    pub(super) fn serving_epoch(&self) -> Result<&Live, Refusal> {
        let serving = self.epochs.serving().filter(|live| self.is_usable(live));
        serving.ok_or_else(|| {
            let connected = self.catalogue.agents().count();
            let text = format!(
                "no epoch is ready: {connected} of {} participants are online",
                self.roster.agents.len()
            );
            Refusal::new(codes::TOO_FEW, text).remedy("`sotto participant` shows who is missing")
        })
    }

    /// Agents refuse rounds of an epoch that was made under an older roster.
    fn is_usable(&self, live: &Live) -> bool {
        live.slots_left() > 0 && live.roster_hash == self.roster_hash
    }
}

/// An owner and its offer.
type Owner<'a> = (&'a AgentId, &'a Offered);

/// Owners whose own minimum cohort can be met, and the smallest cohort that satisfies all of them.
fn willing(mut owners: Vec<Owner<'_>>, least: u32) -> (Vec<Owner<'_>>, u32) {
    loop {
        let count = owners.len();
        owners.retain(|(_, offered)| offered.min_cohort as usize <= count);
        if owners.len() == count {
            let s_min = owners
                .iter()
                .map(|(_, offered)| offered.min_cohort)
                .max()
                .unwrap_or(0)
                .max(least);
            return (owners, s_min);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_whose_minimum_cannot_be_met_is_not_asked() {
        let offer = |min_cohort| Offered {
            snapshot: "1".to_owned(),
            min_cohort,
            paused: false,
            budget: None,
            left_for: Default::default(),
            admitted: Default::default(),
        };
        let (names, offers) = (["a", "b", "c", "d"].map(AgentId::from), [0, 3, 5, 3].map(offer));
        let owners: Vec<Owner<'_>> = names.iter().zip(&offers).collect();
        let (asked, s_min) = willing(owners, 2);
        let asked: Vec<&str> = asked.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((asked, s_min), (vec!["a", "b", "d"], 3));
        // Without c three are left, which is too few for one that asks for four.
        let offers = [0, 0, 5, 4].map(offer);
        let (asked, s_min) = willing(names.iter().zip(&offers).collect(), 2);
        assert_eq!((asked.len(), s_min), (2, 2));
    }
}
