//! A bucket that holds an hour's amount and fills evenly ([GCRA], the generic cell rate algorithm), with the time as an argument. Two words.

const HOUR_US: u64 = 3_600_000_000;

/// How full it is, by when it would be full again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bucket {
    full_at_us: u64,
}

impl Bucket {
    /// The bucket with one taken out of it, if there is one.
    pub(crate) fn less_one(self, an_hour: u32, now_ms: u64) -> Option<Self> {
        let now_us = now_ms.saturating_mul(1_000);
        let one_us = HOUR_US / u64::from(an_hour.max(1));
        let full_at_us = self.full_at_us.max(now_us).saturating_add(one_us);
        (full_at_us <= now_us.saturating_add(HOUR_US)).then_some(Self { full_at_us })
    }

    /// In how many milliseconds there is one again.
    pub(crate) fn next_ms(self, an_hour: u32, now_ms: u64) -> u64 {
        let one_us = HOUR_US / u64::from(an_hour.max(1));
        let full_at_us = self.full_at_us.saturating_add(one_us);
        let at_us = full_at_us.saturating_sub(HOUR_US);
        at_us.saturating_sub(now_ms.saturating_mul(1_000)).div_ceil(1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hours_amount_goes_at_once_and_then_as_much_as_the_hour_brings() {
        let start_ms = 1_000_000;
        let take = |bucket: &mut Bucket, at_ms: u64| match bucket.less_one(60, at_ms) {
            Some(less) => {
                *bucket = less;
                true
            }
            None => false,
        };
        let mut bucket = Bucket::default();
        for _ in 0..60 {
            assert!(take(&mut bucket, start_ms));
        }
        assert!(!take(&mut bucket, start_ms));
        // One a minute comes back, and what was refused took nothing.
        assert_eq!(bucket.next_ms(60, start_ms), 60_000);
        assert!(!take(&mut bucket, start_ms + 59_999));
        assert!(take(&mut bucket, start_ms + 60_000));
        assert!(!take(&mut bucket, start_ms + 60_000));
        // A bucket is not a savings bank.
        let later_ms = start_ms + 7_200_000;
        assert_eq!((0..100).filter(|_| take(&mut bucket, later_ms)).count(), 60);
    }
}
