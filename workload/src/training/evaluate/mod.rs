//! Evaluation of a model over all participants: one round of counts that costs budget like any query.
//!
//! Each row falls into a cell of (group, class, score), and is never seen again: accuracy, AUC, log loss, calibration
//! and gaps between groups are read off the noisy counts. No site's figures exist. A plan takes well under a
//! millisecond.

mod counts;
mod figures;
mod report;

pub use counts::counts;
pub use report::{CalibrationBin, Estimate, Evaluation, GroupFigures};

use super::error::{BUDGET, FEATURE, PLAN, SATURATES, TASK, mismatched, out_of_range};
use super::features::{Encoder, scans, usable};
use super::model::Head;
use super::release::TrainedModel;
use super::target::Target;
use super::task::Holdout;
use super::workload::check_request;
use crate::query::ScanColumn;
use engine::{CohortTerms, Outcome, PlainSum, Plan, Refusal, Ring, Workload};
use governance::canonical::{self, Real};
use governance::{Addition, ContentHash, Contract, Request};
use privacy::clip::ComponentBounds;
use privacy::cost::{Charge, GaussianTerms, calibrate, distributed_gaussian};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// `Request::kind` of an evaluation.
pub const EVALUATE_KIND: &str = "evaluate";
const VERSION: u32 = 1;
const MAX_GROUPS: usize = 64;
const MAX_DIM: usize = 1 << 20;
/// What one row adds to a cell: noise is then drawn on a fine lattice at any useful epsilon.
const WEIGHT: u64 = 1 << 10;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluateTask {
    pub model: TrainedModel,
    pub part: Part,
    /// The split of the training run; needed unless `part` is `all`.
    #[serde(default)]
    pub holdout: Option<Holdout>,
    /// Figures for each value of this column, and the gaps between them.
    #[serde(default)]
    pub group: Option<String>,
    /// Equal bins of the score; an even number, so that one half is a bin's edge.
    #[serde(default = "twenty")]
    pub bins: u32,
}

fn twenty() -> u32 {
    20
}

/// Which units are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    All,
    Train,
    Held,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluatePlan {
    pub version: u32,
    pub dataset: String,
    pub contract: ContentHash,
    pub task: EvaluateTask,
    /// What is read besides the unit, sorted by name.
    pub columns: Vec<ScanColumn>,
    pub unit: Option<String>,
    /// The domain of the group column, and whether a last group takes rows where it is missing.
    pub group: Option<(Target, bool)>,
    /// Rows of one unit that count at one participant; participants it may appear at.
    pub rows_per_unit: u32,
    pub sites: u32,
    pub weight: u64,
    pub clip: i64,
    pub variance: u64,
    pub shares: u32,
    pub members: u32,
    pub epsilon: Real,
    pub delta: Real,
}

impl EvaluateTask {
    pub fn to_task(&self) -> String {
        // Unwrap safety: strings, integers and finite reals are spellable in JSON.
        canonical::to_string(self).expect("a task is spellable")
    }

    pub fn from_task(task: &str) -> Result<Self, Refusal> {
        let task: Self =
            serde_json::from_str(task).map_err(|e| Refusal::new(TASK, format!("malformed evaluation task: {e}")))?;
        task.check()?;
        Ok(task)
    }

    fn check(&self) -> Result<(), Refusal> {
        if !(2..=200).contains(&self.bins) || !self.bins.is_multiple_of(2) {
            return Err(out_of_range("bins", "an even number from 2 to 200", self.bins));
        }
        if self.part != Part::All && self.holdout.is_none() {
            return Err(
                Refusal::new(TASK, "a part of the data is asked for, and `holdout` is not given")
                    .remedy("the holdout of the training run, or part = \"all\""),
            );
        }
        let fraction = self.holdout.map_or(0.0, |holdout| holdout.fraction.get());
        if !(0.0..1.0).contains(&fraction) {
            return Err(out_of_range("holdout.fraction", "at least 0 and below 1", fraction));
        }
        self.model.weights().map(drop)
    }
}

