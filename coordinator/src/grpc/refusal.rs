//! Refusals as gRPC statuses: the sentence as the message, the stable code and the remedy as metadata.

use engine::{Refusal, codes};
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use crate::driver::Stopping;
use crate::gate::{Later, millis};
use crate::metrics;

pub const CODE: &str = "sotto-code";
pub const REMEDY: &str = "sotto-remedy";
/// After how many milliseconds the same call is worth trying again.
pub const RETRY_MS: &str = "sotto-retry-ms";

/// The status of a refusal.
pub fn status(refusal: &Refusal) -> Status {
    // What the gate refused it has counted.
    if let codes::QUEUE_FULL | codes::ENROLMENT_FULL | codes::TOO_MANY_JOBS = refusal.code {
        metrics::limited(refusal.code);
    }
    let code = match refusal.code {
        codes::UNKNOWN_JOB | codes::UNKNOWN_DATASET | codes::UNKNOWN_GRANT => Code::NotFound,
        codes::BAD_REQUEST | codes::UNKNOWN_KIND => Code::InvalidArgument,
        codes::QUEUE_FULL
        | codes::ENROLMENT_FULL
        | codes::TOO_MANY_JOBS
        | codes::TOO_MANY_CALLS
        | codes::TOO_MANY_REQUESTS
        | codes::TOO_MANY_ACTS => Code::ResourceExhausted,
        _ => Code::FailedPrecondition,
    };
    let mut status = Status::new(code, refusal.message.clone());
    let remedy = refusal.remedy.as_deref().unwrap_or_default();
    for (name, text) in [(CODE, refusal.code), (REMEDY, remedy)] {
        if let Ok(value) = MetadataValue::try_from(text)
            && !text.is_empty()
        {
            status.metadata_mut().insert(name, value);
        }
    }
    status
}

/// The status of a call that came too early.
pub fn later(later: &Later) -> Status {
    let mut status = status(&later.refusal);
    status.metadata_mut().insert(RETRY_MS, millis(later.retry).into());
    status
}

impl From<Stopping> for Status {
    fn from(stopping: Stopping) -> Self {
        Self::unavailable(stopping.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_carries_its_code_and_remedy() {
        let refusal = Refusal::new(codes::QUEUE_FULL, "the queue is full").remedy("ask again later");
        let status = status(&refusal);
        assert_eq!(
            (status.code(), status.message()),
            (Code::ResourceExhausted, "the queue is full")
        );
        assert_eq!(status.metadata().get(CODE).unwrap(), codes::QUEUE_FULL);
        assert_eq!(status.metadata().get(REMEDY).unwrap(), "ask again later");
    }
}
