//! Contracts, rosters, requests and decisions as an owner, a governance holder and an analyst meet them.

use governance::decision::{ColumnsRead, Decide, LocalRules, Question, Verdict};
use governance::grant::Unlogged;
use governance::log::event::Role;
use governance::request::{MAX_SKEW_MS, RequestError};
use governance::{
    Agent, Analyst, ContentHash, Contract, CoordinatorEntry, LogicalType, NullRule, Register, Request, Retiring,
    Roster, RosterError, SigningKey, canonical,
};
use proptest::prelude::*;

const HEART: &str = include_str!("../contracts/heart.toml");
const HIE: &str = include_str!("../contracts/hie.toml");

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).unwrap()
}

fn hash(byte: u8) -> ContentHash {
    ContentHash([byte; 32])
}

fn roster() -> Roster {
    let agent = |i: u8| Agent {
        id: format!("agent-{i}"),
        organisation: format!("hospital {i}"),
        signing_key: key(i).public(),
        tls_key: hash(i),
    };
    Roster {
        consortium: "heart".into(),
        version: 3,
        c: 1,
        min_cohort: 3,
        agents: (1..=4).map(agent).collect(),
        analysts: vec![Analyst {
            id: "ana".into(),
            organisation: "university".into(),
            key: key(50).public(),
            tls_key: hash(50),
        }],
        stewards: vec![],
        coordinator: CoordinatorEntry {
            id: "co".into(),
            organisation: None,
            tls_key: hash(60),
            signing_key: key(60).public(),
        },
        retiring: Vec::new(),
    }
}

fn request() -> Request {
    Request {
        nonce: hash(9),
        analyst: "ana".into(),
        dataset: "heart".into(),
        contract: Contract::parse(HEART).unwrap().hash(),
        purpose: "research".into(),
        kind: "query".into(),
        task: r#"{"sql":"SELECT COUNT(*) FROM heart"}"#.into(),
        epsilon: 0.1,
        delta: 1e-6,
        max_attempts: 2,
        issued_at_ms: 1_000_000,
        expires_at_ms: 1_600_000,
    }
}

#[test]
fn the_example_contracts_say_what_they_mean() {
    let heart = Contract::parse(HEART).unwrap();
    assert_eq!(
        (heart.name.as_str(), heart.privacy_unit.as_deref(), heart.max_rows),
        ("heart", None, 1000)
    );
    let chol = heart.column("chol").unwrap();
    assert!(chol.nullable && chol.null_rule == NullRule::Ignore && chol.can_be_null());
    assert_eq!(chol.bounds.map(|b| (b.min.get(), b.max.get())), Some((80.0, 620.0)));
    assert!(!heart.column("id").unwrap().queryable && heart.column("dataset").unwrap().site_identifying);
    let hie = Contract::parse(HIE).unwrap();
    assert_eq!(hie.privacy_unit.as_deref(), Some("zper"));
    assert_eq!((hie.contribution.max_rows, hie.contribution.participants), (5, 1));
    assert_eq!(hie.column("year").unwrap().logical_type, LogicalType::Integer);
    for contract in [heart, hie] {
        let again = Contract::from_canonical_json(&contract.canonical_json()).unwrap();
        assert_eq!((again.hash(), &again), (contract.hash(), &contract));
    }
}

#[test]
fn comments_and_spacing_do_not_change_a_contract_but_every_term_does() {
    let contract = Contract::parse(HEART).unwrap();
    let spaced = format!("# another comment\n{}", HEART.replace(" = ", "   =  "));
    assert_eq!(Contract::parse(&spaced).unwrap().hash(), contract.hash());
    for (from, to) in [
        ("maximum = 620", "maximum = 621"),
        ("maxRows = 1000", "maxRows = 1001"),
        ("delta = 1e-6", "delta = 1e-7"),
        ("\"quality\"", "\"audit\""),
        ("identifiesSite = true", "identifiesSite = false"),
        ("version = \"1.0.0\"", "version = \"1.0.1\""),
    ] {
        assert!(HEART.contains(from));
        assert_ne!(
            Contract::parse(&HEART.replace(from, to)).unwrap().hash(),
            contract.hash(),
            "{to}"
        );
    }
}