impl EvaluatePlan {
    pub fn new(
        task: EvaluateTask,
        contract: &Contract,
        cohort: &CohortTerms,
        epsilon: f64,
        delta: f64,
    ) -> Result<Self, Refusal> {
        let model = &task.model;
        let names: Vec<String> = model.encoder.columns.iter().map(|c| c.name.clone()).collect();
        if Encoder::new(&names, contract)? != model.encoder || !model.target.is_of(&model.target_column, contract)? {
            let message = "the model was trained on other bounds, categories or null rules than this contract's";
            return Err(Refusal::new(FEATURE, message).remedy("train again under the current contract"));
        }
        if model.target.head_of(&model.shape).is_none() {
            return Err(mismatched(
                "model",
                "an output for each class of its target",
                model.shape.outputs,
            ));
        }
        let mut columns: Vec<&str> = names.iter().map(String::as_str).collect();
        columns.push(&model.target_column);
        let group = match &task.group {
            None => None,
            Some(name) => {
                let column = usable(contract, name, "group")?;
                let domain = Target::classes_of(column)?;
                if domain.classes() > MAX_GROUPS {
                    return Err(
                        Refusal::new(FEATURE, format!("group `{name}` has {} values", domain.classes()))
                            .remedy(format!("a column with at most {MAX_GROUPS} values")),
                    );
                }
                columns.push(name);
                Some((domain, column.can_be_null()))
            }
        };
        let real = |name: &str, x: f64| {
            let found = Real::new(x).filter(|x| x.get() > 0.0);
            found.ok_or_else(|| Refusal::new(BUDGET, format!("{name} is {x}: expected a finite number above zero")))
        };
        let mut plan = Self {
            version: VERSION,
            dataset: contract.name.clone(),
            contract: contract.hash(),
            columns: scans(contract, &columns),
            unit: contract.privacy_unit.clone(),
            group,
            rows_per_unit: contract.contribution.max_rows,
            sites: contract.contribution.participants,
            weight: WEIGHT,
            clip: 0,
            variance: 0,
            shares: cohort.honest_shares(),
            members: cohort.n,
            epsilon: real("epsilon", epsilon)?,
            delta: real("delta", delta)?,
            task,
        };
        if plan.dim() > MAX_DIM {
            let message = format!("too many cells: expected at most {MAX_DIM}, got {}", plan.dim());
            return Err(Refusal::new(FEATURE, message).remedy("fewer bins, or a group with fewer values"));
        }
        plan.calibrate(contract.max_rows)?;
        Ok(plan)
    }

    fn calibrate(&mut self, max_rows: u64) -> Result<(), Refusal> {
        let price = |plan: &Self| {
            let terms = plan.terms(0);
            let (epsilon, delta) = (plan.epsilon.get(), plan.delta.get());
            calibrate(terms.l2_squared, terms.l1, terms.dim, terms.shares, epsilon, delta)
                .map_err(|e| Refusal::new(BUDGET, e.to_string()).remedy("a larger epsilon"))
        };
        let mut found = price(self)?;
        if found.lattice_factor > 1 {
            self.weight = self.weight.saturating_mul(found.lattice_factor);
            found = price(self)?;
        }
        self.variance = found.variance;
        let clip = max_rows.saturating_mul(self.weight);
        self.clip = i64::try_from(clip).unwrap_or(i64::MAX);
        let members = f64::from(self.members);
        if members * clip as f64 + 64.0 * (members * self.variance as f64).sqrt() > 2f64.powi(61) {
            let message = format!(
                "{max_rows} rows at each of {} participants do not fit a 64-bit sum",
                self.members
            );
            return Err(Refusal::new(SATURATES, message).remedy("a larger epsilon, or a contract with fewer maxRows"));
        }
        Ok(())
    }

    /// A row feeds one cell of each of `blocks` histograms with `weight`. All rows of a unit may meet in one cell.
    fn terms(&self, variance: u64) -> GaussianTerms {
        let rows = u128::from(self.sites) * u128::from(self.rows_per_unit) * u128::from(self.weight);
        let blocks = self.blocks() as u128;
        GaussianTerms {
            shares: self.shares,
            variance,
            l2_squared: (rows * rows).saturating_mul(blocks),
            l1: rows.saturating_mul(blocks),
            dim: self.dim() as u64,
        }
    }

