//! Replaying the log: every access needs the words that permit it, before it, by the right people.

use governance::act::Subject;
use governance::grant::line_hash;
use governance::log::event::{Actor, Decision, Role, SEEN};
use governance::log::{Event, Finding, Kind, Rosters, Scanned, Uncovered, account, request_of, scan};
use governance::{ContentHash, Roster, SignedRoster, Steward};

use crate::world::*;

fn findings(events: &[Event]) -> Vec<Finding> {
    scan(events, &Rosters::default()).findings
}

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
    assert_eq!(findings(&answered()), []);
    assert_eq!(findings(&[]), []);
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
        let findings = findings(&events);
        assert_eq!(
            (findings[0].index, findings[0].fault),
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
    assert_eq!(findings(&events)[0].fault, Uncovered::NoDecision);
}

#[test]
fn the_last_word_counts_and_only_the_participants_own() {
    let mut events = answered();
    events.insert(3, decided(1, Decision::Deny));
    assert_eq!(findings(&events)[0].fault, Uncovered::Denied);
    // Another key under the same name, and another participant, permit nothing.
    let mut forged = answered();
    forged[1].actor.key = key(77).public();
    assert_eq!(findings(&forged)[0].fault, Uncovered::NoDecision);
    // A request that the coordinator says it had.
    let mut made_up = answered();
    made_up[0].actor = coordinator();
    assert_eq!(findings(&made_up)[0].fault, Uncovered::NoRequest);
}

#[test]
fn an_access_under_a_grant_needs_the_grant_and_no_revocation_before_it() {
    let grant = hash(7);
    let granted = |events: Vec<Event>| -> Vec<Event> {
        let under = |event: Event| match event.kind {
            Kind::Decision => event.refers("grant", grant).refers("line", hash(9)),
            _ => event,
        };
        events.into_iter().map(under).collect()
    };
    let given = event(Kind::Grant, analyst(), 0).refers("grant", grant);
    let revoked = event(Kind::Revocation, analyst(), 3).refers("revoked", grant);

    let said = |by: Actor| event(Kind::Grant, by, 0).refers("grant", grant).refers("line", hash(9));
    let steward = Actor {
        role: Role::Steward,
        ..agent(1)
    };

    assert_eq!(findings(&granted(answered()))[0].fault, Uncovered::NoGrant(grant));
    let mut events = granted(answered());
    events.insert(0, given);
    assert_eq!(
        findings(&events)[0].fault,
        Uncovered::NotOffered(grant),
        "asked for, and that is all"
    );
    let mut anothers = events.clone();
    anothers[0].actor.id = "bob".to_owned();
    assert_eq!(
        findings(&anothers)[0].fault,
        Uncovered::NoGrant(grant),
        "bob asked for it"
    );
    // The requester's own word is no owner's, and neither is the coordinator's.
    for by in [analyst(), coordinator(), agent(1)] {
        events.insert(1, said(by));
    }
    assert_eq!(findings(&events)[0].fault, Uncovered::NotOffered(grant));
    events.drain(1..4);
    events.insert(1, said(steward));
    assert_eq!(findings(&events), []);
    events.insert(6, revoked); // hospital 1 had sent, hospital 2 had not
    let findings = findings(&events);
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].actor, "agent-2");
    assert_eq!(findings[0].fault, Uncovered::Revoked(grant));
}

/// A charge of this many tokens; below zero they come back.
fn moves(by: u8, tokens: i64) -> Event {
    let mut charge = event(Kind::Charge, agent(by), 3);
    charge.budget_delta.as_mut().unwrap().tokens = tokens;
    charge
}

fn sends(by: u8, vectors: u32) -> Event {
    Event {
        vectors: (vectors > 1).then_some(vectors),
        ..event(Kind::Contribution, agent(by), 4)
    }
}

