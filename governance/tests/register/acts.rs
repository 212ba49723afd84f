//! The acts beside grants: suspensions, purposes, policies, contracts; and what makes an act its signer's.

use governance::act::{By, Layer, SignedAct};
use governance::grant::{GrantError, Terms};
use governance::log::Kind;
use governance::log::event::Role;
use governance::purpose::{Term, VocabularyError};
use governance::register::AtDoor;
use governance::roster::in_force;
use governance::{Act, ActError, ContentHash, NotAtHand, Register, RegisterError, Roster, Stage, Steward, What};

use super::Consortium;
use super::world::*;

#[test]
fn a_suspension_reaches_as_far_as_its_signer_speaks() {
    let mut c = Consortium::default();
    let stops = |c: &Consortium, owner: &str, name: &str| c.register.suspension(owner, &organisation(name)).is_some();
    let said = |who: &str, name: &str| {
        says(
            who,
            What::Suspended {
                subject: organisation(name),
            },
        )
    };
    c.take(&said("nora", "university")).unwrap();
    assert!(stops(&c, "north", "university") && !stops(&c, "east", "university"));
    c.take(&said("una", "university")).unwrap();
    assert!(stops(&c, "east", "university"), "its own people, everywhere");
    c.take(&said("heart", "institute")).unwrap();
    assert!(stops(&c, "south", "institute"));
    assert!(matches!(
        c.take(&said("ana", "institute")),
        Err(RegisterError::MayNot { .. })
    ));
    let held = |c: &Consortium, who: &str, name: &str| c.register.held(&by(who), &organisation(name));
    let named = held(&c, "heart", "institute");
    assert!(held(&c, "nora", "institute").is_empty());
    let lifts = |who: &str, name: &str| {
        says(
            who,
            What::Reinstated {
                subject: organisation(name),
                lifts: named.clone(),
            },
        )
    };
    assert_eq!(
        c.take(&lifts("nora", "institute")),
        Err(RegisterError::NotSuspended("north".into()))
    );
    // What was suspended again after the signer had looked stays suspended.
    let again = says_at(
        "heart",
        NOW + 1,
        What::Suspended {
            subject: organisation("institute"),
        },
    );
    c.take(&again).unwrap();
    c.take(&lifts("heart", "institute")).unwrap();
    assert!(stops(&c, "south", "institute"));
    assert_eq!(held(&c, "heart", "institute"), [again.hash()].into());
    let last = What::Reinstated {
        subject: organisation("institute"),
        lifts: [again.hash()].into(),
    };
    c.take(&says("heart", last)).unwrap();
    assert!(!stops(&c, "south", "institute"));
    let unnamed = What::Reinstated {
        subject: organisation("university"),
        lifts: [].into(),
    };
    assert_eq!(c.take(&says("una", unnamed)), Err(RegisterError::LiftsUnnamed));
}

#[test]
fn an_acts_event_stands_on_its_signers_word() {
    let suspended = says(
        "nora",
        What::Suspended {
            subject: organisation("institute"),
        },
    );
    let logged = suspended.logged(&roster(), &governance_key()).unwrap().unwrap();
    let event = logged.event();
    assert_eq!((event.kind, event.actor.id.as_str()), (Kind::Suspension, "nora"));
    assert_eq!(event.references["act"], suspended.hash());
    assert_eq!(event.references["suspended"], organisation("institute").hash());
    logged.by_member(&roster(), &governance_key()).unwrap();

    // Somebody else's signature of the event, or one of another act's.
    let other = says(
        "nora",
        What::Suspended {
            subject: organisation("university"),
        },
    );
    let moved = SignedAct {
        event: other.event,
        ..suspended.clone()
    };
    assert_eq!(
        moved.logged(&roster(), &governance_key()),
        Err(ActError::EventSignature("nora".into()))
    );
    // From before there was one: the act is read as ever, under the same name and in the same bytes.
    let plain = SignedAct {
        event: vec![],
        ..suspended.clone()
    };
    assert_eq!(plain.logged(&roster(), &governance_key()), Ok(None));
    assert_eq!(plain.hash(), suspended.hash());
    assert!(!serde_json::to_string(&plain).unwrap().contains("event"));
}

/// A roster of before brings nobody back, whatever the log names after it, and without the rosters nobody is judged.
#[test]
fn the_newest_roster_that_the_log_names_before_a_place_is_in_force_there() {
    let rosters: Vec<Roster> = (1..=3).map(|version| Roster { version, ..roster() }).collect();
    let hash = |version: u64| ContentHash([version as u8; 32]);
    let known = |of: &ContentHash| rosters.iter().find(|roster| hash(roster.version) == *of);
    let at = |named: &[u64]| in_force(named.iter().map(|version| hash(*version)), known);
    assert_eq!(at(&[]), Ok(None));
    for (named, version) in [(&[1][..], 1), (&[1, 2], 2), (&[1, 3, 2], 3), (&[3, 1, 1], 3)] {
        assert_eq!(at(named).unwrap().unwrap().version, version, "{named:?}");
    }
    assert_eq!(at(&[1, 4, 2]), Err(NotAtHand(hash(4))));
}

