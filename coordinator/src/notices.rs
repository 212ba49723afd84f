//! What the operator reads: the engine's events as structured log lines and counters. Events hold names, counts and codes,
//! nothing that depends on data.

use engine::{CoordinatorEvent as E, codes};

use crate::metrics;

/// Logs and counts one event.
pub fn tell(event: &E) {
    match event {
        E::EpochOpening { epoch, members } => tracing::info!(epoch, members, "epoch opening"),
        E::EpochLive { epoch, members, slots } => tracing::info!(epoch, members, slots, "epoch live"),
        E::EpochVoid { epoch, refused } => {
            tracing::warn!(epoch, code = refused.code, reason = refused.message, "epoch void")
        }
        E::JobQueued { job } => tracing::info!(%job, "job queued"),
        E::JobWaiting { job, refused } => {
            tracing::info!(%job, code = refused.code, reason = refused.message, "job waiting");
        }
        E::RoundStarted {
            job,
            round,
            attempt,
            at,
        } => tracing::debug!(%job, round, attempt, %at, "round started"),
        E::RoundSummed {
            job,
            round,
            at,
            contributors,
            cohort,
            figure: _, // the analyst's
        } => {
            metrics::round("summed");
            tracing::debug!(%job, round, %at, contributors, cohort, "round summed");
        }
        E::RoundFailed {
            job,
            round,
            attempt,
            at,
            refused,
        } => {
            metrics::round("failed");
            tracing::warn!(%job, round, attempt, %at, code = refused.code, reason = refused.message, "round failed");
        }
        E::Witnessing { job } => tracing::debug!(%job, "answered, waits for witnesses"),
        E::WitnessRefused { agent, refused } => {
            metrics::misbehaved();
            tracing::warn!(%agent, code = refused.code, reason = refused.message, "an agent does not accept the log");
        }
        E::Released { job, repeated } => {
            metrics::job(if *repeated { "repeated" } else { "released" });
            tracing::info!(%job, repeated, "released");
        }
        E::JobFailed { job, refused } => {
            metrics::job("failed");
            tracing::warn!(%job, code = refused.code, reason = refused.message, "job failed");
        }
        E::AgentRefused { agent, at, refused } => {
            limited(&refused.code);
            tracing::info!(%agent, %at, code = refused.code, reason = refused.message, "agent refused");
        }
        E::ActTaken { act, what } => tracing::info!(%act, what, "act taken"),
        E::Misbehaved { agent, refused } => {
            limited(&refused.code);
            metrics::misbehaved();
            tracing::warn!(%agent, code = refused.code, reason = refused.message, "agent broke the protocol");
        }
    }
}

/// Counts what an agent refused, or was refused, because it was too much.
fn limited(code: &str) {
    for limit in [codes::TOO_OFTEN, codes::TOO_MANY_HANDED_IN] {
        if code == limit {
            metrics::limited(limit);
        }
    }
}
