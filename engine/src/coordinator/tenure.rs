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

#[cfg(test)]
mod tests {
    use governance::{Analyst, ContentHash, CoordinatorEntry, SigningKey};

    use super::*;

    fn key(seed: u8) -> VerifyingKey {
        SigningKey::from_seed(&[seed; 32]).unwrap().public()
    }

    /// A roster with these analysts, by name, organisation and key.
    fn roster(analysts: &[(&str, &str, u8)]) -> Roster {
        let analyst = |(id, organisation, seed): &(&str, &str, u8)| Analyst {
            id: (*id).to_owned(),
            organisation: (*organisation).to_owned(),
            key: key(*seed),
            tls_key: ContentHash([*seed; 32]),
        };
        Roster {
            consortium: "heart".into(),
            version: 1,
            c: 1,
            min_cohort: 3,
            agents: Vec::new(),
            analysts: analysts.iter().map(analyst).collect(),
            stewards: Vec::new(),
            coordinator: CoordinatorEntry {
                id: "hub".into(),
                organisation: None,
                tls_key: ContentHash([60; 32]),
                signing_key: key(60),
            },
            retiring: Vec::new(),
        }
    }

    /// Names that go to somebody else with the last of these rosters.
    fn after(rosters: &[Roster]) -> Vec<String> {
        let mut tenures = Tenures::default();
        let (last, before) = rosters.split_last().unwrap();
        before.iter().for_each(|roster| drop(tenures.next(roster)));
        tenures.next(last)
    }

    #[test]
    fn a_name_that_comes_back_with_another_key_is_somebody_else() {
        let (ada, none) = (roster(&[("ada", "university", 1)]), roster(&[]));
        let other = roster(&[("ada", "university", 2)]);
        assert_eq!(after(&[ada.clone(), none.clone(), other]), ["ada"]);
        assert_eq!(after(&[ada.clone(), none, ada]), [""; 0], "its own key is itself");
    }

    #[test]
    fn a_member_that_is_given_new_keys_stays_itself_within_its_organisation() {
        let ada = roster(&[("ada", "university", 1)]);
        let rotated = roster(&[("ada", "university", 2)]);
        assert_eq!(after(&[ada.clone(), rotated]), [""; 0]);
        let moved = roster(&[("ada", "institute", 2)]);
        assert_eq!(after(&[ada, moved]), ["ada"]);
    }

    #[test]
    fn a_first_member_of_a_name_takes_it_from_nobody() {
        assert_eq!(after(&[roster(&[]), roster(&[("ada", "university", 1)])]), [""; 0]);
    }
}
