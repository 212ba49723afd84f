//! What a round is about, in one hash. Both sides compute it from what they know themselves; if the coordinator told two
//! agents different things, their hashes differ, and no cohort holds both.

use std::sync::Arc;

use governance::Contract;
use governance::decision::ColumnsRead;

use crate::ids::SlotId;
use crate::message::RoundStart;
use crate::workload::{CohortTerms, Plan};

const DOMAIN: &str = "sottovoce/engine/v1/context";

/// A plan with the terms it was made for and its hash, made once and shared by all rounds of a job.
#[derive(Clone)]
pub(crate) struct Planned {
    pub plan: Arc<Plan>,
    pub columns: Arc<ColumnsRead>,
    pub hash: secagg::Digest,
    pub terms: CohortTerms,
    /// Names the charge, so that a reservation is found again after a restart.
    pub price: String,
}

impl Planned {
    pub(crate) fn new(plan: Plan, contract: &Contract, terms: CohortTerms) -> Self {
        Self {
            hash: plan.hash(),
            price: price(&plan),
            columns: Arc::new(ColumnsRead::of(contract, plan.columns.clone())),
            plan: Arc::new(plan),
            terms,
        }
    }
}

fn price(plan: &Plan) -> String {
    if plan.variance == 0 {
        return "no-noise".to_owned();
    }
    let orders = privacy::ORDERS
        .iter()
        .flat_map(|order| plan.charge.curve.at(*order).to_le_bytes());
    let bytes: Vec<u8> = orders.chain(plan.charge.delta.units().to_le_bytes()).collect();
    secagg::Digest::of("price", &[&bytes]).to_string()[..16].to_owned()
}

/// What every message of a round is bound to: request, contract, plan, terms, place and state. The epoch's identity is not
/// in it: secagg binds it beside this hash.
pub(crate) fn context_hash(
    start: &RoundStart,
    request: &governance::ContentHash,
    contract: &governance::ContentHash,
    planned: &Planned,
) -> secagg::Digest {
    let SlotId { epoch, slot } = start.at;
    let (plan, terms) = (&planned.plan, &planned.terms);
    let optional = |digest: Option<[u8; 32]>| digest.map_or_else(Vec::new, |digest| digest.to_vec());
    let previous = start.previous.as_ref();
    secagg::Digest::of(
        DOMAIN,
        &[
            &epoch.to_le_bytes(),
            &slot.to_le_bytes(),
            &request.0,
            &start.attempt.to_le_bytes(),
            &start.job.0,
            &start.round.to_le_bytes(),
            &planned.hash.0,
            &contract.0,
            &optional(previous.map(|previous| previous.state_hash)),
            &optional(previous.map(|previous| previous.sum_hash)),
            &previous.map_or_else(Vec::new, |previous| terms_bytes(&previous.terms)),
            &terms_bytes(terms),
            &[plan.ring.bytes_per_value() as u8],
            &(plan.dim as u64).to_le_bytes(),
            &plan.variance.to_le_bytes(),
            &start.timeout_ms.to_le_bytes(),
        ],
    )
}

fn terms_bytes(terms: &CohortTerms) -> Vec<u8> {
    [terms.n, terms.c, terms.s_min]
        .iter()
        .flat_map(|term| term.to_le_bytes())
        .collect()
}
