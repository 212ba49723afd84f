//! How often this owner lets itself be asked: requests of one analyst, and of one organisation, each from a bucket that holds an hour's
//! amount. Whoever is not admitted is refused before and uses nothing up; a run of a thousand rounds is one request, and so are all
//! attempts at one. Counts of requests alone: nothing here depends on data. Lost in a restart.

use std::collections::BTreeMap;

use super::Limits;
use crate::bucket::Bucket;
use crate::codes;
use crate::workload::Refusal;

#[derive(Default)]
pub(super) struct Asked {
    analysts: BTreeMap<String, Bucket>,
    organisations: BTreeMap<String, Bucket>,
}

impl Asked {
    /// Counts one more request, or says whose share is used up; then neither is touched.
    pub(super) fn take(
        &mut self,
        analyst: &str,
        organisation: &str,
        limits: &Limits,
        now_ms: u64,
    ) -> Result<(), Refusal> {
        let (own, whole) = self.less_one(analyst, organisation, limits, now_ms)?;
        self.analysts.insert(analyst.to_owned(), own);
        self.organisations.insert(organisation.to_owned(), whole);
        Ok(())
    }

    /// What one more request would leave of the two shares.
    pub(super) fn less_one(
        &self,
        analyst: &str,
        organisation: &str,
        limits: &Limits,
        now_ms: u64,
    ) -> Result<(Bucket, Bucket), Refusal> {
        let (each, all) = (limits.requests_per_hour, limits.organisation_requests_per_hour);
        let own = self.analysts.get(analyst).copied().unwrap_or_default();
        let whole = self.organisations.get(organisation).copied().unwrap_or_default();
        let used_up = |who: String, an_hour: u32, bucket: Bucket| {
            let text = format!("{who} may ask {an_hour} times an hour here, and has");
            let seconds = bucket.next_ms(an_hour, now_ms).div_ceil(1_000);
            Refusal::new(codes::TOO_OFTEN, text).remedy(format!("ask again in {seconds} s; the owner sets the limit"))
        };
        let own = own
            .less_one(each, now_ms)
            .ok_or_else(|| used_up(format!("`{analyst}`"), each, own))?;
        let whole = whole
            .less_one(all, now_ms)
            .ok_or_else(|| used_up(format!("`{organisation}`"), all, whole))?;
        Ok((own, whole))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_analyst_cannot_use_up_what_its_colleagues_may_ask_and_an_organisation_has_an_end() {
        let limits = Limits {
            requests_per_hour: 2,
            organisation_requests_per_hour: 3,
            ..Limits::default()
        };
        let mut asked = Asked::default();
        let mut take =
            |analyst: &str, organisation: &str, at_ms: u64| asked.take(analyst, organisation, &limits, at_ms);
        take("ann", "institute", 0).unwrap();
        take("ann", "institute", 0).unwrap();
        for _ in 0..10 {
            let refusal = take("ann", "institute", 0).unwrap_err();
            assert_eq!(refusal.code, codes::TOO_OFTEN);
            assert!(
                refusal.message.starts_with("`ann` may ask 2 times"),
                "{}",
                refusal.message
            );
        }
        take("bob", "institute", 0).unwrap();
        let refusal = take("bob", "institute", 0).unwrap_err();
        assert!(
            refusal.message.starts_with("`institute` may ask 3"),
            "{}",
            refusal.message
        );
        assert_eq!(
            refusal.remedy.as_deref(),
            Some("ask again in 1200 s; the owner sets the limit")
        );
        take("eve", "university", 0).unwrap();
        take("bob", "institute", 1_200_000).unwrap();
    }
}