#[test]
fn a_faulty_contract_names_the_line_and_what_to_do() {
    let line_of = |text: &str, needle: &str| text.lines().position(|l| l.contains(needle)).unwrap() + 1;
    for (from, to, message) in [
        (
            "logicalType = \"integer\"\nrequired = true\nunit = \"years\"",
            "logicalType = \"int\"\nrequired = true",
            "unknown variant `int`",
        ),
        (
            "minimum = 20, maximum = 90",
            "minimum = 90, maximum = 20",
            "is not below",
        ),
        ("minimum = 20, maximum = 90", "minimum = 20", "come together"),
        (
            "minimum = 20, maximum = 90",
            "minimum = 20.5, maximum = 90",
            "whole numbers",
        ),
        (
            "minimum = 20, maximum = 90",
            "minimum = \"low\", maximum = 90",
            "finite number",
        ),
        (
            "categories = [\"Female\", \"Male\"]",
            "categories = [\"Male\", \"Male\"]",
            "twice",
        ),
        ("name = \"sex\"", "name = \"age\"", "appears twice"),
        ("name = \"sex\"", "name = \"the sex\"", "rename it"),
        ("name = \"heart\"", "name = \"he art\"", "dataset name"),
        (
            "purposes = [\"research\", \"quality\"]",
            "purposes = []",
            "at least one",
        ),
        ("delta = 1e-6", "delta = 0.5", "at most 0.001"),
        ("maxRows = 1000", "maxRows = 0", "maxRows"),
        ("maxRows = 1000", "maxRows = 1000\nunit = \"patient\"", "not a column"),
        (
            "maxRows = 1000",
            "maxRows = 1000\ncontribution = { rows = 3 }",
            "a row is the unit",
        ),
        (
            "nulls = \"ignore\"",
            "nulls = { impute = \"none\" }",
            "expected a finite number",
        ),
        ("nulls = \"ignore\"", "nulls = { impute = 1e9 }", "outside"),
        ("queryable = false", "queriable = false", "unknown field"),
        ("version = \"1.0.0\"", "version = 1", "invalid type"),
        ("kind = \"DataContract\"", "kind = \"Contract\"", "DataContract"),
    ] {
        assert!(HEART.contains(from), "{from}");
        let text = HEART.replacen(from, to, 1);
        let error = Contract::parse(&text).unwrap_err();
        assert!(error.message.contains(message), "{to}: {error}");
        assert!(error.line >= 1 && error.line <= text.lines().count(), "{error}");
        if message == "unknown field" {
            assert_eq!(error.line, line_of(&text, "queriable"));
        }
        if message == "is not below" {
            let header = text.lines().take(line_of(&text, "minimum = 90")).collect::<Vec<_>>();
            let table = header
                .iter()
                .rposition(|l| l.contains("[[schema.properties]]"))
                .unwrap()
                + 1;
            assert!((table..=header.len()).contains(&error.line), "{error}");
        }
    }
}

#[test]
fn only_governance_makes_a_roster_and_versions_only_rise() {
    let governance = key(99);
    let signed = roster().sign(&governance).unwrap();
    assert_eq!(signed.verify(&governance.public()).unwrap(), roster());
    assert!(matches!(
        signed.verify(&key(98).public()),
        Err(RosterError::Signature(_))
    ));
    let mut forged = signed.clone();
    forged.body = forged.body.replace("\"c\":1", "\"c\":0");
    assert!(matches!(
        forged.verify(&governance.public()),
        Err(RosterError::Signature(_))
    ));
    let text = serde_json::to_string(&signed).unwrap();
    assert_eq!(serde_json::from_str::<governance::SignedRoster>(&text).unwrap(), signed);
    let next = Roster { version: 4, ..roster() };
    assert_eq!(next.supersedes(&roster()), Ok(()));
    assert!(matches!(
        roster().supersedes(&next),
        Err(RosterError::Stale { current: 4, found: 3 })
    ));
    assert!(matches!(roster().supersedes(&roster()), Err(RosterError::Stale { .. })));
    assert!(
        Roster {
            consortium: "other".into(),
            ..next
        }
        .supersedes(&roster())
        .is_err()
    );
}

