//! Who may sign what: every kind of act, signed by everybody there is, in every form in which it makes sense. An oracle of one line a kind says
//! who may; the table in SECURITY.md is this one. A new kind of act does not compile until it has its row.

use governance::act::{By, Layer, SignedAct, Subject};
use governance::log::event::Role;
use governance::{Act, ContentHash, Stage, What};

use super::world::*;
use super::{Consortium, agree, offer, resume, revoke, suspend};

const COLUMNS: [&str; 7] = [
    "agent",
    "analyst",
    "steward",
    "coordinator",
    "governance",
    "former member",
    "stranger",
];

/// Of each kind of act, what each column may sign: `yes`, `no`, or `own`: about its own grants, data, layer and people alone.
const ACTS: [(&str, [&str; 7]); 12] = [
    ("grant-requested", ["no", "own", "no", "no", "no", "no", "no"]),
    ("grant-offered", ["no", "no", "own", "no", "no", "no", "no"]),
    ("grant-agreed", ["no", "own", "own", "no", "no", "no", "no"]),
    ("grant-suspended", ["own", "own", "own", "no", "no", "no", "no"]),
    ("grant-resumed", ["no", "own", "own", "no", "no", "no", "no"]),
    ("grant-revoked", ["own", "own", "own", "no", "no", "no", "no"]),
    ("grant-completed", ["no", "own", "own", "no", "no", "no", "no"]),
    ("contract-moved", ["no", "no", "own", "no", "no", "no", "no"]),
    ("policy-published", ["no", "no", "own", "no", "own", "no", "no"]),
    ("vocabulary-published", ["no", "no", "no", "no", "yes", "no", "no"]),
    ("suspended", ["own", "no", "own", "no", "yes", "no", "no"]),
    ("reinstated", ["no", "no", "own", "no", "yes", "no", "no"]),
];

/// Everybody: column, name, role, organisation, key. Of the former members each was something; the strangers sign as members with keys of
/// their own.
fn everybody() -> Vec<(&'static str, By, u8)> {
    let person = |role, id: &str, organisation: &str| By {
        role,
        id: id.to_owned(),
        organisation: organisation.to_owned(),
    };
    let column = |role| match role {
        Role::Agent => "agent",
        Role::Analyst => "analyst",
        Role::Steward => "steward",
        Role::Coordinator => "coordinator",
        Role::Governance => "governance",
    };
    let mut all: Vec<_> = PEOPLE
        .iter()
        .map(|(id, role, organisation, key)| (column(*role), person(*role, id, organisation), *key))
        .collect();
    all.push(("coordinator", person(Role::Coordinator, "hub", "hub"), 60));
    for (role, id, organisation) in [
        (Role::Agent, "agent-west", "west"),
        (Role::Analyst, "iris", "institute"),
        (Role::Steward, "ned", "north"),
        (Role::Governance, "lung", "lung"),
    ] {
        all.push(("former member", person(role, id, organisation), 70));
    }
    for (id, role, organisation, _) in PEOPLE {
        all.push(("stranger", person(role, id, organisation), 71));
    }
    all
}

/// A consortium in which every kind of act is about something: ian's grant is active at north and east; ana's was agreed to at both; and of
/// each there is another one that north has offered and nobody agreed to.
struct Scene {
    consortium: Consortium,
    active: [ContentHash; 2],
    offered: [ContentHash; 2],
}

fn requested(requester: &str, purpose: &str) -> What {
    let mut terms = terms(requester);
    terms.purposes = [purpose.to_owned()].into();
    let steward_agrees = requester == "ana";
    What::GrantRequested { terms, steward_agrees }
}

fn narrower(requester: &str, purpose: &str) -> governance::grant::Terms {
    let What::GrantRequested { mut terms, .. } = requested(requester, purpose) else {
        unreachable!()
    };
    terms.epsilon = governance::canonical::Real::new(1.0).unwrap();
    terms
}

fn scene() -> Scene {
    let mut consortium = Consortium::default();
    let mut ask = |requester: &str, purpose: &str| {
        consortium
            .take(&says(requester, requested(requester, purpose)))
            .unwrap()
    };
    let active = [ask("ian", "DUO:0000042"), ask("ana", "DUO:0000042")];
    let offered = [ask("ian", "DUO:0000006"), ask("ana", "DUO:0000006")];
    for (grant, requester) in active.iter().zip(["ian", "ana"]) {
        for (owner, steward) in [("north", "nora"), ("east", "ed")] {
            let terms = narrower(requester, "DUO:0000042");
            consortium.take(&says(steward, offer(*grant, owner, terms))).unwrap();
            let agrees = if requester == "ian" { "ian" } else { "una" };
            consortium.take(&says(agrees, agree(*grant, owner, 2))).unwrap();
        }
    }
    for (grant, requester) in offered.iter().zip(["ian", "ana"]) {
        let terms = narrower(requester, "DUO:0000006");
        consortium.take(&says("nora", offer(*grant, "north", terms))).unwrap();
    }
    Scene {
        consortium,
        active,
        offered,
    }
}

