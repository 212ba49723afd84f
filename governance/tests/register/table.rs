//! Who may sign what: every kind of act, everybody there is, and every form in which it makes sense. An oracle of one line a kind says who
//! may; the table in SECURITY.md is this one. Held against the register here (`matrix.rs`), and against a living consortium by the simulator.

use governance::act::{By, Layer, SignedAct, Subject};
use governance::log::event::Role;
use governance::{Act, ContentHash, Stage, What};

use super::world::*;

/// Of each kind of act, what each column (agent, analyst, steward, coordinator, governance, former member, stranger) may sign: `yes`, `no`, or `own`: about its own grants, data, layer and people alone.
pub const ACTS: [(&str, [&str; 7]); 12] = [
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
pub fn everybody() -> Vec<(&'static str, By, u8)> {
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

/// What was signed before, so that every kind of act is about something: ian's grant is active at north and east; ana's was agreed to at both;
/// and of each there is another one that north has offered and nobody agreed to.
pub struct Scene {
    pub active: [ContentHash; 2],
    pub offered: [ContentHash; 2],
    /// In the order in which they were signed.
    pub acts: Vec<SignedAct>,
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

pub fn scene() -> Scene {
    let mut acts = Vec::new();
    let mut ask = |requester: &str, purpose: &str| {
        let signed = says(requester, requested(requester, purpose));
        acts.push(signed.clone());
        signed.hash()
    };
    let active = [ask("ian", "DUO:0000042"), ask("ana", "DUO:0000042")];
    let offered = [ask("ian", "DUO:0000006"), ask("ana", "DUO:0000006")];
    for (grant, requester) in active.iter().zip(["ian", "ana"]) {
        for (owner, steward) in [("north", "nora"), ("east", "ed")] {
            let terms = narrower(requester, "DUO:0000042");
            acts.push(says(steward, offer(*grant, owner, terms)));
            let agrees = if requester == "ian" { "ian" } else { "una" };
            acts.push(says(agrees, agree(*grant, owner, 2)));
        }
    }
    for (grant, requester) in offered.iter().zip(["ian", "ana"]) {
        let terms = narrower(requester, "DUO:0000006");
        acts.push(says("nora", offer(*grant, "north", terms)));
    }
    Scene { active, offered, acts }
}

/// All forms of a kind of act that could be signed in the scene.
pub fn forms(kind: &str, scene: &Scene) -> Vec<What> {
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
pub fn entitled(what: &What, (column, by): (&str, &By), scene: &Scene) -> bool {
    if ["former member", "stranger", "coordinator"].contains(&column) {
        return false;
    }
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

pub fn signed(by: &By, seed: u8, what: What) -> SignedAct {
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
pub fn before(what: &What, signer: &By) -> Option<SignedAct> {
    let (seed, voice) = match (signer.role, signer.organisation.as_str()) {
        (Role::Steward, "north") => (30, by("nora")),
        (Role::Steward, "east") => (31, by("ed")),
        (Role::Steward, "university") => (32, by("una")),
        (Role::Analyst, "university") => (20, by("ana")),
        (Role::Analyst, "institute") => (21, by("ian")),
        _ => (99, by("heart")),
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

/// Names in a resumption or a reinstatement what it lifts.
pub fn lifting(what: &mut What, before: Option<&SignedAct>) {
    if let What::GrantResumed { lifts, .. } | What::Reinstated { lifts, .. } = what {
        lifts.extend(before.map(SignedAct::hash));
    }
}
