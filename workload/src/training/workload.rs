//! Training as the engine sees it: a request becomes a plan of many rounds, and each sum the next model. The state of a
//! round is the whole model and optimiser, so whoever holds plan, state and sum can continue the run.

use super::error::{PLAN, TASK};
use super::plan::TrainPlan;
use super::release::TrainRelease;
use super::server::{Stepped, step};
use super::state::State;
use super::task::{KIND, TrainTask};
use engine::{CohortTerms, Outcome, PlainSum, Plan, Refusal, Workload};
use governance::{Addition, Contract, Request, canonical};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// Training. Stateless: everything it knows is in its arguments.
#[derive(Clone, Copy, Debug, Default)]
pub struct TrainWorkload;

impl Workload for TrainWorkload {
    fn plan(&self, request: &Request, contract: &Contract, cohort: &CohortTerms) -> Result<Plan, Refusal> {
        check_request(request, KIND, contract)?;
        let task = TrainTask::from_task(&request.task)?;
        TrainPlan::new(task, contract, cohort, request.epsilon, request.delta)?.to_plan()
    }

    fn absorb(&self, plan: &Plan, round: u32, state: Option<&[u8]>, sum: &PlainSum) -> Result<Outcome, Refusal> {
        let plan = parsed(&plan.bytes)?;
        let state = match state {
            None => State::initial(&plan),
            Some(bytes) => State::from_bytes(bytes, &plan).map_err(|e| Refusal::new(PLAN, e.to_string()))?,
        };
        if state.round != round || round >= plan.task.rounds {
            return Err(super::error::mismatched("round", state.round, round));
        }
        let (last, diverged) = match step(&plan, &state, sum)? {
            Stepped::Next(next) => (next, false),
            Stepped::Diverged => (state, true),
        };
        if !diverged && last.round < plan.task.rounds {
            return Ok(Outcome::Again {
                state: Arc::from(last.to_bytes()),
                figure: last.curve.newest(&plan, last.round),
            });
        }
        let release = TrainRelease::new(&plan, &last, round + 1, sum.contributors)?;
        let body = canonical::to_string(&release).map_err(|e| Refusal::new(PLAN, e.to_string()))?;
        Ok(Outcome::Done {
            release: body.into_bytes(),
        })
    }

    fn adds(&self, _request: &Request, release: &[u8]) -> Option<Addition> {
        let run = TrainRelease::from_json(release).ok()?;
        // A run whose first step diverged learnt nothing: it is a release, and no version of anything.
        (run.rounds > 0).then_some(Addition::Version {
            name: run.name,
            model: run.model_hash,
            parent: run.parent,
        })
    }
}

/// Bytes of a plan, and the plan.
type Read = (Arc<[u8]>, Rc<TrainPlan>);

thread_local! {
    /// The plan that was read last: a run reads one plan a thousand times, and a plan of many features is long.
    static LAST: RefCell<Option<Read>> = const { RefCell::new(None) };
}

/// The plan of these bytes; the same for the same bytes, whoever asked before.
fn parsed(bytes: &Arc<[u8]>) -> Result<Rc<TrainPlan>, Refusal> {
    LAST.with_borrow_mut(|last| {
        if let Some((_, plan)) = last.as_ref().filter(|(known, _)| known == bytes) {
            return Ok(plan.clone());
        }
        let plan = Rc::new(TrainPlan::from_bytes(bytes)?);
        *last = Some((bytes.clone(), plan.clone()));
        Ok(plan)
    })
}

/// Kind, dataset and delta of a request against its contract.
pub(super) fn check_request(request: &Request, kind: &str, contract: &Contract) -> Result<(), Refusal> {
    let refuse = |message: String| Err(Refusal::new(TASK, message));
    if request.kind != kind {
        return refuse(format!(
            "mismatched kind of request: expected `{kind}`, got `{}`",
            request.kind
        ));
    }
    if request.dataset != contract.name {
        let (expected, found) = (&contract.name, &request.dataset);
        return refuse(format!("mismatched dataset: expected `{expected}`, got `{found}`"));
    }
    if request.delta > contract.delta.get() {
        let (most, found) = (contract.delta.get(), request.delta);
        let message = format!("delta out of range: expected at most the contract's {most:e}, got {found:e}");
        return Err(Refusal::new(TASK, message).remedy("ask with the contract's delta"));
    }
    Ok(())
}