#[test]
fn purposes_and_policies_only_rise_and_only_their_own_people_sign_them() {
    let mut c = Consortium::default();
    let term = |id: &str, broader: &str| Term {
        id: id.to_owned(),
        label: id.to_owned(),
        broader: [broader.to_owned()].into(),
    };
    let vocabulary = |version, terms: &[Term]| What::VocabularyPublished {
        version,
        terms: terms.to_vec(),
    };
    let rehab = term("heart:rehab", "DUO:0000007");
    assert!(matches!(
        c.take(&says("nora", vocabulary(1, std::slice::from_ref(&rehab)))),
        Err(RegisterError::MayNot { .. })
    ));
    c.take(&says("heart", vocabulary(1, std::slice::from_ref(&rehab))))
        .unwrap();
    assert!(c.register.vocabulary().subsumes("DUO:0000042", "heart:rehab"));
    let circle = [term("a", "b"), term("b", "a")];
    let refused = c.take(&says("heart", vocabulary(2, &circle)));
    assert_eq!(
        refused,
        Err(RegisterError::Vocabulary(VocabularyError::Cycle("a".into())))
    );
    assert!(matches!(
        c.take(&says("heart", vocabulary(1, &[]))),
        Err(RegisterError::Stale { .. })
    ));
    assert_eq!(c.register.vocabulary_version(), 1);

    let policy = |layer: &Layer, version, bundle: &str| What::PolicyPublished {
        layer: layer.clone(),
        version,
        bundle: bundle.to_owned(),
    };
    let north = Layer::Owner("north".to_owned());
    for (who, layer) in [
        ("ed", &north),
        ("heart", &north),
        ("nora", &Layer::Consortium),
        ("agent-north", &north),
    ] {
        assert!(
            matches!(
                c.take(&says(who, policy(layer, 1, "x"))),
                Err(RegisterError::MayNot { .. })
            ),
            "{who}"
        );
    }
    c.take(&says("nora", policy(&north, 3, "forbid"))).unwrap();
    assert!(matches!(
        c.take(&says("nora", policy(&north, 3, "permit"))),
        Err(RegisterError::Stale { .. })
    ));
    let held = c.register.policy(&north).unwrap();
    assert_eq!((held.version, held.bundle.as_str()), (3, "forbid"));
    assert!(c.register.policy(&Layer::Consortium).is_none());
}

#[test]
fn a_contract_only_moves_forward() {
    let mut c = Consortium::default();
    let contract = ContentHash([5; 32]);
    let moved = |to| What::ContractMoved {
        dataset: "heart".to_owned(),
        contract,
        to,
    };
    let deprecated = Stage::Deprecated { until_ms: NOW + DAY };
    assert!(matches!(
        c.take(&says("nora", moved(deprecated))),
        Err(RegisterError::Contract { .. })
    ));
    for to in [Stage::Proposed, Stage::Active, deprecated] {
        c.take(&says("nora", moved(to))).unwrap();
        assert_eq!(c.register.contract("north", &contract).unwrap().stage, to);
    }
    assert!(matches!(
        c.take(&says_at("nora", NOW + 1, moved(Stage::Active))),
        Err(RegisterError::Contract { .. })
    ));
    assert!(matches!(
        c.take(&says("agent-north", moved(Stage::Retired))),
        Err(RegisterError::MayNot { .. })
    ));
    assert!(c.register.contract("east", &contract).is_none());
}

#[test]
fn an_act_is_its_signers_words_and_nobody_elses() {
    let mut c = Consortium::default();
    let signed = says(
        "ana",
        What::GrantRequested {
            terms: terms("ana"),
            steward_agrees: true,
        },
    );
    assert_eq!(c.take(&signed).unwrap(), c.take(&signed).unwrap());
    assert_eq!(c.register.grants(&by("ana")).count(), 1);

    let altered = SignedAct {
        body: signed.body.replace("chol", "bmi"),
        ..signed.clone()
    };
    assert_eq!(
        c.take(&altered),
        Err(RegisterError::Act(ActError::Signature("ana".into())))
    );
    let spaced = SignedAct {
        body: signed.body.replace(":", ": "),
        ..signed.clone()
    };
    assert!(matches!(
        c.take(&spaced),
        Err(RegisterError::Act(ActError::Malformed(_)))
    ));
    let mut posing: Act = signed.read().unwrap();
    posing.by.role = Role::Steward;
    assert!(matches!(
        c.take(&posing.sign(&key(20)).unwrap()),
        Err(RegisterError::Act(ActError::Stranger { .. }))
    ));
    let mut elsewhere: Act = signed.read().unwrap();
    elsewhere.by.organisation = "institute".to_owned();
    assert!(matches!(
        c.take(&elsewhere.sign(&key(20)).unwrap()),
        Err(RegisterError::Act(ActError::Stranger { .. }))
    ));
    let long = Act {
        note: "x".repeat(501),
        ..signed.read().unwrap()
    };
    assert!(matches!(long.sign(&key(20)), Err(ActError::Malformed(_))));
}

