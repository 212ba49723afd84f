//! When caps renew: calendar windows in UTC, from a time given in milliseconds since 1970. Pure arithmetic, no time zone.

use serde::{Deserialize, Serialize};

/// How often a cap starts afresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Renewal {
    Never,
    Year,
    Quarter,
    Month,
}

impl Renewal {
    /// The number of the window that holds `at_ms`; it rises with time and is always 0 for `Never`.
    pub fn window(self, at_ms: u64) -> u64 {
        let (year, month) = year_and_month(at_ms / 86_400_000);
        match self {
            Renewal::Never => 0,
            Renewal::Year => year,
            Renewal::Quarter => 4 * year + (month - 1) / 3,
            Renewal::Month => 12 * year + month - 1,
        }
    }

    /// Windows in a year: a cap that renews more often allows more.
    pub(super) fn windows_a_year(self) -> u8 {
        match self {
            Renewal::Never => 0,
            Renewal::Year => 1,
            Renewal::Quarter => 4,
            Renewal::Month => 12,
        }
    }
}

/// The civil year and month (1 to 12) of a day since 1970-01-01 [Hinnant, "chrono-compatible low-level date algorithms"].
fn year_and_month(days: u64) -> (u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Years counted from March: month 0 is March, 10 and 11 are January and February of the next year.
    let from_march = (5 * day_of_year + 2) / 153;
    let (month, next) = if from_march < 10 {
        (from_march + 3, 0)
    } else {
        (from_march - 9, 1)
    };
    (era * 400 + year_of_era + next, month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let day = |seconds: u64| year_and_month(seconds / 86_400);
        assert_eq!(day(0), (1970, 1));
        assert_eq!(day(951_782_400), (2000, 2)); // 2000-02-29
        assert_eq!(day(951_868_800), (2000, 3)); // 2000-03-01
        assert_eq!(day(1_735_689_599), (2024, 12)); // 2024-12-31 23:59:59
        assert_eq!(day(1_735_689_600), (2025, 1));
    }

    #[test]
    fn windows_turn_at_midnight_of_the_first() {
        let (december, january) = (1_735_689_599_999, 1_735_689_600_000);
        for renewal in [Renewal::Year, Renewal::Quarter, Renewal::Month] {
            assert_eq!(renewal.window(december) + 1, renewal.window(january), "{renewal:?}");
        }
        assert_eq!(Renewal::Never.window(december), Renewal::Never.window(january));
        // 2025-01-31 to 2025-02-01: a new month in the same quarter.
        let (before, after) = (1_738_367_999_000, 1_738_368_000_000);
        assert_eq!(Renewal::Month.window(before) + 1, Renewal::Month.window(after));
        assert_eq!(Renewal::Quarter.window(before), Renewal::Quarter.window(after));
    }
}
