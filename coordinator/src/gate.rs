//! How much one organisation may ask of this coordinator, and how much one person may decide, by the authenticated caller: one that calls
//! too often is told so, and nobody else notices. A bucket holds one period's amount and fills evenly. Nothing here depends on what others do.
//!
//! Costs a look-up in a small map a call; the keys are names of the roster, so nobody can make the maps grow. Lost in a restart, and may be.
//! The engine holds what depends on its books: open jobs, and what agents hand in.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::{Refusal, codes};
use governor::clock::Clock;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Limits;
use crate::metrics;

/// What to wait before the same is asked again that is more than a full bucket: no wait helps, and an hour fills every bucket there is.
const NEVER_FITS: Duration = Duration::from_secs(3600);

/// What a call costs beside itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Read,
    /// A request: it stays in the books.
    Submit,
}

/// One call too many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Later {
    pub refusal: Refusal,
    pub retry: Duration,
}

/// All limits of this coordinator.
pub struct Gate {
    calls: Limit,
    submissions: Limit,
    /// Of requests, since one may carry a model.
    kibibytes: Limit,
    acts: Limit,
    pages: Limit,
    streams: Limit,
    turns: Mutex<BTreeMap<String, Arc<Semaphore>>>,
}

struct Limit {
    buckets: DefaultKeyedRateLimiter<String>,
    /// In words, of whom and of what.
    words: String,
    code: &'static str,
}

impl Gate {
    pub fn new(limits: &Limits) -> Self {
        let of = |amount: NonZeroU32, what: &'static str, code: &'static str| {
            move |quota: Quota| Limit {
                buckets: RateLimiter::keyed(quota),
                words: format!("{amount} {what}"),
                code,
            }
        };
        let calls = Quota::per_second(limits.calls_per_second).allow_burst(limits.calls_burst);
        Self {
            calls: of(limits.calls_per_second, "calls a second", codes::TOO_MANY_CALLS)(calls),
            submissions: of(
                limits.submissions_per_minute,
                "requests a minute",
                codes::TOO_MANY_REQUESTS,
            )(Quota::per_minute(limits.submissions_per_minute)),
            kibibytes: of(
                limits.submitted_kib_per_hour,
                "KiB of requests an hour",
                codes::TOO_MANY_REQUESTS,
            )(Quota::per_hour(limits.submitted_kib_per_hour)),
            acts: of(limits.acts_per_hour, "acts an hour", codes::TOO_MANY_ACTS)(Quota::per_hour(limits.acts_per_hour)),
            pages: of(
                limits.log_pages_per_minute,
                "pages of the log a minute",
                codes::TOO_MANY_CALLS,
            )(Quota::per_minute(limits.log_pages_per_minute)),
            streams: of(limits.streams_per_minute, "connections a minute", codes::TOO_MANY_CALLS)(Quota::per_minute(
                limits.streams_per_minute,
            )),
            turns: Mutex::default(),
        }
    }

    /// Whether somebody of this organisation may make this call now.
    pub fn call(&self, organisation: &str, call: Call) -> Result<(), Later> {
        let whose = "your organisation";
        self.calls.take(organisation, whose)?;
        match call {
            Call::Read => Ok(()),
            Call::Submit => self.submissions.take(organisation, whose),
        }
    }

    /// Whether a request of this size may be kept now: calls are counted before they are read, and this after.
    pub fn keeps(&self, organisation: &str, bytes: usize) -> Result<(), Later> {
        let kibibytes = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        let kibibytes = NonZeroU32::new(kibibytes).unwrap_or(NonZeroU32::MIN);
        self.kibibytes.take_many(organisation, "your organisation", kibibytes)
    }

    /// Waits until no other call of this organisation reads the books: what one lists holds everybody up for its own length at most.
    pub async fn turn(&self, organisation: &str) -> OwnedSemaphorePermit {
        let turns = {
            let mut all = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            let one = || Arc::new(Semaphore::new(1));
            all.entry(organisation.to_owned()).or_insert_with(one).clone()
        };
        // Unwrap safety: this semaphore is never closed.
        turns.acquire_owned().await.expect("an open semaphore")
    }

    /// Whether a person may decide something now. Each counts alone: nobody keeps a colleague from deciding.
    pub fn act(&self, person: &str) -> Result<(), Later> {
        self.acts.take(person, "you")
    }

    /// Whether an agent may open a stream again.
    pub fn stream(&self, agent: &str) -> Result<(), Later> {
        self.streams.take(agent, "an agent")
    }