/// Hospital 1 answers a request: what its ledger moved and what left, in this order.
fn story(words: impl IntoIterator<Item = Event>) -> Vec<Event> {
    let mut events = vec![event(Kind::Request, analyst(), 1), decided(1, Decision::Allow)];
    events.extend(words);
    events
}

fn overdrawn(words: impl IntoIterator<Item = Event>) -> Vec<(u64, u64, u64)> {
    let found = findings(&story(words)).into_iter().map(|found| match found.fault {
        Uncovered::Overdrawn { vectors, tokens } => (found.index, vectors, tokens),
        other => panic!("{other}"),
    });
    found.collect()
}

#[test]
fn a_vector_more_than_tokens_were_set_aside_is_named_and_so_is_each_one_after_it() {
    assert_eq!(overdrawn([moves(1, 2), sends(1, 1), sends(1, 1)]), []);
    assert_eq!(
        overdrawn([moves(1, 2), sends(1, 1), sends(1, 1), sends(1, 1), sends(1, 1)]),
        [(5, 3, 2), (6, 4, 2)]
    );
    // A run says many at a time, and they are as many.
    assert_eq!(overdrawn([moves(1, 40), sends(1, 40)]), []);
    assert_eq!(overdrawn([moves(1, 40), sends(1, 39), sends(1, 2)]), [(4, 41, 40)]);
    // Nobody pays for another.
    let mut words = story([
        moves(1, 1),
        sends(1, 2),
        decided(2, Decision::Allow),
        moves(2, 9),
        sends(2, 1),
    ]);
    words.push(event(Kind::Charge, coordinator(), 9));
    let found = findings(&words);
    assert_eq!(
        (found.len(), found[0].index, found[0].actor.as_str()),
        (1, 3, "agent-1")
    );
}

#[test]
fn tokens_that_came_back_cover_nothing_whenever_they_came() {
    // What was never used comes back: before the last vectors are logged, or after.
    assert_eq!(overdrawn([moves(1, 40), sends(1, 10), moves(1, -30)]), []);
    assert_eq!(overdrawn([moves(1, 40), moves(1, -30), sends(1, 10)]), []);
    // What was used does not.
    assert_eq!(
        overdrawn([moves(1, 40), sends(1, 10), sends(1, 1), moves(1, -30)]),
        [(4, 11, 10)]
    );
    assert_eq!(overdrawn([moves(1, 1), sends(1, 1), moves(1, -1)]), [(3, 1, 0)]);
    assert_eq!(overdrawn([moves(1, 1), sends(1, 1), moves(1, i64::MIN)]), [(3, 1, 0)]);
}

#[test]
fn retries_restarts_and_stopped_runs_are_covered() {
    // A run of three rounds of which one is tried again: three tokens at first, one more for the attempt that failed.
    assert_eq!(overdrawn([moves(1, 3), sends(1, 2), moves(1, 1), sends(1, 2)]), []);
    // A crash leaves a token committed and unused, and a restarted agent says yes anew.
    let again = decided(1, Decision::Allow);
    assert_eq!(
        overdrawn([moves(1, 3), sends(1, 1), again, moves(1, 1), sends(1, 2)]),
        []
    );
    // A coordinator that had no room for a charge takes it the second time that it is handed in.
    assert_eq!(overdrawn([moves(1, 1), sends(1, 1), sends(1, 1), moves(1, 1)]), []);
}

#[test]
fn a_member_with_a_new_key_goes_on_with_its_ledger_and_a_stranger_with_its_name_fills_none() {
    let first = signed(&members());
    let mut renewed = members();
    (renewed.version, renewed.agents[0].signing_key) = (4, key(77).public());
    let second = signed(&renewed);
    let new = |event: Event| {
        let mut event = event;
        event.actor.key = key(77).public();
        event
    };
    let words = [names(&first)].into_iter().chain(story([moves(1, 2), sends(1, 1)]));
    let mut events: Vec<Event> = words.collect();
    let mut forged = events.clone();
    events.extend([names(&second), new(decided(1, Decision::Allow)), new(sends(1, 1))]);
    let both = [first.clone(), second];
    assert_eq!(with(&both, &events), []);
    forged.extend([new(moves(1, 5)), sends(1, 2)]);
    let too_many = Uncovered::Overdrawn { vectors: 3, tokens: 2 };
    assert_eq!(with(&both, &forged), [(5, Uncovered::Stranger), (6, too_many)]);
}

