//! Who holds a name. Answers and models belong to an analyst by name, and a name that governance took away and gave to somebody else is another
//! analyst: nothing of the earlier one's is shown to it. The desk does not give names again; a governance that does so all the same inherits
//! nothing by it here. A member that was given new keys without having left is the same one, and so is one that comes back with its own key.

use std::collections::BTreeMap;

use governance::{Roster, VerifyingKey};

/// Analysts of all rosters so far, in the order in which these came.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tenures(BTreeMap<String, Tenure>);

#[derive(Clone, Debug, PartialEq)]
struct Tenure {
    key: VerifyingKey,
    organisation: String,
    /// Whether the newest roster names it.
    is_member: bool,
}

impl Tenures {
    /// The next roster; answers whose names went to somebody else with it.
    pub(super) fn next(&mut self, roster: &Roster) -> Vec<String> {
        for (name, tenure) in &mut self.0 {
            tenure.is_member &= roster.analyst(name).is_some();
        }
        let mut passed_on = Vec::new();
        for analyst in &roster.analysts {
            let now = Tenure {
                key: analyst.key,
                organisation: analyst.organisation.clone(),
                is_member: true,
            };
            let Some(before) = self.0.insert(analyst.id.clone(), now) else {
                continue;
            };
            let stayed = before.is_member && before.organisation == analyst.organisation;
            if before.key != analyst.key && !stayed {
                passed_on.push(analyst.id.clone());
            }
        }
        passed_on
    }
}
