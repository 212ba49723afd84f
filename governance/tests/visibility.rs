//! Who may read a contract: the level as a file declares it, and what follows for its name.

use governance::Contract;
use governance::contract::Visibility;

const HEART: &str = include_str!("../contracts/heart.toml");

fn with(properties: &str) -> String {
    HEART.replace(
        "[privacy]\n",
        &format!("customProperties = {properties}\n\n[privacy]\n"),
    )
}

#[test]
fn a_contract_that_says_nothing_shows_its_schema_and_keeps_the_hash_it_always_had() {
    let heart = Contract::parse(HEART).unwrap();
    assert_eq!(heart.visibility, Visibility::Schema);
    assert!(!heart.canonical_json().contains("visibility"));
    let spelled = Contract::parse(&with("[{ property = \"visibility\", value = \"schema\" }]")).unwrap();
    assert_eq!(spelled.hash(), heart.hash());
}

#[test]
fn every_level_is_read_named_and_survives_the_canonical_form() {
    for (name, level) in [("hidden", Visibility::Hidden), ("listed", Visibility::Listed)] {
        let contract =
            Contract::parse(&with(&format!("[{{ property = \"visibility\", value = \"{name}\" }}]"))).unwrap();
        assert_eq!((contract.visibility, level.to_string().as_str()), (level, name));
        let again = Contract::from_canonical_json(&contract.canonical_json()).unwrap();
        assert_eq!(again, contract);
        assert_ne!(contract.hash(), Contract::parse(HEART).unwrap().hash());
    }
}

#[test]
fn whoever_is_admitted_sees_the_schema_at_every_level_and_nobody_else_more_than_the_level() {
    for level in [Visibility::Hidden, Visibility::Listed, Visibility::Schema] {
        assert_eq!(level.shown(true), Visibility::Schema);
        assert_eq!(level.shown(false), level);
    }
}

#[test]
fn an_unknown_level_or_property_is_refused_with_its_line_and_what_to_write() {
    let line = 1 + with("[]")
        .lines()
        .position(|line| line.starts_with("customProperties"))
        .unwrap();
    for (properties, says) in [
        (
            "[{ property = \"visibility\", value = \"secret\" }]",
            "expected hidden, listed or schema",
        ),
        (
            "[{ property = \"colour\", value = \"hidden\" }]",
            "expected `visibility`",
        ),
        (
            "[{ property = \"visibility\", value = \"hidden\" }, { property = \"visibility\", value = \"listed\" }]",
            "declared twice",
        ),
    ] {
        let error = Contract::parse(&with(properties)).unwrap_err();
        assert!(error.message.contains(says), "{error}");
        assert_eq!(error.line, line);
    }
}
