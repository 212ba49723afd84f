//! What the engine asks of a workload: a checked plan for one round, and what to do with the sum.
//!
//! The engine knows rounds and nothing of SQL or models; a workload knows SQL and models and nothing of rounds. Both
//! sides of the wire derive the same [`Plan`] from the same request through this trait and compare plan hashes, so
//! nobody runs a plan on the coordinator's word. Both methods are pure: same arguments, same answer, on every machine.

use std::fmt;
use std::sync::Arc;

/// The one thing the engine does not know: what the numbers mean.
pub trait Workload: Send + Sync + 'static {
    /// Derives the plan of one round, or says which part of the request cannot be answered and why.
    fn plan(
        &self,
        request: &governance::Request,
        contract: &governance::Contract,
        cohort: &CohortTerms,
    ) -> Result<Plan, Refusal>;

    /// Reads the sum of round `round` (counted from 0) on top of the state that the round before it left.
    fn absorb(&self, plan: &Plan, round: u32, state: Option<&[u8]>, sum: &PlainSum) -> Result<Outcome, Refusal>;

    /// What a release of this workload adds to its analyst's registry of models.
    fn adds(&self, _request: &governance::Request, _release: &[u8]) -> Option<governance::Addition> {
        None
    }
}

/// The cohort that a plan is made for. Noise and sensitivity are derived for `s_min - c` honest shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CohortTerms {
    /// Members of the epoch.
    pub n: u32,
    /// Members that may collude with the coordinator, from the signed roster.
    pub c: u32,
    /// The fewest contributions that may ever be summed.
    pub s_min: u32,
}

impl CohortTerms {
    /// Noise shares that are certainly present and certainly unknown to the adversary.
    pub fn honest_shares(&self) -> u32 {
        self.s_min.saturating_sub(self.c)
    }
}

/// What a workload promises for one round.
#[derive(Clone)]
pub struct Plan {
    /// Canonical form: two parties hold the same plan iff they hold the same bytes.
    pub bytes: Arc<[u8]>,
    /// Ring of the masked sum.
    pub ring: secagg::Ring,
    /// Components of one contribution.
    pub dim: usize,
    /// Rounds of the whole job: 1 for a query.
    pub rounds: u32,
    /// How far one privacy unit can move each component.
    pub bounds: privacy::ComponentBounds,
    /// Integer variance of one participant's noise share; 0 only where every owner allows "secure aggregation only".
    pub variance: u64,
    /// What one round costs.
    pub charge: privacy::Charge,
    /// Columns that the plan reads, for the decision step.
    pub columns: Vec<String>,
    /// Aggregates that its release shows, as in SQL and in capitals; none for training. For the decision step.
    pub aggregates: Vec<String>,
    pub neighbours: Neighbours,
}

/// Which two data sets the noise makes alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbours {
    /// They differ in the rows of one privacy unit.
    Units,
    /// They differ in all that one participant holds.
    Sites,
}

impl Plan {
    /// The identity of the plan: what both sides compare.
    pub fn hash(&self) -> secagg::Digest {
        secagg::Digest::of("plan", &[&self.bytes])
    }
}

/// What follows from a sum.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Another round, on top of this state.
    Again {
        state: Arc<[u8]>,
        /// A public figure of the workload's own, for people who look on. Post-processing of released sums, like the
        /// state; no party decides anything by it.
        figure: Option<f64>,
    },
    /// The job is over; `release` is the workload's canonical JSON.
    Done { release: Vec<u8> },
}

/// The noisy sum in signed integers, and how much noise it really carries. It has no `Debug`: only a release prints.
pub struct PlainSum {
    /// One value per component of the plan.
    pub values: Vec<i64>,
    /// Participants whose contribution is in the sum.
    pub contributors: u32,
    /// `contributors` times the plan's variance: what error bars use.
    pub variance: u64,
}

impl PlainSum {
    /// Reads the ring's values as signed integers.
    pub fn new(vector: &secagg::RingVec, contributors: u32, plan: &Plan) -> Self {
        Self {
            values: vector.to_i64s(),
            contributors,
            variance: u64::from(contributors).saturating_mul(plan.variance),
        }
    }
}

/// A refusal for a reason that does not depend on data: a stable code, a sentence, and a way out where there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Stable, documented in docs/errors.md: `SOTTO-` and four digits.
    pub code: &'static str,
    /// What was expected and what was found.
    pub message: String,
    /// What the caller can do about it.
    pub remedy: Option<String>,
}

impl Refusal {
    /// A refusal with the way out that its code has.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            remedy: Some(crate::codes::remedy(code).to_owned()),
        }
    }

    /// The same refusal with a better way out.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        match &self.remedy {
            Some(remedy) => write!(f, " ({remedy})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {}