    /// How long the next page of the log waits for its turn; none: it may go.
    pub fn page(&self, organisation: &str) -> Option<Duration> {
        self.pages
            .take(organisation, "your organisation")
            .err()
            .map(|later| later.retry)
    }
}

impl Limit {
    fn take(&self, key: &str, whose: &str) -> Result<(), Later> {
        self.take_many(key, whose, NonZeroU32::MIN)
    }

    fn take_many(&self, key: &str, whose: &str, many: NonZeroU32) -> Result<(), Later> {
        let taken = self.buckets.check_key_n(&key.to_owned(), many);
        let taken = taken.map_err(|_| {
            metrics::limited(self.code);
            Later {
                refusal: Refusal::new(
                    self.code,
                    format!("{whose} may make {} here, and asks for more at once", self.words),
                )
                .remedy("ask for less; the coordinator's operator sets the limit"),
                retry: NEVER_FITS,
            }
        })?;
        taken.map_err(|until| {
            metrics::limited(self.code);
            let retry = until.wait_time_from(self.buckets.clock().now());
            let text = format!("{whose} may make {} here, and has made them", self.words);
            let remedy = format!(
                "again in {} ms; the coordinator's operator sets the limit",
                millis(retry)
            );
            Later {
                refusal: Refusal::new(self.code, text).remedy(remedy),
                retry,
            }
        })
    }
}

/// Rounded up: whoever waits so long is let in.
pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_weighed_as_well_as_counted() {
        let gate = Gate::new(&Limits {
            submitted_kib_per_hour: NonZeroU32::new(8).unwrap(),
            ..Limits::default()
        });
        assert_eq!(gate.keeps("loud", 6 * 1024), Ok(()));
        let later = gate.keeps("loud", 6 * 1024).unwrap_err();
        assert!(
            later.refusal.message.contains("8 KiB of requests an hour"),
            "{}",
            later.refusal
        );
        assert!(later.retry > Duration::ZERO);
        let never = gate.keeps("loud", 100 * 1024).unwrap_err();
        assert_eq!(never.retry, NEVER_FITS, "more than there ever is");
        assert_eq!(gate.keeps("loud", 100), Ok(()));
        assert_eq!(gate.keeps("quiet", 6 * 1024), Ok(()));
    }

    #[tokio::test]
    async fn an_organisation_reads_one_thing_at_a_time_and_waits_for_nobody_elses() {
        let gate = gate(1, 1);
        let reading = gate.turn("loud").await;
        let another = tokio::time::timeout(Duration::from_millis(20), gate.turn("loud")).await;
        assert!(another.is_err(), "its own first call is still read");
        drop(gate.turn("quiet").await);
        drop(reading);
        drop(gate.turn("loud").await);
    }

    fn gate(calls: u32, submissions: u32) -> Gate {
        let number = |n| NonZeroU32::new(n).unwrap();
        Gate::new(&Limits {
            calls_per_second: number(calls),
            calls_burst: number(calls),
            submissions_per_minute: number(submissions),
            ..Limits::default()
        })
    }

    #[test]
    fn an_organisation_that_used_its_share_is_told_which_and_for_how_long_and_another_is_not() {
        let gate = gate(1000, 2);
        assert_eq!(gate.call("loud", Call::Submit), Ok(()));
        assert_eq!(gate.call("loud", Call::Submit), Ok(()));
        let later = gate.call("loud", Call::Submit).unwrap_err();
        assert_eq!(later.refusal.code, codes::TOO_MANY_REQUESTS);
        assert!(
            later.refusal.message.contains("2 requests a minute"),
            "{}",
            later.refusal.message
        );
        let waits = millis(later.retry);
        assert!((1..=30_000).contains(&waits), "{waits}");
        assert_eq!(gate.call("loud", Call::Read), Ok(()), "reading has its own share");
        assert_eq!(gate.call("quiet", Call::Submit), Ok(()));
    }

    #[test]
    fn whoever_waits_as_long_as_was_said_is_let_in() {
        let gate = gate(20, 1000);
        let later = loop {
            if let Err(later) = gate.call("loud", Call::Read) {
                break later;
            }
        };
        assert!(millis(later.retry) <= 50, "{:?}", later.retry);
        std::thread::sleep(Duration::from_millis(millis(later.retry))); // the limit's own time
        assert_eq!(gate.call("loud", Call::Read), Ok(()));
    }
}
