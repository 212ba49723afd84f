//! Dates of consent files: `2027-01-31`, or an instant of RFC 3339 such as `2027-01-31T12:00:00+01:00`.
//!
//! A date is a day in UTC, and a consent until a day holds through that day, as FHIR reads the end of a `Period`
//! (<https://hl7.org/fhir/R5/datatypes.html#Period>). Shorter dates (`2027`, `2027-01`) are refused: what they mean is not ours to guess.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use workload::query::parse_date;

const DAY_MS: i64 = 86_400_000;

/// An instant that a file names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instant {
    /// Days since 1970-01-01.
    Day(i32),
    Milliseconds(i64),
}

impl Instant {
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(day) = parse_date(text) {
            return Some(Self::Day(day));
        }
        let instant = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(instant.unix_timestamp_nanos() / 1_000_000)
            .ok()
            .map(Self::Milliseconds)
    }

    /// The first instant of a consent from here on.
    pub fn from_ms(self) -> u64 {
        match self {
            Self::Day(day) => instant_ms(i64::from(day) * DAY_MS),
            Self::Milliseconds(ms) => instant_ms(ms),
        }
    }

    /// The first instant after a consent until here.
    pub fn until_ms(self) -> u64 {
        match self {
            Self::Day(day) => instant_ms((i64::from(day) + 1) * DAY_MS),
            Self::Milliseconds(ms) => instant_ms(ms),
        }
    }
}

/// No agent ran before 1970.
fn instant_ms(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_with_itself_and_an_instant_is_exact() {
        let day = Instant::parse("1970-01-02").unwrap();
        assert_eq!((day.from_ms(), day.until_ms()), (86_400_000, 172_800_000));
        let instant = Instant::parse("1970-01-01T01:00:00.5+01:00").unwrap();
        assert_eq!((instant.from_ms(), instant.until_ms()), (500, 500));
        assert_eq!(Instant::parse("1901-01-01").unwrap().until_ms(), 0);
        for bad in [
            "",
            "2027",
            "2027-01",
            "2027-02-30",
            "31.01.2027",
            "2027-01-31T12:00:00",
            "soon",
        ] {
            assert_eq!(Instant::parse(bad), None, "{bad}");
        }
    }
}
