//! How long a run waits for vectors: as its own rounds have shown, so that one slow participant costs a run seconds and not the
//! full patience in every round. Taken from when *enough* vectors had come, never from when the last one did: a straggler cannot raise it.

use super::config::Limits;

/// Times as long as the slowest recent round needed, before whoever is missing counts as lost.
const PATIENT: u64 = 10;

/// What the rounds of one run needed until enough vectors were there; a slow round is forgotten by an eighth a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pace {
    slowest_ms: Option<u64>,
}

impl Pace {
    pub fn seen(&mut self, took_ms: u64) {
        let kept = self.slowest_ms.map_or(0, |ms| ms - ms.div_ceil(8));
        self.slowest_ms = Some(kept.max(took_ms));
    }

    /// The first round, which reads data, gets all the patience there is.
    pub fn collect_ms(&self, limits: &Limits) -> u64 {
        let least = limits.least_collect_ms.min(limits.collect_ms);
        self.slowest_ms.map_or(limits.collect_ms, |ms| {
            ms.saturating_mul(PATIENT).clamp(least, limits.collect_ms)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_follows_the_rounds_and_forgets_a_slow_one() {
        let limits = Limits::default();
        let mut pace = Pace::default();
        assert_eq!(pace.collect_ms(&limits), limits.collect_ms);
        pace.seen(30_000);
        assert_eq!(pace.collect_ms(&limits), limits.collect_ms);
        (0..60).for_each(|_| pace.seen(20));
        assert_eq!(pace.collect_ms(&limits), limits.least_collect_ms);
        pace.seen(1_000);
        assert_eq!(pace.collect_ms(&limits), 10_000);
    }
}
