//! Replaying the log: every access needs the words that permit it, before it, by the right people.

use governance::log::event::{Actor, Decision, Role};
use governance::log::{Event, Kind, Uncovered, account, request_of, scan};

use crate::world::*;

fn analyst() -> Actor {
    Actor {
        role: Role::Analyst,
        id: "ana".into(),
        key: key(ANALYST).public(),
    }
}

fn decided(by: u8, decision: Decision) -> Event {
    Event {
        decision: Some(decision),
        ..event(Kind::Decision, agent(by), 2)
    }
}

/// A question that hospitals 1 and 2 answered as they should.
fn answered() -> Vec<Event> {
    let mut events = vec![event(Kind::Request, analyst(), 1)];
    for by in [1, 2] {
        events.push(decided(by, Decision::Allow));
        events.push(event(Kind::Charge, agent(by), 3));
        events.push(event(Kind::Contribution, agent(by), 4));
    }
    events.push(event(Kind::Release, coordinator(), 5));
    events
}

fn coordinator() -> Actor {
    Actor {
        role: Role::Coordinator,
        id: "co".into(),
        key: key(COORDINATOR).public(),
    }
}

#[test]
fn a_log_of_permitted_accesses_scans_clean() {
    assert_eq!(scan(&answered()), []);
    assert_eq!(scan(&[]), []);
}

#[test]
fn each_missing_word_is_named_at_the_access_that_lacks_it() {
    for (left_out, at, expected) in [
        (0, 2, Uncovered::NoRequest),
        (1, 2, Uncovered::NoDecision),
        (2, 2, Uncovered::NoCharge),
        (4, 5, Uncovered::NoDecision),
        (5, 5, Uncovered::NoCharge),
    ] {
        let mut events = answered();
        events.remove(left_out);
        let findings = scan(&events);
        assert_eq!(
            (findings[0].index, findings[0].uncovered),
            (at, expected),
            "without {left_out}"
        );
        let first = if left_out == 0 { 2 } else { 1 };
        assert_eq!(findings.len(), first);
    }
}

#[test]
fn a_permission_after_the_access_covers_nothing() {
    let mut events = answered();
    events.swap(1, 3);
    assert_eq!(scan(&events)[0].uncovered, Uncovered::NoDecision);
}

#[test]
fn the_last_word_counts_and_only_the_participants_own() {
    let mut events = answered();
    events.insert(3, decided(1, Decision::Deny));
    assert_eq!(scan(&events)[0].uncovered, Uncovered::Denied);
    // Another key under the same name, and another participant, permit nothing.
    let mut forged = answered();
    forged[1].actor.key = key(77).public();
    assert_eq!(scan(&forged)[0].uncovered, Uncovered::NoDecision);
    // A request that the coordinator says it had.
    let mut made_up = answered();
    made_up[0].actor = coordinator();
    assert_eq!(scan(&made_up)[0].uncovered, Uncovered::NoRequest);
}

#[test]
fn an_access_under_a_grant_needs_the_grant_and_no_revocation_before_it() {
    let grant = hash(7);
    let granted = |events: Vec<Event>| -> Vec<Event> {
        let under = |event: Event| match event.kind {
            Kind::Decision => event.refers("grant", grant),
            _ => event,
        };
        events.into_iter().map(under).collect()
    };
    let given = event(Kind::Grant, analyst(), 0).refers("grant", grant);
    let revoked = event(Kind::Revocation, analyst(), 3).refers("revoked", grant);

    assert_eq!(scan(&granted(answered()))[0].uncovered, Uncovered::NoGrant(grant));
    let mut events = granted(answered());
    events.insert(0, given);
    assert_eq!(scan(&events), []);
    events.insert(5, revoked); // hospital 1 had sent, hospital 2 had not
    let findings = scan(&events);
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].agent, "agent-2");
    assert_eq!(findings[0].uncovered, Uncovered::Revoked(grant));
}

#[test]
fn an_account_says_who_asked_who_agreed_what_it_cost_and_what_came_of_it() {
    let mut events = answered();
    events.push(Event {
        vectors: Some(40),
        ..event(Kind::Contribution, agent(2), 6)
    });
    let release = events[7].references["release"];
    let request = request_of(&events, &release).unwrap();
    let account = account(&events, 0, &request);
    assert_eq!(account.request.unwrap().analyst, "ana");
    assert_eq!(account.participants.len(), 2);
    let second = &account.participants["agent-2"];
    assert_eq!((second.tokens, second.vectors, second.epsilon), (2, 41, Some(0.1)));
    assert_eq!(second.decisions[0].decision, Decision::Allow);
    assert_eq!(account.outcomes.len(), 1);
    assert_eq!(
        (account.outcomes[0].kind, account.outcomes[0].index),
        (Kind::Release, 7)
    );
    assert_eq!(request_of(&events, &hash(200)), None);
}