#[test]
fn a_vector_that_crossed_a_stop_is_told_from_one_that_ignored_it() {
    let (grant, given, ended) = (hash(7), hash(50), hash(51));
    let granted = event(Kind::Grant, analyst(), 0)
        .refers("grant", grant)
        .refers("act", given);
    let revoked = |by: Actor| Event::of_act(Kind::Revocation, ended, grant, 10, by);
    let log = |stop: Event, sent: Event| -> Scanned {
        let mut events = vec![granted.clone(), offers(1, grant)];
        let allowed = under(decided(1, Decision::Allow), grant);
        events.extend([event(Kind::Request, analyst(), 1), allowed, moves(1, 1), stop, sent]);
        scan(&events, &Rosters::default())
    };
    let left = |seen: Option<ContentHash>, at_ms| {
        let sent = event(Kind::Contribution, agent(1), at_ms);
        match seen {
            Some(seen) => sent.refers(SEEN, seen),
            None => sent,
        }
    };
    let named = |found: Scanned| match (found.findings.as_slice(), found.crossed.as_slice()) {
        ([one], []) => (one.fault, false),
        ([], [one]) => (one.fault, true),
        other => panic!("{other:?}"),
    };
    let by_analyst = revoked(analyst());
    // Its agent had seen the grant, and not its end.
    let fault = Uncovered::Revoked(grant);
    assert_eq!(named(log(by_analyst.clone(), left(Some(given), 4))), (fault, true));
    // It had seen the end; it names nothing; it names what nobody logged; it comes long after.
    for sent in [
        left(Some(ended), 4),
        left(None, 4),
        left(Some(hash(99)), 4),
        left(Some(given), 1_000_000),
    ] {
        assert_eq!(named(log(by_analyst.clone(), sent)), (fault, false));
    }
    // What the agent itself stopped it knew at once, whatever the log had shown it.
    let own = revoked(agent(1));
    assert_eq!(named(log(own.clone(), left(Some(given), 1_000))), (fault, true));
    assert_eq!(named(log(own, left(Some(given), 5_000))), (fault, false));
    // A suspension is a stop like another.
    let held = Event::new(Kind::Suspension, 10, analyst());
    let held = held.refers("act", ended).refers("suspended", grant);
    let fault = Uncovered::Suspended(ended);
    assert_eq!(named(log(held.clone(), left(Some(given), 4))), (fault, true));
    assert_eq!(named(log(held, left(Some(ended), 4))), (fault, false));
}

#[test]
fn no_later_stop_hides_an_earlier_one_and_no_act_is_said_to_stop_something_else() {
    let (grant, given, held, ended) = (hash(7), hash(50), hash(52), hash(51));
    let granted = event(Kind::Grant, analyst(), 0)
        .refers("grant", grant)
        .refers("act", given);
    let suspended = |what| {
        let event = Event::new(Kind::Suspension, 10, analyst());
        event.refers("act", held).refers("suspended", what)
    };
    let sent = event(Kind::Contribution, agent(1), 12).refers(SEEN, held);
    let log = |later: Event| -> Scanned {
        let allowed = under(decided(1, Decision::Allow), grant);
        let asked = [event(Kind::Request, analyst(), 1), allowed, moves(1, 1)];
        let events: Vec<Event> = [granted.clone(), offers(1, grant)]
            .into_iter()
            .chain(asked)
            .chain([suspended(grant), later, sent.clone()])
            .collect();
        scan(&events, &Rosters::default())
    };
    let revoked = Event::of_act(Kind::Revocation, ended, grant, 11, agent(1));
    for later in [revoked, suspended(hash(99))] {
        let found = log(later);
        let faults: Vec<Uncovered> = found.findings.iter().map(|found| found.fault).collect();
        assert_eq!(
            (faults.as_slice(), found.crossed.len()),
            (&[Uncovered::Suspended(held)][..], 0)
        );
    }
}