/// All forms of a kind of act that could be signed in the scene.
fn forms(kind: &str, scene: &Scene) -> Vec<What> {
    let of_active = |form: &dyn Fn(ContentHash, Option<&str>) -> What| {
        let each = |grant: &ContentHash| [None, Some("north"), Some("east")].map(|owner| form(*grant, owner));
        scene.active.iter().flat_map(each).collect::<Vec<_>>()
    };
    let subjects = ["university", "institute", "north"].map(organisation);
    let subjects = || {
        subjects
            .clone()
            .into_iter()
            .chain([Subject::Dataset("heart".to_owned())])
    };
    match kind {
        "grant-requested" => ["ian", "ana"].map(|of| requested(of, "DUO:0000007")).into(),
        "grant-offered" => {
            let each = |(grant, of): (&ContentHash, &str)| {
                ["north", "east"].map(|owner| offer(*grant, owner, narrower(of, "DUO:0000006")))
            };
            scene.offered.iter().zip(["ian", "ana"]).flat_map(each).collect()
        }
        "grant-agreed" => scene.offered.map(|grant| agree(grant, "north", 2)).into(),
        "grant-suspended" => of_active(&suspend),
        "grant-resumed" => of_active(&|grant, owner| resume(grant, owner, &[])),
        "grant-revoked" => of_active(&revoke),
        "grant-completed" => of_active(&|grant, owner| What::GrantCompleted {
            grant,
            owner: owner.map(str::to_owned),
        }),
        "contract-moved" => vec![What::ContractMoved {
            dataset: "heart".to_owned(),
            contract: ContentHash([8; 32]),
            to: Stage::Active,
        }],
        "policy-published" => ["north", "east", "university"]
            .map(|owner| Layer::Owner(owner.to_owned()))
            .into_iter()
            .chain([Layer::Consortium])
            .map(|layer| What::PolicyPublished {
                layer,
                version: 1,
                bundle: "permit".to_owned(),
            })
            .collect(),
        "vocabulary-published" => vec![What::VocabularyPublished {
            version: 1,
            terms: Vec::new(),
        }],
        "suspended" => subjects().map(|subject| What::Suspended { subject }).collect(),
        "reinstated" => subjects()
            .map(|subject| What::Reinstated {
                subject,
                lifts: [].into(),
            })
            .collect(),
        other => panic!("{other}: say how such an act looks"),
    }
}

/// Who may, in a line a kind: the oracle. A suspension may be signed about anybody: how far it reaches is tried below.
fn entitled(what: &What, by: &By, scene: &Scene) -> bool {
    let (role, id, of) = (by.role, by.id.as_str(), by.organisation.as_str());
    // Of a grant: whose it is, and which steward speaks for its side.
    let asks = |grant: &ContentHash| match *grant == scene.active[0] || *grant == scene.offered[0] {
        true => ("ian", "institute"),
        false => ("ana", "university"),
    };
    let either_side = |grant: &ContentHash, owner: &Option<String>, machines: bool| {
        let (requester, asking) = asks(grant);
        let speaks = role == Role::Steward || machines && role == Role::Agent;
        id == requester || speaks && (of == asking || owner.as_deref() == Some(of))
    };
    match what {
        What::GrantRequested { terms, .. } => id == terms.requester,
        What::GrantOffered { owner, .. } => role == Role::Steward && of == owner,
        What::GrantAgreed { grant, .. } => id == if asks(grant).0 == "ian" { "ian" } else { "una" },
        What::GrantSuspended { grant, owner } | What::GrantRevoked { grant, owner } => either_side(grant, owner, true),
        What::GrantResumed { grant, owner, .. } | What::GrantCompleted { grant, owner } => {
            either_side(grant, owner, false)
        }
        What::ContractMoved { .. } => role == Role::Steward,
        What::PolicyPublished { layer, .. } => match layer {
            Layer::Consortium => role == Role::Governance,
            Layer::Owner(owner) => role == Role::Steward && of == owner,
        },
        What::VocabularyPublished { .. } => role == Role::Governance,
        What::Suspended { .. } => matches!(role, Role::Governance | Role::Steward | Role::Agent),
        What::Reinstated { .. } => matches!(role, Role::Governance | Role::Steward),
    }
}

fn signed(by: &By, seed: u8, what: What) -> SignedAct {
    let act = Act {
        by: by.clone(),
        at_ms: NOW,
        note: String::new(),
        what,
    };
    act.sign(&key(seed)).unwrap()
}

/// What must stand before an act can come, by whoever may say it: what is resumed was suspended by the same side, what is reinstated by the
/// same voice.
fn before(what: &What, by: &By) -> Option<SignedAct> {
    let (seed, voice) = match (by.role, by.organisation.as_str()) {
        (Role::Steward, "north") => (30, super::world::by("nora")),
        (Role::Steward, "east") => (31, super::world::by("ed")),
        (Role::Steward, "university") => (32, super::world::by("una")),
        (Role::Analyst, "university") => (20, super::world::by("ana")),
        (Role::Analyst, "institute") => (21, super::world::by("ian")),
        _ => (99, super::world::by("heart")),
    };
    match what {
        What::GrantResumed { grant, owner, .. } => Some(signed(&voice, seed, suspend(*grant, owner.as_deref()))),
        What::Reinstated { subject, .. } => {
            let subject = subject.clone();
            Some(signed(&voice, seed, What::Suspended { subject }))
        }
        _ => None,
    }
}

#[test]
fn every_cell_of_the_matrix_of_acts_is_as_the_table_says() {
    for (kind, cells) in ACTS {
        let mut found = COLUMNS.map(|column| (column, 0, 0));
        for (column, by, seed) in everybody() {
            let here = scene();
            for mut what in forms(kind, &here) {
                assert_eq!(what.name(), kind);
                let mut consortium = scene().consortium;
                if let Some(before) = before(&what, &by) {
                    // A voice that may not suspend has nothing to let go on either.
                    let _ = consortium.take(&before);
                    if let What::GrantResumed { lifts, .. } | What::Reinstated { lifts, .. } = &mut what {
                        lifts.insert(before.hash());
                    }
                }
                let member = !["former member", "stranger", "coordinator"].contains(&column);
                let expected = member && entitled(&what, &by, &here);
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
    let mut c = scene().consortium;
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
