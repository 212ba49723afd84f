//! Metering from the log: whole units, and a difference that is named.

use governance::ContentHash;
use governance::log::event::{Actor, Decision, Role};
use governance::log::usage::{Asked, Used};
use governance::log::{Event, Kind, Usage};
use proptest::prelude::*;

use crate::world::*;

fn actor(role: Role, id: &str, seed: u8) -> Actor {
    Actor {
        role,
        id: id.into(),
        key: key(seed).public(),
    }
}

fn asked() -> Event {
    event(Kind::Request, actor(Role::Analyst, "ana", ANALYST), 1)
}

fn answered() -> Event {
    event(Kind::Release, actor(Role::Coordinator, "co", COORDINATOR), 9)
}

fn allowed(by: u8, grant: Option<ContentHash>) -> Event {
    let event = Event {
        decision: Some(Decision::Allow),
        ..event(Kind::Decision, agent(by), 2)
    };
    match grant {
        Some(grant) => event.refers("grant", grant),
        None => event,
    }
}

fn charged(by: u8, tokens: i64, grant: Option<ContentHash>) -> Event {
    let mut event = event(Kind::Charge, agent(by), 3);
    if let Some(delta) = &mut event.budget_delta {
        delta.tokens = tokens;
    }
    match grant {
        Some(grant) => event.refers("grant", grant),
        None => event,
    }
}

fn sent(by: u8, vectors: u32) -> Event {
    Event {
        vectors: Some(vectors),
        ..event(Kind::Contribution, agent(by), 4)
    }
}

/// Hospital 1 answers by its own list, hospital 2 under a grant, hospital 3 not at all.
fn story() -> Vec<Event> {
    let grant = Some(hash(7));
    vec![
        asked(),
        charged(1, 3, None),
        allowed(1, None),
        charged(2, 3, grant),
        allowed(2, grant),
        event(Kind::Decision, agent(3), 2),
        sent(1, 2),
        sent(2, 2),
        charged(2, -1, None), // what comes back does not say under which grant it went out
        charged(1, -1, None),
        answered(),
    ]
}

#[test]
fn each_owners_part_stands_in_the_row_of_what_permitted_it() {
    let usage = Usage::of_log(&story());
    let counts: Vec<Asked> = usage.askers().map(|(_, asked)| *asked).collect();
    let once = Asked {
        requests: 1,
        releases: 1,
        repeats: 0,
    };
    assert_eq!(counts, [once]);
    let rows: Vec<(&str, Option<ContentHash>, Used)> = usage
        .users()
        .map(|(user, used)| (user.participant.as_str(), user.grant, *used))
        .collect();
    let part = Used {
        allowed: 1,
        tokens: 2,
        epsilon_nano: 200_000_000,
        vectors: 2,
        ..Used::default()
    };
    let no = Used {
        refused: 1,
        ..Used::default()
    };
    assert_eq!(
        rows,
        [
            ("agent-1", None, part),
            ("agent-2", Some(hash(7)), part),
            ("agent-3", None, no)
        ]
    );
}

#[test]
fn an_organisation_sees_its_own_analysts_and_its_own_data_and_nothing_else() {
    let usage = Usage::of_log(&story());
    let roster = roster();
    let all = usage.seen_by("university", false, &roster);
    assert_eq!((all.asked.len(), all.used.len()), (1, 3));
    let own = usage.seen_by("hospital 2", true, &roster);
    assert!(own.asked.is_empty());
    let names: Vec<&str> = own.used.keys().map(|user| user.participant.as_str()).collect();
    assert_eq!(names, ["agent-2"]);
    // An analyst of an owner sees what its own organisation asked; what others asked of the owner is for its steward.
    let nothing = usage.seen_by("hospital 2", false, &roster);
    assert!(nothing.asked.is_empty() && nothing.used.is_empty());
}

/// The coordinator's way of counting: its own records of requests and answers, agents' words for the rest.
fn of_books(events: &[Event]) -> Usage {
    let mut usage = Usage::default();
    for event in events {
        match event.kind {
            Kind::Request => usage.request(event.references["request"], &event.actor.id, event.contract.unwrap()),
            Kind::Release => usage.release(&event.references["request"], event.references.contains_key("repeats")),
            _ => usage.take_agent(event),
        }
    }
    usage
}

fn some_event() -> impl Strategy<Value = Event> {
    let requests = 0u8..4;
    let (by, grants) = (1u8..=4, prop::option::of((5u8..7).prop_map(hash)));
    (requests, by, grants, 0u8..6, 1i64..4, 1u32..3).prop_map(|(request, by, grant, kind, tokens, vectors)| {
        let event = match kind {
            0 => asked(),
            1 => allowed(by, grant),
            2 => event(Kind::Decision, agent(by), 2),
            3 => charged(by, if tokens == 3 { -1 } else { tokens }, grant),
            4 => sent(by, vectors),
            _ => answered(),
        };
        event.refers("request", hash(request))
    })
}

proptest! {
    #[test]
    fn two_accounts_of_one_story_are_equal_to_the_unit_and_one_that_leaves_a_word_out_is_found(
        some in prop::collection::vec(some_event(), 1..60),
        left_out in any::<prop::sample::Index>(),
    ) {
        let events: Vec<Event> = (0..4).map(|request| asked().refers("request", hash(request))).chain(some).collect();
        let roster = roster();
        let seen = |usage: &Usage| {
            let mut rows = usage.seen_by("university", false, &roster);
            for hospital in 1..=4 {
                rows.used.extend(usage.seen_by(&format!("hospital {hospital}"), true, &roster).used);
            }
            rows
        };
        let log = seen(&Usage::of_log(&events));
        prop_assert_eq!(seen(&of_books(&events)).difference(&log), None);
        let mut cut = events.clone();
        let gone = cut.remove(4 + left_out.index(events.len() - 4));
        prop_assert!(seen(&of_books(&cut)).difference(&log).is_some(), "{:?}", gone);
    }
}
