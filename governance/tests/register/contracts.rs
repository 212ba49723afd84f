//! Contracts as they live at one owner: proposed, active, deprecated with notice, retired; and what a new version may do to an old one.

use std::sync::Arc;

use governance::decision::{ColumnsRead, Decide, LocalRules, Question, Verdict};
use governance::grant::Unlogged;
use governance::register::contracts::MoveError;
use governance::register::{AtDoor, ContractStanding};
use governance::{Act, ContentHash, Contract, Register, RegisterError, Request, Stage, What};

use crate::world::*;

const HEART: &str = include_str!("../../contracts/heart.toml");

fn version(label: &str, edit: (&str, &str)) -> Arc<Contract> {
    let text = HEART
        .replace("\"1.0.0\"", &format!("\"{label}\""))
        .replace(edit.0, edit.1);
    Arc::new(Contract::parse(&text).unwrap())
}

/// One owner's versions: 1.0.0, 1.1.0 that widens a bound, 2.0.0 that measures in another unit.
struct Life {
    register: Register,
    versions: Vec<Arc<Contract>>,
}

impl Life {
    fn new() -> Self {
        let versions = vec![
            version("1.0.0", ("", "")),
            version("1.1.0", ("maximum = 620", "maximum = 700")),
            version("2.0.0", ("mg/dL", "mmol/L")),
        ];
        Self {
            register: Register::default(),
            versions,
        }
    }

    fn hash(&self, i: usize) -> ContentHash {
        self.versions[i].hash()
    }

    fn moved(&self, i: usize, to: Stage) -> What {
        What::ContractMoved {
            dataset: "heart".to_owned(),
            contract: self.hash(i),
            to,
        }
    }

    fn may(&self, act: &Act) -> Result<(), MoveError> {
        let text = |hash: &ContentHash| self.versions.iter().find(|known| known.hash() == *hash).cloned();
        self.register.may_move(act, &text)
    }

    /// What the door asks, then the register.
    fn take(&mut self, i: usize, to: Stage) -> Result<(), MoveError> {
        let signed = says("nora", self.moved(i, to));
        let act = signed.read().unwrap();
        self.may(&act)?;
        match self.register.at_door(&signed, &roster(), &governance_key(), NOW) {
            Ok(AtDoor::New(act)) => self.register.apply(signed.hash(), &act).unwrap(),
            Ok(AtDoor::Known) => {}
            Err(error) => panic!("{error}"),
        }
        Ok(())
    }

    fn standing(&self, i: usize, now_ms: u64) -> ContractStanding {
        self.register.standing("north", "heart", &self.hash(i), now_ms)
    }
}

#[test]
fn an_owner_that_signed_nothing_serves_what_it_configured_and_from_its_first_act_on_only_what_it_activated() {
    let mut life = Life::new();
    assert_eq!(life.standing(0, NOW), ContractStanding::Configured);
    assert!(life.standing(0, NOW).is_served());
    life.take(0, Stage::Active).unwrap();
    assert_eq!(life.standing(0, NOW), ContractStanding::Active);
    assert_eq!(life.standing(1, NOW), ContractStanding::Proposed);
    assert!(!life.standing(1, NOW).is_served());
    // Another owner's acts are its own business, and so is another dataset.
    let east = life.register.standing("east", "heart", &life.hash(0), NOW);
    assert_eq!(east, ContractStanding::Configured);
    let other = life.register.standing("north", "visits", &ContentHash([1; 32]), NOW);
    assert_eq!(other, ContractStanding::Configured);
}

#[test]
fn a_deprecated_version_is_served_until_its_notice_ends_and_not_a_moment_longer() {
    let mut life = Life::new();
    life.take(0, Stage::Active).unwrap();
    let until_ms = NOW + DAY;
    life.take(0, Stage::Deprecated { until_ms }).unwrap();
    assert_eq!(
        life.standing(0, until_ms - 1),
        ContractStanding::Deprecated { until_ms }
    );
    assert!(life.standing(0, until_ms - 1).is_served());
    assert_eq!(life.standing(0, until_ms), ContractStanding::Retired);
    // A notice can be made longer, and nobody takes back what was promised.
    life.take(
        0,
        Stage::Deprecated {
            until_ms: until_ms + DAY,
        },
    )
    .unwrap();
    assert!(life.standing(0, until_ms).is_served());
    let shorter = says("nora", life.moved(0, Stage::Deprecated { until_ms: until_ms + 1 }));
    let refused = life.register.at_door(&shorter, &roster(), &governance_key(), NOW);
    assert!(matches!(refused, Err(RegisterError::Contract { .. })));
    life.take(0, Stage::Retired).unwrap();
    assert_eq!(life.standing(0, NOW), ContractStanding::Retired);
}

