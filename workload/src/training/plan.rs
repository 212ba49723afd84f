//! The plan of a run: everything a participant needs to contribute and anybody to recompute the model. Canonical JSON
//! of this type is what parties compare; making one takes tens of milliseconds, nearly all of it calibration.

use super::budget::{Fitted, Wish};
use super::error::{BUDGET, PLAN};
use super::features::{self, Encoder};
use super::model::{FIGURES, Shape, UnitLattice};
use super::release::Covers;
use super::target::Target;
use super::task::{ModelKind, TrainTask};
use crate::query::ScanColumn;
use engine::{CohortTerms, Neighbours, Plan, Refusal, Ring};
use governance::canonical::Real;
use governance::{ContentHash, Contract};
use privacy::clip::ComponentBounds;
use privacy::cost::{Charge, epsilon};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// 2: loss and count at the end of every vector.
const VERSION: u32 = 2;
/// Components of one contribution.
const MAX_DIM: usize = 1 << 25;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainPlan {
    pub version: u32,
    pub dataset: String,
    pub contract: ContentHash,
    pub task: TrainTask,
    /// What is read besides the unit, sorted by name.
    pub columns: Vec<ScanColumn>,
    /// The column of the privacy unit; `None`: every row is a unit.
    pub unit: Option<String>,
    pub encoder: Encoder,
    pub target: Target,
    pub shape: Shape,
    /// Rows that a participant may hold, from the contract.
    pub max_rows: u64,
    /// Participants that one person may appear at, from the contract.
    pub sites: u32,
    pub ring: Ring,
    /// The clip norm in lattice units: C s.
    pub radius: u64,
    /// Each component of a participant is clamped to this.
    pub clip: i64,
    pub noise: TrainNoise,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainNoise {
    /// Of the whole run, one attempt a round.
    pub epsilon: Real,
    pub delta: Real,
    /// Of one participant's share in one round, in squared lattice units; 0: secure aggregation only.
    pub variance: u64,
    pub members: u32,
    pub silent: u32,
    pub s_min: u32,
}

impl TrainPlan {
    /// The plan, or why there is none.
    pub fn new(
        task: TrainTask,
        contract: &Contract,
        cohort: &CohortTerms,
        epsilon: f64,
        delta: f64,
    ) -> Result<Self, Refusal> {
        task.check()?;
        let encoder = Encoder::new(&task.features, contract)?;
        let target = Target::new(&task, contract)?;
        let (head, outputs) = target.head(&task.model);
        let shape = Shape {
            inputs: encoder.width() as u32,
            hidden: match &task.model {
                ModelKind::Mlp { hidden } => hidden.clone(),
                _ => Vec::new(),
            },
            outputs,
            head,
        };
        let budget = |name: &str, x: f64| {
            let positive = Real::new(x).filter(|x| x.get() > 0.0);
            positive.ok_or_else(|| Refusal::new(BUDGET, format!("{name} is {x}: expected a finite number above zero")))
        };
        let mut names: Vec<&str> = task.features.iter().map(String::as_str).collect();
        names.push(&task.target);
        let mut plan = Self {
            version: VERSION,
            dataset: contract.name.clone(),
            contract: contract.hash(),
            columns: features::scans(contract, &names),
            unit: contract.privacy_unit.clone(),
            encoder,
            target,
            shape,
            max_rows: contract.max_rows,
            sites: contract.contribution.participants,
            ring: Ring::Z64,
            radius: 1,
            clip: 0,
            noise: TrainNoise {
                epsilon: budget("epsilon", epsilon)?,
                delta: budget("delta", delta)?,
                variance: 0,
                members: cohort.n,
                silent: cohort.c,
                s_min: cohort.s_min,
            },
            task,
        };
        if plan.dim() > MAX_DIM {
            let message = format!(
                "model too large: expected at most {MAX_DIM} numbers a round, got {}",
                plan.dim()
            );
            return Err(Refusal::new(super::FEATURE, message).remedy("smaller hidden layers, fewer categories"));
        }
        if let Some(start) = &plan.task.start {
            start.check(&plan)?;
        }
        let wish = plan.wish();
        let Fitted {
            ring,
            radius,
            clip,
            variance,
        } = if plan.task.non_private {
            wish.noiseless()?
        } else {
            wish.fit()?
        };
        (plan.ring, plan.radius, plan.clip, plan.noise.variance) = (ring, radius, clip, variance);
        Ok(plan)
    }

    /// What the registry calls the model.
    pub fn model_name(&self) -> String {
        let named = self.task.name.clone();
        named.unwrap_or_else(|| format!("{}.{}", self.dataset, self.task.target))
    }

    /// What the run's privacy statement is about, before it and after it.
    pub fn covers(&self) -> Covers {
        match (self.noise.variance > 0, self.task.is_unit_level()) {
            (false, _) => Covers::Nothing,
            (true, true) => Covers::Unit,
            (true, false) => Covers::Site,
        }
    }

    /// What a unit is: `one row`, or all rows of one value of a column.
    pub fn unit_words(&self) -> String {
        match &self.unit {
            None => "one row".into(),
            Some(unit) => format!("all rows of one `{unit}`"),
        }
    }

    /// Numbers of one contribution: gradient or update, control variates, then loss and count.
    pub fn dim(&self) -> usize {
        self.shape.parameters() * if self.has_controls() { 2 } else { 1 } + FIGURES
    }

    pub(super) fn has_controls(&self) -> bool {
        self.task.algorithm == super::task::Algorithm::Scaffold
    }

    /// Scaffold's control variates travel times this, so that they and the update are of one size under one clip.
    pub(super) fn control_weight(&self) -> f64 {
        let local = self
            .task
            .local
            .map_or((1.0, 1.0), |l| (l.learning_rate.get(), f64::from(l.steps)));
        local.0 * local.1
    }

    /// What a participant's part of the sum is divided by: expected units in its batch, or 1 for its update.
    pub(super) fn weight_per_participant(&self) -> f64 {
        if !self.task.is_unit_level() {
            return 1.0;
        }
        let all = match self.task.expected_units {
            Some(units) => units as f64 / f64::from(self.noise.members.max(1)),
            None => self.max_rows as f64,
        };
        let held = self.task.holdout.map_or(0.0, |h| h.fraction.get());
        all * self.task.sampling_rate.get() * (1.0 - held)
    }

    pub fn lattice(&self) -> Option<UnitLattice> {
        UnitLattice::new(self.radius)
    }

    fn wish(&self) -> Wish {
        let unit_level = self.task.is_unit_level();
        let q = self.task.sampling_rate.get();
        let mean = q * self.max_rows as f64;
        // A batch beyond ten standard deviations is clamped: it would cost accuracy, never privacy, and never happens.
        let batch = if q >= 1.0 {
            mean
        } else {
            (mean + 10.0 * mean.sqrt() + 100.0).min(self.max_rows as f64)
        };
        Wish {
            dim: self.dim(),
            vectors: if unit_level { 1 } else { 2 },
            sites: u64::from(self.sites),
            most: if unit_level { batch.ceil() as u64 } else { 1 },
            q,
            rounds: self.task.rounds,
            epsilon: self.noise.epsilon.get(),
            delta: self.noise.delta.get(),
            cohort: CohortTerms {
                n: self.noise.members,
                c: self.noise.silent,
                s_min: self.noise.s_min,
            },
        }
    }

    /// What one round costs, from the integers of the plan.
    pub fn charge(&self) -> Charge {
        match self.noise.variance {
            0 => Charge::infinite(),
            variance => self.wish().charge(self.radius, variance),
        }
    }

    /// What `rounds` rounds cost at delta, at the best order: for reports.
    pub fn epsilon_after(&self, rounds: u32) -> f64 {
        match rounds {
            0 => 0.0,
            rounds => epsilon(&self.charge().times(u64::from(rounds)), self.noise.delta.get()),
        }
    }

    /// Standard deviation of the certain noise over the distance of neighbours: what papers call the noise multiplier.
    pub fn noise_multiplier(&self) -> f64 {
        let wish = self.wish();
        let terms = wish.terms(self.radius, self.noise.variance);
        (f64::from(terms.shares) * self.noise.variance as f64 / terms.l2_squared as f64).sqrt()
    }

    /// The columns a participant scans.
    pub fn columns(&self) -> &[ScanColumn] {
        &self.columns
    }

    pub fn to_plan(&self) -> Result<Plan, Refusal> {
        let bounds = ComponentBounds::uniform(self.dim(), -self.clip, self.clip)
            .map_err(|e| Refusal::new(PLAN, e.to_string()))?;
        Ok(Plan {
            bytes: Arc::from(self.to_bytes()),
            ring: self.ring,
            dim: self.dim(),
            rounds: self.task.rounds,
            bounds,
            variance: self.noise.variance,
            charge: self.charge(),
            columns: self.columns.iter().map(|c| c.name.clone()).collect(),
            neighbours: match self.task.is_unit_level() {
                true => Neighbours::Units,
                false => Neighbours::Sites,
            },
            aggregates: Vec::new(),
        })
    }

    /// The bytes that parties compare.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Unwrap safety: a plan holds strings, integers, booleans and finite `Real`s, all of which JSON can spell.
        serde_json::to_vec(self).expect("a plan is spellable")
    }

    /// The plan of these bytes, if it can be acted on.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        let malformed = |what: String| Refusal::new(PLAN, format!("malformed training plan: {what}"));
        let plan: Self = serde_json::from_slice(bytes).map_err(|e| malformed(e.to_string()))?;
        plan.task.check()?;
        if plan.version != VERSION {
            return Err(malformed(format!("expected version {VERSION}, got {}", plan.version)));
        }
        let hidden = match &plan.task.model {
            ModelKind::Mlp { hidden } => hidden.as_slice(),
            _ => &[],
        };
        let shaped = plan.encoder.width() == plan.shape.inputs as usize && plan.shape.hidden == hidden;
        if plan.lattice().is_none() || plan.clip <= 0 || !shaped || plan.target.head_of(&plan.shape).is_none() {
            return Err(malformed("its parts contradict each other".into()));
        }
        if let Some(start) = &plan.task.start {
            start.check(&plan)?;
        }
        Ok(plan)
    }
}