#[test]
fn an_inconsistent_roster_cannot_be_signed() {
    let refused = |change: &dyn Fn(&mut Roster)| {
        let mut roster = roster();
        change(&mut roster);
        roster.sign(&key(99)).unwrap_err()
    };
    assert!(matches!(refused(&|r| r.agents.truncate(2)), RosterError::TooFew(2)));
    assert!(matches!(refused(&|r| r.c = 0), RosterError::Colluders { .. }));
    assert!(matches!(refused(&|r| r.c = 3), RosterError::Colluders { .. }));
    assert!(matches!(refused(&|r| r.min_cohort = 2), RosterError::MinCohort { .. }));
    assert!(matches!(refused(&|r| r.min_cohort = 5), RosterError::MinCohort { .. }));
    let twice = |change: &dyn Fn(&mut Roster)| assert!(matches!(refused(change), RosterError::Twice { .. }));
    twice(&|r| r.agents[1].id = r.agents[0].id.clone());
    twice(&|r| r.agents[1].organisation = r.agents[0].organisation.clone());
    twice(&|r| r.agents[1].signing_key = r.agents[0].signing_key);
    twice(&|r| r.agents[1].tls_key = r.coordinator.tls_key);
    twice(&|r| r.analysts.push(r.analysts[0].clone()));
}

fn retiring(role: Role, id: &str, byte: u8) -> Retiring {
    Retiring {
        role,
        id: id.into(),
        tls_key: hash(byte),
        until_ms: 1_000,
    }
}

#[test]
fn a_retiring_key_counts_beside_the_new_one_until_its_moment_and_for_its_member_alone() {
    let mut roster = roster();
    let id = roster.agents[0].id.clone();
    let (own, other) = (roster.agents[0].tls_key, roster.agents[1].id.clone());
    roster.retiring = vec![retiring(Role::Agent, &id, 77)];
    let roster = roster.sign(&key(99)).unwrap().verify(&key(99).public()).unwrap();
    let accepts = |id: &str, key, now_ms| roster.accepts(Role::Agent, id, &key, now_ms);
    assert_eq!(accepts(&id, hash(77), 999), Some(true));
    assert_eq!(accepts(&id, hash(77), 1_000), Some(false), "the overlap has ended");
    assert_eq!(accepts(&id, own, 5_000), Some(true));
    assert_eq!(accepts(&other, hash(77), 0), Some(false));
    assert_eq!(accepts("nobody", hash(77), 0), None);
    assert_eq!(roster.accepts(Role::Analyst, &id, &hash(77), 0), None);
    assert_eq!(
        (roster.next_retirement_ms(0), roster.next_retirement_ms(1_000)),
        (Some(1_000), None)
    );
}

#[test]
fn a_roster_without_a_retiring_key_keeps_its_bytes_and_one_with_a_wrong_one_is_not_signed() {
    assert!(!canonical::to_string(&roster()).unwrap().contains("retiring"));
    let refused = |entries: Vec<Retiring>| {
        let retiring = entries;
        Roster { retiring, ..roster() }.sign(&key(99)).unwrap_err()
    };
    let (first, current) = (roster().agents[0].id.clone(), roster().agents[1].tls_key);
    let of_nobody = refused(vec![retiring(Role::Steward, &first, 77)]);
    assert!(matches!(of_nobody, RosterError::Retiring { .. }));
    let mut of_another = retiring(Role::Agent, &first, 77);
    of_another.tls_key = current;
    assert!(matches!(refused(vec![of_another]), RosterError::Twice { .. }));
    let twice = vec![retiring(Role::Agent, &first, 77), retiring(Role::Agent, &first, 78)];
    assert!(matches!(refused(twice), RosterError::Twice { .. }));
}

#[test]
fn a_request_holds_for_its_analyst_its_bytes_and_its_time() {
    let signed = request().sign(&key(50)).unwrap();
    let now = 1_200_000;
    assert_eq!(signed.verify(&roster(), now), Ok(request()));
    let mut altered = signed.clone();
    altered.body = String::from_utf8(altered.body)
        .unwrap()
        .replace("\"0.1\"", "\"9.1\"")
        .into_bytes();
    assert!(matches!(
        altered.verify(&roster(), now),
        Err(RequestError::Signature(_))
    ));
    assert_ne!(altered.hash(), signed.hash());
    assert!(matches!(
        request().sign(&key(51)).unwrap().verify(&roster(), now),
        Err(RequestError::Signature(_))
    ));
    assert!(matches!(
        signed.verify(&roster(), 1_600_000),
        Err(RequestError::Expired { .. })
    ));
    assert!(signed.verify(&roster(), 1_000_000 - MAX_SKEW_MS).is_ok());
    assert!(matches!(
        signed.verify(&roster(), 999_999 - MAX_SKEW_MS),
        Err(RequestError::Future { .. })
    ));
    let stranger = Request {
        analyst: "eve".into(),
        ..request()
    }
    .sign(&key(50))
    .unwrap();
    assert!(matches!(
        stranger.verify(&roster(), now),
        Err(RequestError::UnknownAnalyst(_))
    ));
    for bad in [
        Request {
            epsilon: 0.0,
            ..request()
        },
        Request {
            epsilon: f64::NAN,
            ..request()
        },
        Request {
            epsilon: f64::INFINITY,
            ..request()
        },
        Request {
            delta: 1.0,
            ..request()
        },
        Request {
            max_attempts: 0,
            ..request()
        },
        Request {
            expires_at_ms: 1_000_000,
            ..request()
        },
        Request {
            expires_at_ms: u64::MAX,
            ..request()
        },
    ] {
        assert!(bad.sign(&key(50)).is_err(), "{bad:?}");
    }
}