#[test]
fn a_version_stays_the_dataset_s_that_it_was_published_for() {
    let mut life = Life::new();
    life.take(0, Stage::Active).unwrap();
    let What::ContractMoved { contract, .. } = life.moved(0, Stage::Retired) else {
        unreachable!()
    };
    let (dataset, to) = ("hearts".to_owned(), Stage::Retired);
    let mistyped = says("nora", What::ContractMoved { dataset, contract, to });
    let refused = life.register.at_door(&mistyped, &roster(), &governance_key(), NOW);
    assert!(
        matches!(refused, Err(RegisterError::OtherDataset { .. })),
        "{refused:?}"
    );
    assert!(life.standing(0, NOW).is_served());
}

#[test]
fn a_version_that_widens_goes_beside_the_old_one_and_one_that_breaks_waits_for_a_notice() {
    let mut life = Life::new();
    life.take(0, Stage::Active).unwrap();
    life.take(1, Stage::Active).unwrap();
    assert!(life.standing(0, NOW).is_served() && life.standing(1, NOW).is_served());
    let refused = life.take(2, Stage::Active).unwrap_err();
    assert!(
        matches!(&refused, MoveError::Breaks { old, new, .. } if (old.as_str(), new.as_str()) == ("1.0.0", "2.0.0")),
        "{refused}"
    );
    assert!(refused.remedy().contains("--breaking"));
    let notice = Stage::Deprecated { until_ms: NOW + DAY };
    life.take(0, notice).unwrap();
    assert!(life.take(2, Stage::Active).is_err(), "1.1.0 is active still");
    life.take(1, notice).unwrap();
    life.take(2, Stage::Active).unwrap();
    assert!((0..3).all(|i| life.standing(i, NOW).is_served()));
    assert!(!life.standing(0, NOW + DAY).is_served() && life.standing(2, NOW + DAY).is_served());
}

#[test]
fn a_notice_ends_in_the_future_and_a_contract_that_no_agent_offers_is_not_moved() {
    let mut life = Life::new();
    life.take(0, Stage::Active).unwrap();
    let late = says("nora", life.moved(0, Stage::Deprecated { until_ms: NOW }))
        .read()
        .unwrap();
    assert!(matches!(life.may(&late), Err(MoveError::NoNotice { .. })));
    let unknown = What::ContractMoved {
        dataset: "heart".to_owned(),
        contract: ContentHash([7; 32]),
        to: Stage::Active,
    };
    let unknown = life.may(&says("nora", unknown).read().unwrap()).unwrap_err();
    assert!(unknown.remedy().contains("other_versions"), "{unknown}");
    let posing = What::ContractMoved {
        dataset: "visits".to_owned(),
        contract: life.hash(0),
        to: Stage::Active,
    };
    let posing = life.may(&says("nora", posing).read().unwrap()).unwrap_err();
    assert!(matches!(posing, MoveError::OtherDataset { .. }));
    // What ends a contract needs no text: the agent may be gone.
    let ended = What::ContractMoved {
        dataset: "heart".to_owned(),
        contract: ContentHash([7; 32]),
        to: Stage::Retired,
    };
    life.may(&says("nora", ended).read().unwrap()).unwrap();
}

#[test]
fn a_participant_refuses_a_version_that_is_not_active_whatever_its_configuration_serves() {
    let mut life = Life::new();
    life.take(0, Stage::Active).unwrap();
    life.take(0, Stage::Deprecated { until_ms: NOW + DAY }).unwrap();
    let rules = LocalRules {
        analysts: [("heart".to_owned(), ["ana".to_owned()].into())].into(),
        ..LocalRules::default()
    };
    let decide = |i: usize, now_ms: u64| {
        let request = Request {
            nonce: ContentHash([1; 32]),
            analyst: "ana".to_owned(),
            dataset: "heart".to_owned(),
            contract: life.hash(i),
            purpose: "research".to_owned(),
            kind: "query".to_owned(),
            task: "{}".to_owned(),
            epsilon: 1.0,
            delta: 1e-6,
            max_attempts: 1,
            issued_at_ms: NOW,
            expires_at_ms: NOW + DAY,
        };
        let question = Question {
            request: &request,
            contract: &life.versions[i],
            contract_hash: life.hash(i),
            organisation: "university",
            owner: "north",
            consortium: "heart",
            register: &life.register,
            witnessed: &Unlogged,
            columns: &ColumnsRead::default(),
            aggregates: &[],
            noise: true,
            s_min: 3,
            now_ms,
        };
        match rules.decide(&question) {
            Verdict::Allow { .. } => "allowed",
            Verdict::Deny { rule, remedy, .. } => {
                assert!(remedy.contains("sotto dataset show heart"), "{remedy}");
                rule
            }
        }
    };
    assert_eq!(decide(0, NOW + DAY - 1), "allowed");
    assert_eq!(decide(0, NOW + DAY), "contract.retired");
    assert_eq!(decide(1, NOW), "contract.proposed");
}
