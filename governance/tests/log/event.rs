//! What may stand in the log, and that a leaf says neither more nor less than its actor signed.

use governance::canonical::Real;
use governance::log::event::{Actor, Decision, EventError, Price, Role};
use governance::log::{Kind, Payload, SignedEvent};

use crate::world::*;

const KINDS: [Kind; 12] = [
    Kind::Request,
    Kind::Decision,
    Kind::Charge,
    Kind::Contribution,
    Kind::Release,
    Kind::Grant,
    Kind::Revocation,
    Kind::Contract,
    Kind::Policy,
    Kind::Suspension,
    Kind::Roster,
    Kind::ModelVersion,
];

/// Somebody whose word an event of this kind is, and the seed of that key.
fn speaker(kind: Kind) -> (Actor, u8) {
    let (role, id, seed) = match kind {
        Kind::Request | Kind::Grant => (Role::Analyst, "ana", ANALYST),
        Kind::Decision | Kind::Charge | Kind::Contribution | Kind::Revocation => (Role::Agent, "agent-1", 1),
        Kind::Contract => (Role::Steward, "nora", 70),
        _ => (Role::Coordinator, "co", COORDINATOR),
    };
    let (id, key) = (id.to_owned(), key(seed).public());
    (Actor { role, id, key }, seed)
}

#[test]
fn nobody_logs_in_anothers_place() {
    let said = |kind, role| {
        let (actor, seed) = speaker(kind);
        event(kind, Actor { role, ..actor }, 7).sign(&key(seed)).map(|_| ())
    };
    for (kind, role) in [
        (Kind::Release, Role::Agent),
        (Kind::Release, Role::Analyst),
        (Kind::Roster, Role::Agent),
        (Kind::Request, Role::Agent),
        (Kind::Request, Role::Coordinator),
        (Kind::Decision, Role::Coordinator),
        (Kind::Charge, Role::Steward),
        (Kind::Contribution, Role::Coordinator),
        (Kind::Contract, Role::Analyst),
        (Kind::Policy, Role::Analyst),
        (Kind::ModelVersion, Role::Agent),
    ] {
        assert_eq!(said(kind, role), Err(EventError::Role { kind, role }));
    }
}

#[test]
fn a_leaf_of_a_kind_that_is_not_known_yet_is_still_somebodys_word() {
    let signed = decided(1, 7);
    let sound = |leaf: &str| SignedEvent::signed_by_its_actor(leaf.as_bytes());
    assert_eq!(sound(signed.leaf()), Ok(()));
    for spoilt in [
        signed.leaf().replace("\"at_ms\":7", "\"at_ms\":8"),
        signed.leaf().replace("\"deny\"", "\"allow\""),
        format!(" {}", signed.leaf()),
        "{}".to_owned(),
        "not a leaf".to_owned(),
    ] {
        assert!(sound(&spoilt).is_err(), "{spoilt}");
    }
    // The same words under a kind of tomorrow, signed for it.
    let key = key(1);
    let words = signed.leaf().split("},\"signature\"").next().unwrap();
    let body = words.trim_start_matches("{\"event\":").to_owned() + "}";
    let body = body.replace("\"type\":\"decision\"", "\"type\":\"tomorrow\"");
    let signature = hex::encode(key.sign("log event", body.as_bytes()));
    let leaf = format!("{{\"event\":{body},\"signature\":\"{signature}\"}}");
    assert_eq!(sound(&leaf), Ok(()));
    assert!(SignedEvent::parse(leaf.as_bytes()).is_err());
}

