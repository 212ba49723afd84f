//! The table of edits (`edits.rs`), and what holds for every comparison.

mod edits;

use edits::{BASE, EDITS, edited};
use governance::Contract;
use governance::contract::compat::{Change, Claim, Verdict, claim, compare, overall};

fn contract(text: &str) -> Contract {
    Contract::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn told(changes: &[Change]) -> String {
    let line = |c: &Change| {
        format!(
            "  {:?} {} {:?} -> {:?}: {} {}\n",
            c.column, c.term, c.old, c.new, c.verdict, c.claim
        )
    };
    changes.iter().map(line).collect()
}

/// The same seen from the other side.
fn mirrored(verdict: Verdict) -> Verdict {
    Verdict::new(verdict.is_forward(), verdict.is_backward())
}

#[test]
fn every_edit_has_the_verdict_and_the_price_that_the_table_says() {
    let old = contract(BASE);
    let mut wrong = String::new();
    for edit in EDITS {
        let (what, _, _, verdict, price) = *edit;
        let changes = compare(&old, &contract(&edited(edit)));
        if (overall(&changes), claim(&changes)) != (verdict, price) {
            wrong += &format!(
                "{what}: expected {verdict} {price}, got {} {}\n{}",
                overall(&changes),
                claim(&changes),
                told(&changes)
            );
        }
        assert!(!changes.is_empty(), "{what}: nothing was found");
        assert!(changes.iter().all(|change| !change.why.is_empty()), "{what}");
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(EDITS.len() >= 35);
}

#[test]
fn taking_an_edit_back_mirrors_its_verdict() {
    let old = contract(BASE);
    for edit in EDITS {
        let back = overall(&compare(&contract(&edited(edit)), &old));
        assert_eq!(back, mirrored(edit.3), "{}", edit.0);
    }
}

#[test]
fn a_contract_compared_with_itself_differs_in_nothing() {
    for text in [
        BASE,
        include_str!("../../contracts/heart.toml"),
        include_str!("../../contracts/hie.toml"),
    ] {
        assert_eq!(compare(&contract(text), &contract(text)), []);
    }
    assert_eq!((overall(&[]), claim(&[])), (Verdict::Full, Claim::Same));
}

#[test]
fn whatever_changes_the_hash_is_a_change_that_is_told() {
    let old = contract(BASE);
    for edit in EDITS {
        let new = contract(&edited(edit));
        assert_ne!(old.hash(), new.hash(), "{}", edit.0);
    }
    // The order of columns is in the hash and in no question.
    let columns: Vec<&str> = BASE.split("[[schema.properties]]").collect();
    let mut turned = columns.clone();
    turned[1..].reverse();
    let turned = contract(&turned.join("[[schema.properties]]"));
    assert_ne!(old.hash(), turned.hash());
    let changes = compare(&old, &turned);
    assert_eq!(overall(&changes), Verdict::Full);
    assert_eq!(
        changes.iter().map(|c| c.term).collect::<Vec<_>>(),
        ["order of columns", "version"]
    );
}

#[test]
fn terms_that_change_under_an_old_version_number_are_pointed_out() {
    let version = |text: &str| {
        let changes = compare(&contract(BASE), &contract(text));
        changes.into_iter().find(|change| change.term == "version").unwrap()
    };
    let same = version(&BASE.replace("maxRows = 500", "maxRows = 600"));
    assert!(same.why.contains("its own"), "{}", same.why);
    let raised = version(&BASE.replace("maxRows = 500", "maxRows = 600").replace("1.0.0", "1.1.0"));
    assert!(
        raised.why.contains("label") && raised.verdict == Verdict::Full,
        "{}",
        raised.why
    );
}

#[test]
fn a_new_name_is_one_change_and_only_where_there_is_no_doubt() {
    let old = contract(BASE);
    let renamed = compare(&old, &contract(&BASE.replace("name = \"smoker\"", "name = \"smokes\"")));
    let names: Vec<_> = renamed.iter().filter(|c| c.term == "name").collect();
    assert_eq!((names.len(), names[0].new.as_deref()), (1, Some("smokes")));
    // Two candidates: which of them was it?
    let twice = "name = \"smokes\"\nlogicalType = \"boolean\"\nnulls = { impute = false }\n\
        [[schema.properties]]\nname = \"smoked\"";
    let doubtful = compare(&old, &contract(&BASE.replace("name = \"smoker\"", twice)));
    let terms: Vec<_> = doubtful.iter().map(|c| (c.term, c.verdict)).collect();
    let apart = ("column", Verdict::Forward);
    assert!(
        terms.contains(&apart) && !terms.iter().any(|(term, _)| *term == "name"),
        "{terms:?}"
    );
    assert_eq!(overall(&doubtful), Verdict::Breaking);
}

#[test]
fn dates_are_told_as_dates() {
    let changes = compare(&contract(BASE), &contract(&BASE.replace("2019-01-01", "2010-03-31")));
    let bounds = changes.iter().find(|change| change.term == "bounds").unwrap();
    assert_eq!(bounds.new.as_deref(), Some("2010-03-31 to 2024-12-31"));
}