#[test]
fn a_person_is_never_both_analyst_and_steward() {
    let mut by_name = roster();
    by_name.stewards[0].id = "ana".to_owned();
    let mut by_key = roster();
    by_key.stewards[0].key = by_key.analysts[0].key;
    for roster in [by_name, by_key] {
        assert!(roster.sign(&key(99)).unwrap_err().to_string().contains("appears twice"));
    }
    // A roster without stewards keeps the bytes that it had before there were any.
    let mut plain = roster();
    plain.stewards.clear();
    assert!(!plain.sign(&key(99)).unwrap().body.contains("stewards"));
}

/// Whoever is asked keeps every request, so nobody may ask without end; an answer makes room, and so does taking one back.
#[test]
fn a_person_waits_for_so_many_answers_and_an_act_is_no_library() {
    let mut c = Consortium::default();
    let asks = |at_ms: u64| {
        let (terms, steward_agrees) = (terms("ian"), false);
        says_at("ian", at_ms, What::GrantRequested { terms, steward_agrees })
    };
    let asked: Vec<ContentHash> = (0..100).map(|i| c.take_at(&asks(NOW + i), NOW).unwrap()).collect();
    let full = Err(RegisterError::Unanswered("ian".into()));
    assert_eq!(c.take(&asks(NOW + 100)), full);
    assert!(c.requested("ana") != asked[0], "another's requests are another's");
    c.take(&says("nora", offer(asked[0], "north", terms("ian")))).unwrap();
    c.take(&asks(NOW + 101)).unwrap();
    assert_eq!(c.take(&asks(NOW + 102)), full);
    let back = What::GrantRevoked {
        grant: asked[1],
        owner: None,
    };
    c.take(&says("ian", back)).unwrap();
    c.take(&asks(NOW + 102)).unwrap();

    let columns: Vec<String> = (0..400).map(|i| format!("{i:0>190}")).collect();
    let terms = Terms {
        columns: names(&columns.iter().map(String::as_str).collect::<Vec<_>>()),
        ..terms("ana")
    };
    let steward_agrees = true;
    let long = c.take(&says("ana", What::GrantRequested { terms, steward_agrees }));
    assert!(
        matches!(long, Err(RegisterError::Long { found }) if found > 64 * 1024),
        "{long:?}"
    );
}

#[test]
fn of_its_own_data_an_organisation_takes_two_stewards() {
    let (mut register, mut with) = (Register::default(), roster());
    with.stewards.push(Steward {
        id: "ned".to_owned(),
        key: key(33).public(),
        tls_key: ContentHash([33; 32]),
        ..with.stewards[0].clone()
    });
    with.analysts[0].organisation = "north".to_owned();
    let mut says = |id: &str, role: Role, seed: u8, what: What| {
        let (id, organisation) = (id.to_owned(), "north".to_owned());
        let by = By { role, id, organisation };
        let (at_ms, note) = (NOW, String::new());
        let signed = Act { by, at_ms, note, what }.sign(&key(seed)).unwrap();
        if let AtDoor::New(act) = register.at_door(&signed, &with, &governance_key(), NOW)? {
            register.apply(signed.hash(), &act)?;
        }
        Ok::<_, RegisterError>(signed.hash())
    };
    let terms = Terms {
        requester: "ana".to_owned(),
        organisation: "north".to_owned(),
        owners: ["north".to_owned()].into(),
        ..terms("ana")
    };
    let asked = What::GrantRequested {
        terms: terms.clone(),
        steward_agrees: true,
    };
    let grant = says("ana", Role::Analyst, 20, asked).unwrap();
    says("nora", Role::Steward, 30, offer(grant, "north", terms)).unwrap();
    let alone = says("nora", Role::Steward, 30, agree(grant, "north", 2));
    assert_eq!(alone, Err(RegisterError::Grant(GrantError::OnePerson)));
    says("ned", Role::Steward, 33, agree(grant, "north", 2)).unwrap();
    let line = &register.any_grant(&grant).unwrap().lines["north"];
    let status = line.status(NOW + 1, &governance::grant::Unlogged);
    assert_eq!(status, governance::Status::Active);
}
