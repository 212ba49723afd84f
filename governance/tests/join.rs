//! Newcomers and their tokens, and what a coordinator that carries them can and cannot do.

use governance::join::{
    Answer, Application, Ask, Authority, Call, CallError, JoinError, JoinTerms, REQUEST_DOMAIN, Token, authority_hash,
};
use governance::log::event::Role;
use governance::{Agent, ContentHash, CoordinatorEntry, Roster, SigningKey};

const NOW: u64 = 1_000_000;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).unwrap()
}

fn roster() -> Roster {
    let agent = |i: u8| Agent {
        id: format!("agent-{i}"),
        organisation: format!("organisation {i}"),
        signing_key: key(i).public(),
        tls_key: ContentHash([i; 32]),
    };
    Roster {
        consortium: "hearts".into(),
        version: 1,
        c: 1,
        min_cohort: 3,
        agents: (1..=3).map(agent).collect(),
        analysts: Vec::new(),
        stewards: Vec::new(),
        coordinator: CoordinatorEntry {
            id: "hub".into(),
            organisation: None,
            tls_key: ContentHash([60; 32]),
            signing_key: key(60).public(),
        },
        retiring: Vec::new(),
    }
}

fn terms(name: &str) -> JoinTerms {
    JoinTerms {
        consortium: "hearts".into(),
        role: Role::Agent,
        name: name.into(),
        organisation: "North Hospital".into(),
        key: key(70).public(),
        expires_at_ms: NOW + 1,
        governance: key(99).public(),
        ca: authority_hash(b"certificate"),
        coordinator: "hub".into(),
    }
}

fn token(name: &str) -> Token {
    Token::issue(terms(name), &key(99), [70; 32]).unwrap()
}

fn body(name: &str, signing: &SigningKey) -> String {
    format!(
        r#"{{"role":"agent","name":"{name}","organisation":"North Hospital","signing_key":"{}","signing_request":"csr"}}"#,
        signing.public()
    )
}

fn application(body: String, signing: &SigningKey, token: Option<&Token>) -> Application {
    Application {
        signature: signing.sign(REQUEST_DOMAIN, body.as_bytes()),
        token: token.map(|token| token.prove(&body).unwrap()),
        body,
    }
}

fn authority(application: &Application, now_ms: u64) -> Result<Authority, JoinError> {
    application.authority(&key(99).public(), &roster(), now_ms)
}

#[test]
fn a_token_is_one_line_that_says_what_to_pin() {
    let text = token("north").text();
    assert!(
        !text.contains(char::is_whitespace) && text.len() < 1200,
        "{}",
        text.len()
    );
    let read = Token::parse(&format!("  {text}\n")).unwrap();
    assert_eq!(read.terms, terms("north"));
    assert_eq!(read.text(), text);
}

#[test]
fn a_token_that_was_cut_altered_or_put_together_is_no_token() {
    let text = token("north").text();
    let parts: Vec<&str> = text.split('.').collect();
    let south = token("south").text();
    let other_secret = {
        let mut terms = terms("north");
        terms.key = key(71).public();
        Token::issue(terms, &key(99), [71; 32]).unwrap().text()
    };
    let others: Vec<&str> = south.split('.').collect();
    let secret: Vec<&str> = other_secret.split('.').collect();
    let mixed = [parts[0], others[1], parts[2], parts[3]].join(".");
    assert!(matches!(Token::parse(&mixed), Err(JoinError::Governance)));
    for bad in [
        String::new(),
        parts[..3].join("."),
        format!("{text}.more"),
        text.replace("sotto-join", "sotto-jojn"),
        [parts[0], parts[1], parts[2], secret[3]].join("."),
        text[..text.len() - 5].to_owned(),
    ] {
        assert!(matches!(Token::parse(&bad), Err(JoinError::Token(_))), "{bad}");
    }
    let mut strange = terms("north");
    strange.governance = key(98).public();
    assert!(Token::issue(strange, &key(99), [70; 32]).is_err());
}

#[test]
fn a_newcomers_request_holds_with_its_token_until_it_expires() {
    let newcomer = key(10);
    let asked = application(body("north", &newcomer), &newcomer, Some(&token("north")));
    assert_eq!(authority(&asked, NOW), Ok(Authority::Token(terms("north"))));
    assert_eq!(authority(&asked, NOW + 1), Err(JoinError::Expired(0)));
    assert_eq!(JoinError::Expired(0).code().0, "SOTTO-2053");
    let carried = serde_json::from_str::<Application>(&serde_json::to_string(&asked).unwrap()).unwrap();
    assert_eq!(carried, asked);
}

#[test]
fn who_carries_a_request_cannot_use_its_token_for_another() {
    let (newcomer, coordinator) = (key(10), key(60));
    let asked = application(body("north", &newcomer), &newcomer, Some(&token("north")));
    // The coordinator saw everything that travels: terms, signature and proof.
    let mut stolen = application(body("north", &coordinator), &coordinator, None);
    stolen.token.clone_from(&asked.token);
    assert_eq!(authority(&stolen, NOW), Err(JoinError::Proof));
    let mut altered = asked.clone();
    altered.body = altered.body.replace("csr", "CSR");
    assert!(matches!(authority(&altered, NOW), Err(JoinError::Request(_))));
}

#[test]
fn a_token_is_for_its_name_and_for_its_governance() {
    let newcomer = key(10);
    let other = application(body("south", &newcomer), &newcomer, Some(&token("north")));
    assert!(matches!(authority(&other, NOW), Err(JoinError::Other { .. })));
    let asked = application(body("north", &newcomer), &newcomer, Some(&token("north")));
    let elsewhere = asked.authority(&key(98).public(), &roster(), NOW);
    assert_eq!(elsewhere, Err(JoinError::Governance));
    let long = application(body(&"n".repeat(20_000), &newcomer), &newcomer, Some(&token("north")));
    assert!(matches!(authority(&long, NOW), Err(JoinError::Request(_))));
}

#[test]
fn without_a_token_only_an_enrolled_signing_key_is_carried() {
    let member = key(1);
    let rotation = application(body("agent-1", &member), &member, None);
    let (role, id) = (Role::Agent, "agent-1".to_owned());
    assert_eq!(authority(&rotation, NOW), Ok(Authority::Member { role, id }));
    for (name, signing) in [("agent-2", key(1)), ("north", key(10))] {
        let asked = application(body(name, &signing), &signing, None);
        assert!(
            matches!(authority(&asked, NOW), Err(JoinError::Stranger { .. })),
            "{name}"
        );
    }
}

#[test]
fn a_call_of_governance_counts_once_lately_and_at_its_coordinator() {
    let call = Call {
        coordinator: "hub".into(),
        at_ms: NOW,
        ask: Ask::Answer {
            application: ContentHash([1; 32]),
            answer: Answer::Refused {
                code: "SOTTO-7111".into(),
                message: "used".into(),
                remedy: String::new(),
            },
            roster: None,
        },
    };
    let signed = call.sign(&key(99)).unwrap();
    let verify = |coordinator, now_ms, last_ms| signed.verify(&key(99).public(), coordinator, now_ms, last_ms);
    assert_eq!(verify("hub", NOW + 5, 0), Ok(call.clone()));
    assert!(matches!(verify("hub", NOW + 5, NOW), Err(CallError::Again { .. })));
    assert!(matches!(verify("hub", NOW + 60_001, 0), Err(CallError::Stale { .. })));
    assert!(matches!(verify("other", NOW, 0), Err(CallError::Coordinator { .. })));
    assert_eq!(
        signed.verify(&key(98).public(), "hub", NOW, 0),
        Err(CallError::Signature)
    );
}
