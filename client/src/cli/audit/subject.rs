//! `sotto audit subject`: all that one organisation, agent or person said, and all that was said of what it asked for. Somebody who left
//! since is found by the rosters of then. Costs one pass over the log.

use std::collections::BTreeSet;

use governance::act::Subject;
use governance::grant::line_hash;
use governance::log::Kind;
use governance::log::event::Event;
use governance::{ContentHash, Roster};

use crate::{Exit, Problem, names};

/// Everything by or about `name`, with the entries' places.
pub fn concerning<'l>(
    events: impl Iterator<Item = &'l Event> + Clone,
    rosters: &[&Roster],
    name: &str,
) -> Result<Vec<(u64, &'l Event)>, Problem> {
    let everybody = || rosters.iter().flat_map(|roster| roster.everybody());
    let meant = everybody().filter(|(id, organisation)| *id == name || *organisation == name);
    let mut speakers: BTreeSet<&str> = meant.map(|(id, _)| id).collect();
    // Governance is in no roster, and speaks in the consortium's name.
    if events.clone().any(|event| event.actor.id == name) {
        speakers.insert(name);
    }
    if speakers.is_empty() {
        let known = everybody().flat_map(|(id, organisation)| [id, organisation]);
        let known = known.chain(events.map(|event| event.actor.id.as_str()));
        let text = format!("the log and its rosters know no member or organisation `{name}`");
        return Err(Problem::new(Exit::Refused, "SOTTO-7613", text).remedy(names::instead(name, known)));
    }
    let by = |event: &Event| speakers.contains(event.actor.id.as_str());
    let owners: BTreeSet<&str> = everybody().map(|(_, organisation)| organisation).collect();
    let mut things = BTreeSet::from([Subject::Organisation(name.to_owned()).hash()]);
    for event in events.clone().filter(|event| by(event)) {
        things.extend(asked(event, &owners));
    }
    let about = |event: &Event| event.references.values().any(|thing| things.contains(thing));
    Ok((0..)
        .zip(events)
        .filter(|(_, event)| by(event) || about(event))
        .collect())
}

/// What an event asks for, as others refer to it: a request; or a grant, and each owner's line of it.
fn asked(event: &Event, owners: &BTreeSet<&str>) -> Vec<ContentHash> {
    let reference = |name: &str| event.references.get(name).copied();
    match event.kind {
        Kind::Request => reference("request").into_iter().collect(),
        Kind::Grant => match reference("grant").filter(|grant| reference("act") == Some(*grant)) {
            None => Vec::new(),
            Some(grant) => owners
                .iter()
                .map(|owner| line_hash(&grant, owner))
                .chain([grant])
                .collect(),
        },
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use governance::log::event::{Actor, Role};
    use governance::{Agent, Analyst, CoordinatorEntry, SigningKey, Steward};

    use super::*;

    fn key() -> governance::VerifyingKey {
        SigningKey::from_seed(&[1; 32]).unwrap().public()
    }

    fn thing(number: u8) -> ContentHash {
        ContentHash([number; 32])
    }

    fn roster() -> Roster {
        let (key, tls_key) = (key(), thing(0));
        let agent = |id: &str, organisation: &str| Agent {
            id: id.to_owned(),
            organisation: organisation.to_owned(),
            signing_key: key,
            tls_key,
        };
        let analyst = |id: &str, organisation: &str| Analyst {
            id: id.to_owned(),
            organisation: organisation.to_owned(),
            key,
            tls_key,
        };
        Roster {
            consortium: "four".to_owned(),
            version: 1,
            c: 1,
            min_cohort: 3,
            agents: vec![agent("north", "North Clinic"), agent("south", "South Clinic")],
            analysts: vec![analyst("ada", "University")],
            stewards: vec![Steward {
                id: "sue".to_owned(),
                organisation: "North Clinic".to_owned(),
                key,
                tls_key,
            }],
            coordinator: CoordinatorEntry {
                id: "hub".to_owned(),
                organisation: None,
                tls_key,
                signing_key: key,
            },
            retiring: Vec::new(),
        }
    }

    fn said(kind: Kind, role: Role, id: &str) -> Event {
        let id = id.to_owned();
        Event::new(kind, 0, Actor { role, id, key: key() })
    }

    /// A request and what became of it, a grant with its approval and its end, and what suspends an organisation.
    fn events() -> Vec<Event> {
        let grant = thing(2);
        let suspended = Subject::Organisation("North Clinic".to_owned()).hash();
        vec![
            said(Kind::Request, Role::Analyst, "ada").refers("request", thing(1)),
            said(Kind::Decision, Role::Agent, "north").refers("request", thing(1)),
            said(Kind::Decision, Role::Agent, "south").refers("request", thing(9)),
            said(Kind::Grant, Role::Analyst, "ada")
                .refers("act", grant)
                .refers("grant", grant),
            said(Kind::Grant, Role::Steward, "sue")
                .refers("act", thing(3))
                .refers("grant", grant),
            said(Kind::Revocation, Role::Agent, "south").refers("revoked", line_hash(&grant, "South Clinic")),
            said(Kind::Suspension, Role::Governance, "four").refers("suspended", suspended),
        ]
    }

    fn places(name: &str) -> Vec<u64> {
        let (events, roster) = (events(), roster());
        let found = concerning(events.iter(), &[&roster], name).unwrap();
        found.into_iter().map(|(index, _)| index).collect()
    }

    #[test]
    fn an_organisation_is_its_agents_its_stewards_and_what_is_said_of_it() {
        assert_eq!(places("North Clinic"), [1, 4, 6]);
        assert_eq!(places("sue"), [4]);
        assert_eq!(places("four"), [6]);
        assert_eq!(
            places("hub"),
            Vec::<u64>::new(),
            "a member who said nothing is known all the same"
        );
    }

    #[test]
    fn who_asked_is_shown_all_that_was_said_of_requests_and_grants() {
        assert_eq!(places("ada"), [0, 1, 3, 4, 5]);
        assert_eq!(places("University"), [0, 1, 3, 4, 5]);
    }

    #[test]
    fn a_name_that_nobody_has_is_refused_with_the_nearest_one() {
        let (events, roster) = (events(), roster());
        let problem = concerning(events.iter(), &[&roster], "Nort Clinic").unwrap_err();
        assert_eq!((problem.code.as_str(), problem.exit), ("SOTTO-7613", Exit::Refused));
        assert_eq!(problem.remedy.unwrap(), "did you mean `North Clinic`?");
    }
}