fn signed(roster: &Roster) -> SignedRoster {
    roster.sign(&key(GOVERNANCE)).unwrap()
}

/// The members of version 3, with a steward for each of two hospitals.
fn members() -> Roster {
    let steward = |i: u8| Steward {
        id: format!("steward-{i}"),
        organisation: format!("hospital {i}"),
        key: key(30 + i).public(),
        tls_key: hash(130 + i),
    };
    Roster {
        stewards: [1, 2].map(steward).to_vec(),
        ..roster()
    }
}

fn names(roster: &SignedRoster) -> Event {
    Event::new(Kind::Roster, 0, coordinator()).refers("roster", roster.hash())
}

/// Hospital `i` says yes to its line of a grant.
fn offers(i: u8, grant: ContentHash) -> Event {
    under(event(Kind::Grant, steward(i), 0), grant)
}

/// What an agent or a steward of a hospital says of its line of a grant.
fn under(event: Event, grant: ContentHash) -> Event {
    let (_, number) = event.actor.id.rsplit_once('-').unwrap();
    let line = line_hash(&grant, &format!("hospital {number}"));
    event.refers("grant", grant).refers("line", line)
}

fn steward(i: u8) -> Actor {
    Actor {
        role: Role::Steward,
        id: format!("steward-{i}"),
        key: key(30 + i).public(),
    }
}

fn with(rosters: &[SignedRoster], events: &[Event]) -> Vec<(u64, Uncovered)> {
    let rosters = Rosters::open(rosters, &key(GOVERNANCE).public()).unwrap();
    let found = scan(events, &rosters).findings;
    found.into_iter().map(|found| (found.index, found.fault)).collect()
}

#[test]
fn every_word_is_held_against_the_roster_in_force_at_its_place() {
    let first = signed(&members());
    let mut events = vec![names(&first)];
    events.extend(answered());
    assert_eq!(with(std::slice::from_ref(&first), &events), []);

    // A key that governance never enrolled, under a member's name.
    let mut forged = events.clone();
    for event in forged.iter_mut().filter(|event| event.actor == agent(2)) {
        event.actor.key = key(77).public();
    }
    let strangers = with(std::slice::from_ref(&first), &forged);
    assert_eq!(strangers, [5, 6, 7].map(|index| (index, Uncovered::Stranger)));

    // The analyst leaves; what was asked before stays, what is asked after is a stranger's, and an older roster brings nobody back.
    let without = Roster {
        version: 4,
        analysts: vec![],
        ..members()
    };
    let second = signed(&without);
    let mut later = events.clone();
    later.push(names(&second));
    later.push(names(&first));
    later.push(event(Kind::Request, analyst(), 9));
    let both = [first.clone(), second.clone()];
    assert_eq!(with(&both, &later), [(11, Uncovered::Stranger)]);

    // A roster that nobody brought: said once, and from there on nobody is judged by an older one.
    assert_eq!(
        with(std::slice::from_ref(&first), &later),
        [(9, Uncovered::NoRoster(second.hash()))]
    );
    let wrong = SignedRoster {
        signature: vec![0; 64],
        ..first
    };
    assert!(Rosters::open(&[wrong], &key(GOVERNANCE).public()).is_err());
}