#[test]
fn every_kind_of_event_becomes_a_leaf_and_is_read_back() {
    for kind in KINDS {
        let (actor, seed) = speaker(kind);
        let event = event(kind, actor, 7);
        let signed = event.clone().sign(&key(seed)).unwrap();
        let read = SignedEvent::parse(signed.leaf().as_bytes()).unwrap();
        assert_eq!(read, signed);
        assert_eq!(read.event(), &event);
        assert!(
            signed.leaf().contains(&format!(r#""type":"{kind}""#)),
            "{}",
            signed.leaf()
        );
    }
}

#[test]
fn a_leaf_is_canonical_json_and_nothing_else() {
    let signed = decided(1, 7);
    let key = agent(1).key;
    let (one, two) = (hash(1), hash(2));
    let expected = format!(
        r#"{{"event":{{"actor":{{"id":"agent-1","key":"{key}","role":"agent"}},"at_ms":7,"contract":"{two}","decision":"deny","references":{{"request":"{one}"}},"type":"decision"}},"signature":""#
    );
    assert!(signed.leaf().starts_with(&expected), "{}", signed.leaf());
    for spelled in [
        signed.leaf().replace(r#""at_ms":7"#, r#""at_ms": 7"#),
        signed
            .leaf()
            .replace(r#""at_ms":7,"#, r#""at_ms":7,"budget_delta":null,"#),
        format!("{}\n", signed.leaf()),
    ] {
        assert_eq!(
            SignedEvent::parse(spelled.as_bytes()),
            Err(EventError::Spelling),
            "{spelled}"
        );
    }
    let more = signed.leaf().replace(r#""at_ms":7,"#, r#""at_ms":7,"cohort":3,"#);
    assert!(matches!(
        SignedEvent::parse(more.as_bytes()),
        Err(EventError::Malformed(_))
    ));
}

#[test]
fn an_event_is_its_actors_own() {
    let signed = decided(1, 7);
    for (from, to) in [
        (r#""decision":"deny""#, r#""decision":"allow""#),
        (r#""at_ms":7"#, r#""at_ms":8"#),
        ("agent-1", "agent-2"),
        (&hash(1).to_string(), &hash(3).to_string()),
        (&agent(1).key.to_string(), &agent(2).key.to_string()),
    ] {
        let forged = signed.leaf().replace(from, to);
        assert_ne!(forged, signed.leaf());
        let read = SignedEvent::parse(forged.as_bytes());
        assert!(
            matches!(read, Err(EventError::Signature(_))),
            "{from} -> {to}: {read:?}"
        );
    }
    // Nobody signs in another's name.
    let borrowed = event(Kind::Decision, agent(1), 7).sign(&key(2));
    assert_eq!(borrowed, Err(EventError::Signature("agent-1".into())));
}

#[test]
fn an_event_has_what_its_kind_asks_for() {
    let check = |change: &dyn Fn(&mut governance::log::Event), kind| {
        let (actor, seed) = speaker(kind);
        let mut event = event(kind, actor, 7);
        change(&mut event);
        event.sign(&key(seed)).map(|_| ())
    };
    let field = |kind, field, wanted| Err(EventError::Field { kind, field, wanted });
    let lacks = check(&|e| e.decision = None, Kind::Decision);
    assert_eq!(lacks, field(Kind::Decision, "decision", true));
    let has = check(&|e| e.decision = Some(Decision::Allow), Kind::Release);
    assert_eq!(has, field(Kind::Release, "decision", false));
    let lacks = check(&|e| e.budget_delta = None, Kind::Charge);
    assert_eq!(lacks, field(Kind::Charge, "budget delta", true));
    let lacks = check(&|e| e.contract = None, Kind::Request);
    assert_eq!(lacks, field(Kind::Request, "contract", true));
    for kind in KINDS {
        for reference in kind.concerns() {
            let lacks = check(&|e| e.references.retain(|name, _| name != reference), kind);
            assert_eq!(lacks, Err(EventError::Reference { kind, reference }));
        }
    }
}

#[test]
fn a_charge_moves_tokens_at_a_price_that_means_something() {
    let charge = |tokens, epsilon, delta| {
        let mut event = event(Kind::Charge, agent(1), 7);
        let budget = event.budget_delta.as_mut().unwrap();
        budget.tokens = tokens;
        budget.price = Price::Private {
            epsilon: Real::new(epsilon).unwrap(),
            delta: Real::new(delta).unwrap(),
            rho: Real::new(0.001).unwrap(),
        };
        event.sign(&key(1))
    };
    assert!(charge(1, 0.1, 1e-6).is_ok());
    assert!(charge(-1, 0.1, 1e-6).is_ok(), "a reservation comes back");
    for (tokens, epsilon, delta) in [
        (0, 0.1, 1e-6),
        (1, 0.0, 1e-6),
        (1, -0.1, 1e-6),
        (1, 0.1, 0.0),
        (1, 0.1, 1.0),
    ] {
        assert!(matches!(charge(tokens, epsilon, delta), Err(EventError::Charge(_))));
    }
    let mut without_noise = event(Kind::Charge, agent(1), 7);
    without_noise.budget_delta.as_mut().unwrap().price = Price::WithoutNoise;
    assert!(without_noise.sign(&key(1)).is_ok());
}

#[test]
fn an_event_too_long_for_an_entry_bundle_is_refused() {
    let mut long = event(Kind::Grant, agent(1), 7);
    long.references
        .extend((0..900).map(|i| (format!("column {i}"), hash(1))));
    assert!(matches!(long.sign(&key(1)), Err(EventError::TooLong { found }) if found > 65_535));
}

#[test]
fn erasing_payload_and_salt_leaves_the_leaf_verifiable() {
    let words = Payload {
        salt: hash(77),
        text: r#"{"reason":"patient 4711 withdrew"}"#.into(),
    };
    let mut event = event(Kind::Revocation, agent(1), 7);
    event.payload = Some(words.commitment());
    let signed = event.sign(&key(1)).unwrap();
    assert_eq!(signed.opens(&words), Ok(()));
    // The words cannot be exchanged, and without the salt they cannot be guessed either.
    let other_words = Payload {
        text: "a technical reason".into(),
        ..words.clone()
    };
    let guessed = Payload {
        salt: hash(0),
        ..words.clone()
    };
    for wrong in [other_words, guessed] {
        assert_eq!(signed.opens(&wrong), Err(EventError::Payload));
    }
    assert!(!signed.leaf().contains("4711"));
    let leaf = signed.leaf().to_owned();
    let before = signed.hash();
    drop((signed, words));
    assert_eq!(SignedEvent::parse(leaf.as_bytes()).unwrap().hash(), before);
}

#[test]
fn an_actor_is_who_the_roster_says() {
    let roster = roster();
    let governance = key(99).public();
    let by = |role, id: &str, seed| {
        let actor = Actor {
            role,
            id: id.into(),
            key: key(seed).public(),
        };
        let signed = event(Kind::Suspension, actor, 7).sign(&key(seed)).unwrap();
        signed.by_member(&roster, &governance)
    };
    assert_eq!(by(Role::Agent, "agent-2", 2), Ok(()));
    assert_eq!(by(Role::Analyst, "ana", ANALYST), Ok(()));
    assert_eq!(by(Role::Coordinator, "co", COORDINATOR), Ok(()));
    assert_eq!(by(Role::Governance, "heart", 99), Ok(()));
    // A key of one's own making, somebody else's key, another role, and nobody at all.
    for (role, id, seed) in [
        (Role::Agent, "agent-2", 200),
        (Role::Agent, "agent-2", 3),
        (Role::Analyst, "agent-2", 2),
        (Role::Coordinator, "agent-2", 2),
        (Role::Governance, "heart", COORDINATOR),
        (Role::Agent, "agent-9", 9),
    ] {
        let stranger = by(role, id, seed);
        assert!(
            matches!(stranger, Err(EventError::Stranger { .. })),
            "{role:?} {id} {seed}"
        );
    }
}
