//! A consortium of three hospitals and two asking organisations, with everybody's keys.

use governance::act::{By, SignedAct, Subject};
use governance::canonical::Real;
use governance::grant::{Action, Extent, Terms};
use governance::log::event::Role;
use governance::{Act, Agent, Analyst, ContentHash, CoordinatorEntry, Roster, SigningKey, Steward, VerifyingKey, What};

/// 2026-01-01.
pub const NOW: u64 = 1_767_225_600_000;
pub const DAY: u64 = 86_400_000;
pub const HOSPITALS: [&str; 3] = ["north", "east", "south"];

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).unwrap()
}

pub fn governance_key() -> VerifyingKey {
    key(99).public()
}

/// North and east have stewards, south has none; the university has one, the institute does not.
pub fn roster() -> Roster {
    let agent = |(i, name): (usize, &&str)| Agent {
        id: format!("agent-{name}"),
        organisation: (*name).to_owned(),
        signing_key: key(i as u8 + 1).public(),
        tls_key: ContentHash([i as u8 + 1; 32]),
    };
    let analyst = |id: &str, organisation: &str, seed: u8| Analyst {
        id: id.to_owned(),
        organisation: organisation.to_owned(),
        key: key(seed).public(),
        tls_key: ContentHash([seed; 32]),
    };
    let steward = |id: &str, organisation: &str, seed: u8| Steward {
        id: id.to_owned(),
        organisation: organisation.to_owned(),
        key: key(seed).public(),
        tls_key: ContentHash([seed; 32]),
    };
    Roster {
        consortium: "heart".to_owned(),
        version: 1,
        c: 1,
        min_cohort: 3,
        agents: HOSPITALS.iter().enumerate().map(agent).collect(),
        analysts: vec![analyst("ana", "university", 20), analyst("ian", "institute", 21)],
        stewards: vec![
            steward("nora", "north", 30),
            steward("ed", "east", 31),
            steward("una", "university", 32),
        ],
        coordinator: CoordinatorEntry {
            id: "hub".to_owned(),
            organisation: None,
            tls_key: ContentHash([60; 32]),
            signing_key: key(60).public(),
        },
        retiring: Vec::new(),
    }
}

/// Who there is: name, role, organisation, key.
pub const PEOPLE: [(&str, Role, &str, u8); 9] = [
    ("ana", Role::Analyst, "university", 20),
    ("ian", Role::Analyst, "institute", 21),
    ("nora", Role::Steward, "north", 30),
    ("ed", Role::Steward, "east", 31),
    ("una", Role::Steward, "university", 32),
    ("agent-north", Role::Agent, "north", 1),
    ("agent-east", Role::Agent, "east", 2),
    ("agent-south", Role::Agent, "south", 3),
    ("heart", Role::Governance, "heart", 99),
];

pub fn by(name: &str) -> By {
    let (id, role, organisation, _) = PEOPLE.iter().find(|(id, ..)| *id == name).unwrap();
    By {
        role: *role,
        id: (*id).to_owned(),
        organisation: (*organisation).to_owned(),
    }
}

pub fn says_at(name: &str, at_ms: u64, what: What) -> SignedAct {
    let seed = PEOPLE.iter().find(|(id, ..)| *id == name).unwrap().3;
    let act = Act {
        by: by(name),
        at_ms,
        note: String::new(),
        what,
    };
    act.sign(&key(seed)).unwrap()
}

pub fn says(name: &str, what: What) -> SignedAct {
    says_at(name, NOW, what)
}

pub fn names(of: &[&str]) -> Extent {
    Extent::Only(of.iter().map(|name| (*name).to_owned()).collect())
}

pub fn terms(requester: &str) -> Terms {
    Terms {
        requester: requester.to_owned(),
        organisation: by(requester).organisation,
        dataset: "heart".to_owned(),
        owners: ["north", "east"].map(str::to_owned).into(),
        columns: names(&["age", "chol", "sex"]),
        aggregates: Extent::All,
        purposes: ["DUO:0000042".to_owned()].into(),
        actions: [Action::Query, Action::Train].into(),
        epsilon: Real::new(2.0).unwrap(),
        delta: Real::new(1e-6).unwrap(),
        from_ms: NOW,
        until_ms: NOW + 30 * DAY,
    }
}

pub fn organisation(name: &str) -> Subject {
    Subject::Organisation(name.to_owned())
}

pub fn offer(grant: ContentHash, owner: &str, terms: Terms) -> What {
    let owner = owner.to_owned();
    What::GrantOffered { grant, owner, terms }
}

pub fn agree(grant: ContentHash, owner: &str, version: u32) -> What {
    let owner = owner.to_owned();
    What::GrantAgreed { grant, owner, version }
}

pub fn revoke(grant: ContentHash, owner: Option<&str>) -> What {
    let owner = owner.map(str::to_owned);
    What::GrantRevoked { grant, owner }
}

pub fn suspend(grant: ContentHash, owner: Option<&str>) -> What {
    let owner = owner.map(str::to_owned);
    What::GrantSuspended { grant, owner }
}

pub fn resume(grant: ContentHash, owner: Option<&str>, lifts: &[ContentHash]) -> What {
    let (owner, lifts) = (owner.map(str::to_owned), lifts.iter().copied().collect());
    What::GrantResumed { grant, owner, lifts }
}
