//! The plainest workload: a vector of integers is summed, as many rounds as asked, and nothing is read into it. The simulator and
//! the cost figures run it; no participant in the field does. A round costs what the engine, the masks and the noise cost.

use std::sync::Arc;

use engine::coordinator::Workloads;
use engine::{CohortTerms, Outcome, PlainSum, Plan, Refusal, Ring, Workload};
use governance::{Contract, Request};
use serde::{Deserialize, Serialize};

/// The dataset of [`contract`].
pub const NAME: &str = "plain";

/// The `kind` of its requests: to a grant they are queries.
pub const KIND: &str = "query";

/// A release shows no more than so many values: figures at a million components time rounds, not printing.
pub const SHOWN: usize = 64;

/// How far a contribution may reach in each component.
pub const REACH: i64 = 1 << 28;

/// What a request asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    pub dim: usize,
    /// `z32` or `z64`.
    pub ring: String,
    pub rounds: u32,
    /// Of one participant's noise share; 0 is "secure aggregation only".
    pub variance: u64,
}

/// What a release says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    pub rounds: u32,
    pub contributors: u32,
    /// The first [`SHOWN`] values of the last sum.
    pub sum: Vec<i64>,
}

/// Sums vectors.
pub struct PlainSums;

impl Task {
    /// The `task` of a request.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a task has a JSON form")
    }
}

/// The plain workload alone.
pub fn workloads() -> Workloads {
    Workloads::from([(KIND.to_owned(), Arc::new(PlainSums) as Arc<dyn Workload>)])
}

/// A contract for it: one column, a row is the unit.
pub fn contract() -> Contract {
    Contract::parse(
        r#"
name = "plain"
version = "1.0.0"
description = "Vectors to be summed"
purposes = ["research"]

[privacy]
maxRows = 1000
delta = 1e-6

[[schema.properties]]
name = "value"
logicalType = "integer"
required = true
logicalTypeOptions = { minimum = 0, maximum = 1 }
"#,
    )
    .expect("the contract of the plain workload is valid")
}

impl Workload for PlainSums {
    fn plan(&self, request: &Request, _contract: &Contract, cohort: &CohortTerms) -> Result<Plan, Refusal> {
        let bad = |text: String| Refusal::new("SOTTO-1900", text);
        let task: Task = serde_json::from_str(&request.task).map_err(|error| bad(error.to_string()))?;
        let ring = match task.ring.as_str() {
            "z32" => Ring::Z32,
            "z64" => Ring::Z64,
            other => return Err(bad(format!("unknown ring: expected z32 or z64, got {other:?}"))),
        };
        if task.dim == 0 || task.rounds == 0 {
            return Err(bad("a task has at least one component and one round".to_owned()));
        }
        let bounds =
            privacy::ComponentBounds::uniform(task.dim, -REACH, REACH).map_err(|error| bad(error.to_string()))?;
        let charge = privacy::cost::distributed_gaussian(&privacy::GaussianTerms {
            shares: cohort.honest_shares(),
            variance: task.variance,
            l2_squared: 1,
            l1: 1,
            dim: task.dim as u64,
        });
        let terms = [cohort.n, cohort.c, cohort.s_min];
        let mut bytes = request.task.clone().into_bytes();
        bytes.extend(terms.iter().flat_map(|term| term.to_le_bytes()));
        Ok(Plan {
            bytes: bytes.into(),
            ring,
            dim: task.dim,
            rounds: task.rounds,
            bounds,
            variance: task.variance,
            charge,
            columns: vec!["value".to_owned()],
            aggregates: vec!["SUM".to_owned()],
        })
    }

    fn absorb(&self, plan: &Plan, round: u32, state: Option<&[u8]>, sum: &PlainSum) -> Result<Outcome, Refusal> {
        // The state of this workload counts the rounds that led to it and adds their sums up, so that a lost, repeated or altered
        // one shows.
        let seen: [u8; 12] = state.unwrap_or(&[0; 12]).try_into().unwrap_or([0; 12]);
        let (count, total) = seen.split_at(4);
        let rounds = count.try_into().map_or(0, u32::from_le_bytes) + 1;
        let total = total.try_into().map_or(0, i64::from_le_bytes);
        let total = sum.values.iter().fold(total, |total, value| total.wrapping_add(*value));
        if round + 1 < plan.rounds {
            let state = [&rounds.to_le_bytes()[..], &total.to_le_bytes()].concat();
            return Ok(Outcome::Again {
                state: state.into(),
                figure: None,
            });
        }
        let body = Body {
            rounds,
            contributors: sum.contributors,
            sum: sum.values.iter().take(SHOWN).copied().collect(),
        };
        let release = serde_json::to_vec(&body).map_err(|error| Refusal::new("SOTTO-1900", error.to_string()))?;
        Ok(Outcome::Done { release })
    }
}