#[test]
fn an_access_after_a_suspension_that_covers_it_is_found_until_it_is_lifted() {
    let first = signed(&members());
    let (dataset, grant) = (Subject::Dataset("heart".into()), hash(7));
    let university = Subject::Organisation("university".into());
    let governance = Actor {
        role: Role::Governance,
        id: "heart".into(),
        key: key(GOVERNANCE).public(),
    };
    let log = |act: Event, lifted: Option<Event>| {
        let asked = event(Kind::Grant, analyst(), 0).refers("grant", grant);
        let mut events = vec![names(&first), asked, offers(1, grant), offers(2, grant)];
        let named = |event: Event| match event.kind {
            Kind::Request => event.refers("dataset", dataset.hash()),
            Kind::Decision => under(event, grant),
            _ => event,
        };
        events.extend(answered().into_iter().map(named));
        // Before the contribution of hospital 1.
        events.insert(7, act);
        if let Some(lifted) = lifted {
            events.insert(8, lifted);
        }
        with(std::slice::from_ref(&first), &events)
    };
    let stops = |by: &Actor, what: ContentHash| {
        let event = Event::new(Kind::Suspension, 3, by.clone());
        event.refers("act", hash(40)).refers("suspended", what)
    };
    let lifts = |by: &Actor, name: &str, what: ContentHash| {
        let event = Event::new(Kind::Suspension, 4, by.clone()).refers("act", hash(41));
        event.refers(name, what).refers("lifts-0", hash(40))
    };
    let found = |places: &[u64]| -> Vec<(u64, Uncovered)> {
        places.iter().map(|at| (*at, Uncovered::Suspended(hash(40)))).collect()
    };
    let own = Subject::Organisation("hospital 1".into());
    for (by, what, places) in [
        (&governance, dataset.hash(), &[8, 11][..]),
        (&governance, university.hash(), &[8, 11]),
        (&governance, own.hash(), &[8]),
        (&steward(1), dataset.hash(), &[8]),
        (&steward(1), university.hash(), &[8]),
        (&steward(2), own.hash(), &[]),
        (&steward(1), grant, &[8, 11]),
        (&steward(1), line_hash(&grant, "hospital 1"), &[8]),
        (&governance, Subject::Dataset("other".into()).hash(), &[]),
    ] {
        assert_eq!(log(stops(by, what), None), found(places), "{by:?} {what}");
        let (at, other) = ("reinstated", steward(if *by == steward(1) { 2 } else { 1 }));
        assert_eq!(log(stops(by, what), Some(lifts(by, at, what))), []);
        let shifted: Vec<u64> = places.iter().map(|at| at + 1).collect();
        assert_eq!(
            log(stops(by, what), Some(lifts(&other, at, what))),
            found(&shifted),
            "nobody lifts another's"
        );
    }
}

#[test]
fn an_account_says_who_asked_who_agreed_what_it_cost_and_what_came_of_it() {
    let mut events = answered();
    events.push(Event {
        vectors: Some(40),
        ..event(Kind::Contribution, agent(2), 6)
    });
    events[1] = Event {
        consent: Some(hash(11)),
        consent_version: Some(20_000),
        ..events[1].clone()
    }
    .refers("policy-owner", hash(12))
    .refers("policy-local", hash(13));
    let release = events[7].references["release"];
    let request = request_of(&events, &release).unwrap();
    let account = account(&events, 0, &request);
    assert_eq!(account.request.unwrap().analyst, "ana");
    assert_eq!(account.participants.len(), 2);
    let second = &account.participants["agent-2"];
    assert_eq!((second.tokens, second.vectors, second.epsilon), (2, 41, Some(0.1)));
    assert_eq!(second.decisions[0].decision, Decision::Allow);
    let first = &account.participants["agent-1"];
    assert_eq!(first.contract, events[1].contract);
    assert_eq!(first.consent.as_ref().unwrap().version, Some(20_000));
    assert_eq!(
        first.policies,
        [("local".into(), hash(13)), ("owner".into(), hash(12))].into()
    );
    assert_eq!(second.consent, None);
    assert_eq!(account.outcomes.len(), 1);
    assert_eq!(
        (account.outcomes[0].kind, account.outcomes[0].index),
        (Kind::Release, 7)
    );
    assert_eq!(request_of(&events, &hash(200)), None);
}