    pub fn groups(&self) -> usize {
        self.group
            .as_ref()
            .map_or(1, |(domain, missing)| domain.classes() + usize::from(*missing))
    }

    pub fn dim(&self) -> usize {
        self.groups() * self.width()
    }

    /// Cells of one group.
    pub fn width(&self) -> usize {
        let (bins, classes) = (self.task.bins as usize, self.task.model.target.classes());
        match self.task.model.shape.head {
            Head::Squared => bins,
            Head::Logistic => 2 * bins,
            // (class, found class), (right or wrong, confidence), probability of the true class.
            Head::Softmax => classes * classes + 2 * bins + bins,
        }
    }

    fn blocks(&self) -> usize {
        if self.task.model.shape.head == Head::Softmax {
            3
        } else {
            1
        }
    }

    pub fn charge(&self) -> Charge {
        distributed_gaussian(&self.terms(self.variance))
    }

    pub fn columns(&self) -> &[ScanColumn] {
        &self.columns
    }

    pub fn to_plan(&self) -> Result<Plan, Refusal> {
        let bounds =
            ComponentBounds::uniform(self.dim(), 0, self.clip).map_err(|e| Refusal::new(PLAN, e.to_string()))?;
        Ok(Plan {
            bytes: Arc::from(self.to_bytes()),
            ring: Ring::Z64,
            dim: self.dim(),
            rounds: 1,
            bounds,
            variance: self.variance,
            charge: self.charge(),
            columns: self.columns.iter().map(|c| c.name.clone()).collect(),
            aggregates: Vec::new(),
        })
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        // Unwrap safety: strings, integers and finite reals are spellable in JSON.
        serde_json::to_vec(self).expect("a plan is spellable")
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        let plan: Self =
            serde_json::from_slice(bytes).map_err(|e| Refusal::new(PLAN, format!("malformed evaluation plan: {e}")))?;
        plan.task.check()?;
        if plan.version != VERSION {
            return Err(mismatched("version of the evaluation plan", VERSION, plan.version));
        }
        let shape = &plan.task.model.shape;
        if plan.task.model.target.head_of(shape).is_none() {
            return Err(mismatched(
                "model",
                "an output for each class of its target",
                shape.outputs,
            ));
        }
        Ok(plan)
    }
}

/// Evaluation. Stateless: everything it knows is in its arguments.
#[derive(Clone, Copy, Debug, Default)]
pub struct EvaluateWorkload;

impl Workload for EvaluateWorkload {
    fn plan(&self, request: &Request, contract: &Contract, cohort: &CohortTerms) -> Result<Plan, Refusal> {
        check_request(request, EVALUATE_KIND, contract)?;
        let task = EvaluateTask::from_task(&request.task)?;
        EvaluatePlan::new(task, contract, cohort, request.epsilon, request.delta)?.to_plan()
    }

    fn absorb(&self, plan: &Plan, _round: u32, _state: Option<&[u8]>, sum: &PlainSum) -> Result<Outcome, Refusal> {
        let plan = EvaluatePlan::from_bytes(&plan.bytes)?;
        let report = report::report(&plan, sum)?;
        let body = canonical::to_string(&report).map_err(|e| Refusal::new(PLAN, e.to_string()))?;
        Ok(Outcome::Done {
            release: body.into_bytes(),
        })
    }

    /// Figures, if the noise left any: nobody can validate a model by nothing.
    fn adds(&self, request: &Request, release: &[u8]) -> Option<Addition> {
        let overall = serde_json::from_slice::<Evaluation>(release).ok()?.overall;
        if overall.auc.is_none() && overall.accuracy.is_none() && overall.rmse.is_none() {
            return None;
        }
        let model = EvaluateTask::from_task(&request.task).ok()?.model.hash().ok()?;
        Some(Addition::Figures { model })
    }
}
