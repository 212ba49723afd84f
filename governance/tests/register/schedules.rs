//! Any schedule: random people say random things in random order, each organisation hears what concerns it, and what must never
//! happen does not.

use std::collections::BTreeSet;

use governance::act::Subject;
use governance::canonical::Real;
use governance::grant::{Action, Extent, Status, Terms, Unlogged};
use governance::log::event::Role;
use governance::register::{AtDoor, Wanted};
use governance::{ContentHash, Register, What};
use proptest::prelude::*;

use crate::world::*;

/// One line of a schedule, in numbers that are folded onto what there is.
type Line = (u8, u8, u8, u8, u64);

fn what(kind: u8, about: u8, how: u8, grants: &[ContentHash], speaker: &str, hub: &Register) -> What {
    let grant = grants
        .get(about as usize % grants.len().max(1))
        .copied()
        .unwrap_or(ContentHash([0; 32]));
    let owner = ["north", "east"][how as usize % 2].to_owned();
    let some = (how % 3 != 2).then(|| owner.clone());
    let subject = match about % 4 {
        0 => Subject::Dataset("heart".to_owned()),
        1 => organisation("north"),
        2 => organisation("institute"),
        _ => organisation("university"),
    };
    let requester = if about.is_multiple_of(2) { "ana" } else { "ian" };
    match kind % 11 {
        0 => What::GrantRequested {
            terms: terms(speaker_or(speaker, requester)),
            steward_agrees: speaker != "ian",
        },
        1 | 2 => {
            let asked = terms(requester);
            let terms = match how % 4 {
                0 => Terms {
                    epsilon: Real::new(1.0).unwrap(),
                    ..asked
                },
                1 => Terms {
                    until_ms: NOW + 5,
                    ..asked
                },
                _ => asked,
            };
            What::GrantOffered { grant, owner, terms }
        }
        3 | 4 => What::GrantAgreed {
            grant,
            owner,
            version: u32::from(about % 3) + 1,
        },
        5 => What::GrantSuspended { grant, owner: some },
        // Most name what holds, some what does not.
        6 => {
            let held = hub
                .any_grant(&grant)
                .map(|held| held.held(&by(speaker), some.as_deref()));
            let lifts = held.filter(|_| !about.is_multiple_of(5)).unwrap_or_default();
            let lifts = if lifts.is_empty() { [grant].into() } else { lifts };
            What::GrantResumed {
                grant,
                owner: some,
                lifts,
            }
        }
        7 => What::GrantRevoked { grant, owner: some },
        8 => What::GrantCompleted { grant, owner: some },
        9 => What::Suspended { subject },
        _ => {
            let lifts = hub.held(&by(speaker), &subject);
            let lifts = if lifts.is_empty() { [grant].into() } else { lifts };
            What::Reinstated { subject, lifts }
        }
    }
}

fn speaker_or<'a>(speaker: &'a str, other: &'a str) -> &'a str {
    if ["ana", "ian"].contains(&speaker) {
        speaker
    } else {
        other
    }
}