#[test]
fn the_owner_decides_and_absence_is_refusal() {
    let contract = Contract::parse(HEART).unwrap();
    let columns = ColumnsRead::of(&contract, vec!["age".to_string(), "chol".to_string()]);
    let asked = request();
    let question = Question {
        request: &asked,
        contract: &contract,
        contract_hash: contract.hash(),
        organisation: "university",
        owner: "hospital 1",
        consortium: "hospitals",
        register: &Register::default(),
        witnessed: &Unlogged,
        columns: &columns,
        aggregates: &[],
        noise: true,
        s_min: 3,
        now_ms: 0,
    };
    let rule = |rules: &LocalRules, question: &Question<'_>| match rules.decide(question) {
        Verdict::Allow { .. } => "allow",
        Verdict::Deny { rule, reason, remedy } => {
            assert!(!reason.is_empty() && !remedy.is_empty());
            rule
        }
    };
    assert_eq!(rule(&LocalRules::default(), &question), "grant.none");
    let mut rules = LocalRules::default();
    rules.analysts.entry("heart".into()).or_default().insert("ana".into());
    assert_eq!(rule(&rules, &question), "allow");
    assert_eq!(
        rule(
            &rules,
            &Question {
                contract_hash: hash(0),
                ..question
            }
        ),
        "local.contract"
    );
    let marketing = Request {
        purpose: "marketing".into(),
        ..request()
    };
    assert_eq!(
        rule(
            &rules,
            &Question {
                request: &marketing,
                ..question
            }
        ),
        "contract.purpose"
    );
    let id = ColumnsRead::of(&contract, vec!["id".to_string()]);
    assert_eq!(
        rule(
            &rules,
            &Question {
                columns: &id,
                ..question
            }
        ),
        "local.column"
    );
    rules
        .forbidden_columns
        .entry("heart".into())
        .or_default()
        .insert("chol".into());
    assert_eq!(rule(&rules, &question), "local.column");
}

proptest! {
    #[test]
    fn no_text_makes_a_reader_panic(text in "\\PC{0,200}", at in 0..HEART.len(), cut in 0..40usize) {
        let _ = Contract::parse(&text);
        let _ = Contract::from_canonical_json(&text);
        if HEART.is_char_boundary(at) {
            let end = (at + cut..).find(|e| HEART.len() < *e || HEART.is_char_boundary(*e)).unwrap().min(HEART.len());
            let _ = Contract::parse(&format!("{}{text}{}", &HEART[..at], &HEART[end..]));
        }
        let request = governance::SignedRequest { body: text.clone().into_bytes(), signature: vec![0; 64], event: vec![0; 64] };
        prop_assert!(request.verify(&roster(), 0).is_err());
        let signed = governance::SignedRoster { body: text, signature: vec![0; 64] };
        prop_assert!(signed.verify(&key(99).public()).is_err());
    }

    #[test]
    fn a_contract_survives_its_canonical_form(min in -1000..1000i32, width in 1..1000i32, rows in 1..100_000u64) {
        let text = HEART
            .replace("minimum = 20, maximum = 90", &format!("minimum = {min}, maximum = {}", min + width))
            .replace("maxRows = 1000", &format!("maxRows = {rows}"));
        let contract = Contract::parse(&text).unwrap();
        let json = contract.canonical_json();
        prop_assert_eq!(canonical::to_string(&serde_json::from_str::<serde_json::Value>(&json).unwrap()).unwrap(), json.clone());
        prop_assert_eq!(Contract::from_canonical_json(&json).unwrap(), contract);
    }
}
