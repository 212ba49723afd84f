//! The table of who may sign what (`table.rs`), tried cell by cell. A new kind of act does not compile until it has its row.

use governance::{ContentHash, What};

use super::Consortium;
use super::table::*;
use super::world::*;

const COLUMNS: [&str; 7] = [
    "agent",
    "analyst",
    "steward",
    "coordinator",
    "governance",
    "former member",
    "stranger",
];

fn consortium(scene: &Scene) -> Consortium {
    let mut consortium = Consortium::default();
    for signed in &scene.acts {
        consortium.take(signed).unwrap();
    }
    consortium
}

#[test]
fn every_cell_of_the_matrix_of_acts_is_as_the_table_says() {
    for (kind, cells) in ACTS {
        let mut found = COLUMNS.map(|column| (column, 0, 0));
        for (column, by, seed) in everybody() {
            let here = scene();
            for mut what in forms(kind, &here) {
                assert_eq!(what.name(), kind);
                let mut consortium = consortium(&here);
                if let Some(before) = before(&what, &by) {
                    // A voice that may not suspend has nothing to let go on either.
                    let _ = consortium.take(&before);
                    lifting(&mut what, Some(&before));
                }
                let expected = entitled(&what, (column, &by), &here);
                let taken = consortium.take(&signed(&by, seed, what.clone()));
                assert_eq!(taken.is_ok(), expected, "{what:?} by {column} {by:?}: {taken:?}");
                let place = found.iter_mut().find(|(name, ..)| *name == column).unwrap();
                (place.1, place.2) = (place.1 + 1, place.2 + u32::from(expected));
            }
        }
        for ((column, tried, taken), cell) in found.into_iter().zip(cells) {
            assert!(tried > 0, "{kind} by {column} was not tried");
            match cell {
                "no" => assert_eq!(taken, 0, "{kind} by {column}"),
                "yes" => assert_eq!(taken, tried, "{kind} by {column}"),
                "own" => assert!(taken > 0, "{kind} by {column}"),
                other => panic!("{other}"),
            }
        }
    }
}

/// The acts that anybody with the role may sign stay within what the signer speaks for.
#[test]
fn what_is_signed_about_others_does_not_reach_them() {
    let mut c = consortium(&scene());
    let moved = forms("contract-moved", &scene()).remove(0);
    c.take(&says("una", moved)).unwrap();
    assert!(c.register.contract("north", &ContentHash([8; 32])).is_none());
    let subject = organisation("institute");
    let eds = says(
        "ed",
        What::Suspended {
            subject: subject.clone(),
        },
    );
    c.take(&eds).unwrap();
    assert!(c.register.suspension("east", &subject).is_some() && c.register.suspension("north", &subject).is_none());
    c.take(&says(
        "nora",
        What::Reinstated {
            subject: subject.clone(),
            lifts: [eds.hash()].into(),
        },
    ))
    .unwrap_err();
    assert!(c.register.suspension("east", &subject).is_some());
    let north = signed(
        &by("agent-north"),
        1,
        What::Suspended {
            subject: subject.clone(),
        },
    );
    c.take(&north).unwrap();
    assert!(c.register.suspension("north", &subject).is_some() && c.register.suspension("south", &subject).is_none());
}

#[test]
fn every_kind_of_act_has_its_row_here_and_in_the_security_document() {
    let document = include_str!("../../../SECURITY.md");
    let row = |(kind, cells): &(&str, [&str; 7])| format!("| `{kind}` | {} |", cells.join(" | "));
    let rows: Vec<String> = ACTS.iter().map(row).collect();
    let head = format!("| act | {} |", COLUMNS.join(" | "));
    let missing: Vec<&String> = rows.iter().filter(|row| !document.contains(*row)).collect();
    assert!(
        document.contains(&head) && missing.is_empty(),
        "SECURITY.md lacks:\n{head}\n{}",
        rows.join("\n")
    );
    let scene = scene();
    let kinds: Vec<&str> = ACTS.iter().map(|(kind, _)| *kind).collect();
    for what in kinds.iter().flat_map(|kind| forms(kind, &scene)) {
        assert!(kinds.contains(&has_a_row(&what)));
    }
}

/// No wildcard: a new kind of act is a row to write before this compiles.
fn has_a_row(what: &What) -> &'static str {
    match what {
        What::GrantRequested { .. }
        | What::GrantOffered { .. }
        | What::GrantAgreed { .. }
        | What::GrantSuspended { .. }
        | What::GrantResumed { .. }
        | What::GrantRevoked { .. }
        | What::GrantCompleted { .. }
        | What::ContractMoved { .. }
        | What::PolicyPublished { .. }
        | What::VocabularyPublished { .. }
        | What::Suspended { .. }
        | What::Reinstated { .. } => what.name(),
    }
}