/// What one organisation's participant can tell of the register.
fn told(register: &Register, owner: &str, now_ms: u64) -> Vec<String> {
    let mut told = Vec::new();
    for (requester, organisation) in [("ana", "university"), ("ian", "institute")] {
        let wanted = Wanted {
            requester,
            organisation,
            owner,
            dataset: "heart",
            columns: &[],
            aggregates: &[],
            purpose: "DUO:0000006",
            action: Some(Action::Query),
            now_ms,
        };
        told.push(format!(
            "{:?}",
            register.covering(&wanted, &Unlogged).map(|grant| grant.id)
        ));
        let subject = Subject::Organisation(organisation.to_owned());
        told.push(format!("{:?}", register.suspension(owner, &subject).is_some()));
    }
    let dataset = Subject::Dataset("heart".to_owned());
    told.push(format!("{:?}", register.suspension(owner, &dataset).is_some()));
    let agent = governance::act::By {
        role: Role::Agent,
        id: String::new(),
        organisation: owner.to_owned(),
    };
    for view in register.grants(&agent) {
        for (owner, line) in view.lines {
            let (version, what) = (line.versions().len(), line.status(now_ms, &Unlogged));
            told.push(format!(
                "{} {owner} {version} {what:?} {:?}",
                view.grant.id,
                line.agreement()
            ));
        }
    }
    told
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    prop::collection::vec((any::<u8>(), any::<u8>(), any::<u8>(), any::<u8>(), 0..4u64), 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_schedule_leads_to_the_same_place_at_the_coordinator_and_at_every_participant(schedule in lines()) {
        let mut hub = Register::default();
        // Of each hospital: what it heard by its stream, and what its own agent decided while it was cut off.
        let mut heard = [Register::default(), Register::default(), Register::default()];
        let mut outbox: [Vec<_>; 3] = Default::default();
        let mut ended: BTreeSet<(ContentHash, String)> = BTreeSet::new();
        let mut grants: Vec<ContentHash> = Vec::new();
        let mut taken = 0;
        for (at, (who, kind, about, how, later)) in schedule.into_iter().enumerate() {
            let (name, role, organisation, _) = PEOPLE[who as usize % PEOPLE.len()];
            let now_ms = NOW + at as u64 + later;
            let signed = says_at(name, now_ms, what(kind, about, how, &grants, name, &hub));
            let place = HOSPITALS.iter().position(|hospital| *hospital == organisation);
            let mut spoken = vec![signed];
            if let (Role::Agent, Some(place)) = (role, place) {
                // An agent decides by what it knows, at once; the coordinator hears of it when the link is up again.
                let act = spoken[0].read().unwrap();
                let mut known = heard[place].clone();
                outbox[place].iter().for_each(|(hash, act)| drop(known.apply(*hash, act)));
                if !act.what.narrows() || known.apply(spoken[0].hash(), &act).is_err() {
                    continue;
                }
                outbox[place].push((spoken[0].hash(), act));
                if later < 2 {
                    continue;
                }
                spoken = outbox[place].iter().map(|(_, act)| act.sign(&key(place as u8 + 1)).unwrap()).collect();
            }
            for signed in spoken {
                let hash = signed.hash();
                let door = hub.at_door(&signed, &roster(), &governance_key(), now_ms);
                prop_assert!(role != Role::Agent || door.is_ok(), "an agent that stopped something is always heard: {door:?}");
                let Ok(AtDoor::New(act)) = door else { continue };
                hub.apply(hash, &act).unwrap();
                taken += 1;
                if matches!(act.what, What::GrantRequested { .. }) {
                    grants.push(hash);
                }
                for (place, hospital) in HOSPITALS.iter().enumerate() {
                    if hub.concerns(&act, hospital) {
                        // What fits none of its own lines changes nothing here, and is passed over.
                        let _ = heard[place].apply(hash, &act);
                        outbox[place].retain(|(held, _)| *held != hash);
                    }
                }
            }
            for id in &grants {
                let grant = hub.any_grant(id).unwrap();
                for (owner, line) in &grant.lines {
                    let status = line.status(now_ms, &Unlogged);
                    let place = (*id, owner.clone());
                    prop_assert!(!ended.contains(&place) || status.is_final(), "a terminal state was left: {status:?}");
                    if status.is_final() {
                        ended.insert(place);
                    }
                    if status == Status::Active {
                        let [offers, agrees] = line.approvals().unwrap();
                        let steward = roster().steward(offers).unwrap().organisation.clone();
                        prop_assert_eq!(&steward, owner);
                        prop_assert!(offers != &grant.requested.requester && offers != agrees);
                    }
                }
            }
            for (place, hospital) in HOSPITALS.iter().enumerate().filter(|(place, _)| outbox[*place].is_empty()) {
                prop_assert_eq!(told(&heard[place], hospital, now_ms), told(&hub, hospital, now_ms), "{}", hospital);
            }
        }
        prop_assert!(taken == 0 || !hub.eq(&Register::default()));
    }

    #[test]
    fn a_grant_never_admits_what_its_terms_do_not(
        columns in prop::collection::btree_set(0..4u8, 1..4), aggregates in prop::collection::btree_set(0..3u8, 1..3),
        purpose in 0..5usize, actions in 1..8u8, from in 0..10u64, lasts in 1..10u64,
        asks in (prop::collection::vec(0..4u8, 0..3), prop::collection::vec(0..3u8, 0..2), 0..5usize, 0..3usize, 0..25u64),
    ) {
        let column = |i: &u8| format!("c{i}");
        let aggregate = |i: &u8| ["COUNT", "SUM", "AVG"][*i as usize].to_owned();
        // From wide to narrow: whoever stands earlier allows whoever stands later.
        let purposes = ["DUO:0000004", "research", "DUO:0000042", "DUO:0000006", "DUO:0000007"];
        let granted = Terms {
            columns: Extent::Only(columns.iter().map(column).collect()),
            aggregates: Extent::Only(aggregates.iter().map(aggregate).collect()),
            purposes: [purposes[purpose].to_owned()].into(),
            actions: Action::ALL.into_iter().enumerate().filter(|(i, _)| actions >> i & 1 == 1).map(|(_, a)| a).collect(),
            from_ms: NOW + from,
            until_ms: NOW + from + lasts,
            ..terms("ian")
        };
        let mut register = Register::default();
        let request = says("ian", What::GrantRequested { terms: granted.clone(), steward_agrees: false });
        let grant = request.hash();
        register.apply(grant, &request.read().unwrap()).unwrap();
        let offer = says("nora", What::GrantOffered { grant, owner: "north".to_owned(), terms: granted.clone() });
        register.apply(offer.hash(), &offer.read().unwrap()).unwrap();

        let (asked_columns, asked_aggregates, asked_purpose, action, at) = asks;
        let names: Vec<String> = asked_columns.iter().map(column).collect();
        let functions: Vec<String> = asked_aggregates.iter().map(aggregate).collect();
        let now_ms = NOW + at;
        let wanted = Wanted {
            requester: "ian",
            organisation: "institute",
            owner: "north",
            dataset: "heart",
            columns: &names,
            aggregates: &functions,
            purpose: purposes[asked_purpose],
            action: Some(Action::ALL[action]),
            now_ms,
        };
        let within = asked_columns.iter().all(|c| columns.contains(c))
            && asked_aggregates.iter().all(|a| aggregates.contains(a))
            && asked_purpose >= purpose
            && actions >> action & 1 == 1
            && (granted.from_ms..granted.until_ms).contains(&now_ms);
        prop_assert_eq!(register.covering(&wanted, &Unlogged).is_ok(), within);
        for other in [
            Wanted { requester: "ana", ..wanted },
            Wanted { organisation: "university", ..wanted },
            Wanted { owner: "east", ..wanted },
            Wanted { dataset: "hie", ..wanted },
            Wanted { action: None, ..wanted },
        ] {
            prop_assert!(register.covering(&other, &Unlogged).is_err());
        }
    }
}
