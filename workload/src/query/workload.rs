//! The query workload as the engine sees it: a request becomes a plan of one round, and its sum becomes a release.

use super::error::{PLAN, TASK};
use super::{QueryPlan, SqlError, compile, read_back};
use engine::{CohortTerms, Outcome, PlainSum, Plan, Refusal, Ring, Workload};
use governance::{Contract, Request, canonical};
use privacy::clip::ComponentBounds;
use privacy::cost::{Charge, GaussianTerms, distributed_gaussian};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// `Request::kind` of a query.
pub const KIND: &str = "query";

/// `Request::task` of a query, as canonical JSON. Epsilon and delta stand in the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryTask {
    pub sql: String,
}

impl QueryTask {
    pub fn to_task(&self) -> String {
        // Unwrap safety: a struct of one string is spellable in JSON.
        canonical::to_string(self).expect("a task is spellable")
    }

    pub fn from_task(task: &str) -> Result<Self, Refusal> {
        serde_json::from_str(task).map_err(|e| Refusal::new(TASK, format!("malformed query task: {e}")))
    }
}

/// Queries. Stateless: everything it knows is in its arguments.
#[derive(Clone, Copy, Debug, Default)]
pub struct QueryWorkload;

impl Workload for QueryWorkload {
    fn plan(&self, request: &Request, contract: &Contract, cohort: &CohortTerms) -> Result<Plan, Refusal> {
        if request.kind != KIND {
            let message = format!("mismatched kind of request: expected `{KIND}`, got `{}`", request.kind);
            return Err(Refusal::new(TASK, message));
        }
        if request.dataset != contract.name {
            let message = format!(
                "mismatched dataset: expected `{}`, got `{}`",
                contract.name, request.dataset
            );
            return Err(Refusal::new(TASK, message));
        }
        if request.delta > contract.delta.get() {
            let message = format!(
                "delta out of range: expected at most the contract's {:e}, got {:e}",
                contract.delta.get(),
                request.delta
            );
            return Err(Refusal::new(TASK, message).remedy("ask with the contract's delta"));
        }
        let task = QueryTask::from_task(&request.task)?;
        let query = compile(&task.sql, contract, cohort, request.epsilon, request.delta)?;
        query.to_plan()
    }

    fn absorb(&self, plan: &Plan, _round: u32, _state: Option<&[u8]>, sum: &PlainSum) -> Result<Outcome, Refusal> {
        let query =
            QueryPlan::from_bytes(&plan.bytes).map_err(|e| Refusal::new(PLAN, format!("malformed plan: {e}")))?;
        let dim = query.layout().dim();
        let table = read_back(&query, sum).ok_or_else(|| {
            Refusal::new(
                PLAN,
                format!("mismatched sum: expected {dim} values, got {}", sum.values.len()),
            )
        })?;
        let body = canonical::to_string(&table).map_err(|e| Refusal::new(PLAN, e.to_string()))?;
        Ok(Outcome::Done {
            release: body.into_bytes(),
        })
    }
}

impl QueryPlan {
    /// The plan of the one round.
    pub fn to_plan(&self) -> Result<Plan, Refusal> {
        let bounds = ComponentBounds::each(self.clips().map(|clip| (-clip, clip)).collect())
            .map_err(|e| Refusal::new(PLAN, e.to_string()))?;
        Ok(Plan {
            bytes: Arc::from(self.to_bytes()),
            ring: Ring::Z64,
            dim: self.layout().dim(),
            rounds: 1,
            bounds,
            variance: self.noise.variance,
            charge: self.charge(),
            columns: self.columns.iter().map(|c| c.name.clone()).collect(),
            aggregates: self.output.shows().into_iter().map(str::to_owned).collect(),
        })
    }

    /// What the release costs, from the integers of the plan alone.
    pub fn charge(&self) -> Charge {
        distributed_gaussian(&GaussianTerms {
            shares: self.noise.shares,
            variance: self.noise.variance,
            l2_squared: u128::from(self.noise.l2_squared),
            l1: u128::from(self.noise.l1),
            dim: self.layout().dim() as u64,
        })
    }

    /// The clamp of every cell in the order of the vector.
    pub fn clips(&self) -> impl Iterator<Item = i64> {
        let groups = self.layout().groups;
        let one: Vec<i64> = self
            .components
            .iter()
            .flat_map(|c| std::iter::repeat_n(c.clip, c.kind.cells()))
            .collect();
        (0..groups).flat_map(move |_| one.clone())
    }
}

impl From<SqlError> for Refusal {
    fn from(error: SqlError) -> Self {
        let message = format!("line {}, column {}: {}", error.line, error.column, error.message);
        Refusal::new(error.code, message).remedy(error.supported)
    }
}
