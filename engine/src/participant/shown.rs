//! What this agent says of its contracts beside their terms: who may read one that does not show itself to everybody, and where the
//! owner's acts have it. The first is for the coordinator to keep to; the second is decided here again with every question.

use std::collections::BTreeSet;

use governance::Contract;
use governance::contract::Visibility;
use governance::register::ContractStanding;

use super::{Dataset, Participant};

impl Participant {
    /// The analysts whom the owner's own rules admit; of a contract that shows itself to everybody, nobody is named. Whom a grant
    /// admits, the coordinator knows itself.
    pub(super) fn admitted_to(&self, contract: &Contract) -> BTreeSet<String> {
        if contract.visibility == Visibility::Schema {
            return BTreeSet::new();
        }
        let ids = self.roster.analysts.iter().map(|analyst| analyst.id.as_str());
        let admitted = ids.filter(|id| self.config.rules.admits(&contract.name, id));
        admitted.map(str::to_owned).collect()
    }

    /// Where a version stands by the acts that this agent heard.
    pub fn standing(&self, dataset: &Dataset, now_ms: u64) -> ContractStanding {
        let (register, contract) = (self.books.heard().register(), &dataset.contract);
        register.standing(self.organisation(), &contract.name, &contract.hash(), now_ms)
    }
}
