//! Refusals as gRPC statuses: which gRPC code goes with which of ours, and when a call that met a limit is worth making again. The only way
//! to a `Status` in this crate.

use std::time::Duration;

use engine::{Refusal, codes};
use proto::refusal::{CODE, RETRY_MS, status as under};
use tonic::{Code, Status};

use crate::driver::Stopping;
use crate::gate::{Later, millis};
use crate::metrics;

/// The status of a refusal.
pub fn status(refusal: &Refusal) -> Status {
    let Some(wait) = patience(refusal.code) else {
        return under(code(refusal.code), refusal);
    };
    metrics::limited(refusal.code);
    limited(refusal, wait)
}

/// The status of a call that came too early. The gate has counted it.
pub fn later(later: &Later) -> Status {
    limited(&later.refusal, later.retry)
}

/// The status of something that cannot be read, or is too large to be.
pub fn malformed(error: &impl std::fmt::Display) -> Status {
    let refusal = Refusal::new(codes::BAD_REQUEST, error.to_string());
    status(&refusal.remedy("`sotto doctor` compares versions"))
}

/// The status of what is somebody else's word.
pub fn not_own(text: String) -> Status {
    status(&Refusal::new(codes::NOT_OWN, text))
}

/// The status of what went wrong here.
pub fn fault(error: &impl std::fmt::Display) -> Status {
    status(&Refusal::new(codes::FAULT, error.to_string()))
}

/// The status of an agent's stream that ended before its time.
pub fn stream_ended(text: &str) -> Status {
    status(&Refusal::new(codes::STREAM_ENDED, text))
}

/// What the transport says of a stream, with a code of ours.
pub fn typed(told: Status) -> Status {
    match told.metadata().contains_key(CODE) {
        true => told,
        false => under(told.code(), &Refusal::new(codes::STREAM_ENDED, told.message())),
    }
}

impl From<Stopping> for Status {
    fn from(stopping: Stopping) -> Self {
        status(&Refusal::new(codes::STOPPING, stopping.to_string()))
    }
}

fn limited(refusal: &Refusal, wait: Duration) -> Status {
    let mut status = under(Code::ResourceExhausted, refusal);
    status.metadata_mut().insert(RETRY_MS, millis(wait).into());
    status
}

/// How long to wait where whoever refuses does not know better; none: the code is no limit's.
fn patience(code: &str) -> Option<Duration> {
    let seconds = match code {
        codes::TOO_SLOW | codes::TOO_MANY_CALLS => 1,
        // A trial is answered or given up within ten seconds; a place in the queue, or among the open jobs, is free when a job ends.
        codes::TRIALS_OPEN | codes::QUEUE_FULL | codes::TOO_MANY_JOBS => 10,
        codes::ENROLMENT_FULL | codes::TOO_MANY_REQUESTS | codes::TOO_MANY_ACTS | codes::TOO_MANY_HANDED_IN => 60,
        _ => return None,
    };
    Some(Duration::from_secs(seconds))
}

fn code(code: &str) -> Code {
    match code {
        codes::UNKNOWN_JOB | codes::UNKNOWN_DATASET | codes::UNKNOWN_GRANT | codes::UNKNOWN_LETTER => Code::NotFound,
        codes::BAD_REQUEST | codes::UNKNOWN_KIND => Code::InvalidArgument,
        codes::NOT_OWN => Code::PermissionDenied,
        codes::STREAM_ENDED => Code::Aborted,
        codes::DEADLINE => Code::DeadlineExceeded,
        codes::STOPPING | codes::ROSTER_WAITS => Code::Unavailable,
        codes::FAULT => Code::Internal,
        _ => Code::FailedPrecondition,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every code that says "too many", "too slow" or "full" is a limit's, and says when to come again.
    #[test]
    fn a_limit_says_when_to_come_again_and_nothing_else_does() {
        let limits = [
            codes::QUEUE_FULL,
            codes::ENROLMENT_FULL,
            codes::TOO_MANY_CALLS,
            codes::TOO_MANY_REQUESTS,
            codes::TOO_MANY_ACTS,
            codes::TOO_MANY_JOBS,
            codes::TOO_MANY_HANDED_IN,
            codes::TOO_SLOW,
            codes::TRIALS_OPEN,
        ];
        for code in limits {
            let status = status(&Refusal::new(code, "too much"));
            assert_eq!(status.code(), Code::ResourceExhausted, "{code}");
            let wait = status.metadata().get(RETRY_MS).expect("a hint").to_str().unwrap();
            assert!(wait.parse::<u64>().unwrap() >= 1000, "{code}: {wait}");
        }
        for code in [codes::TOO_FEW, codes::UNKNOWN_JOB, codes::STOPPING] {
            let status = status(&Refusal::new(code, "no"));
            assert_ne!(status.code(), Code::ResourceExhausted, "{code}");
            assert!(!status.metadata().contains_key(RETRY_MS), "{code}");
        }
    }

    #[test]
    fn what_the_transport_says_keeps_its_code_and_gets_one_of_ours() {
        let told = typed(Status::out_of_range("message too large"));
        assert_eq!((told.code(), told.message()), (Code::OutOfRange, "message too large"));
        assert_eq!(told.metadata().get(CODE).unwrap(), codes::STREAM_ENDED);
        let ours = typed(Status::from(Stopping));
        assert_eq!(ours.metadata().get(CODE).unwrap(), codes::STOPPING);
    }
}
