//! Who is a unit, and which of its rows count when it has more than the contract allows. The choice depends on this unit's
//! own rows and on a secret key of the participant, never on a row number: so removing one unit changes nobody else's rows.
//!
//! Two people must never be one unit, so a unit is known by its id as it is spelled (`UnitId`), not by a hash that somebody
//! could collide: integers of 64 bits and texts of up to 15 bytes are held exactly; of longer ones 120 bits of keyed BLAKE3.
//! An id that names nobody (NULL, an empty text, a number that is not whole or that doubles do not hold exactly) has none,
//! and its rows are dropped.
//!
//! Of a unit's rows (after scan, WHERE and grouping): keep the G groups with the smallest `group` hash, in each of them
//! the r rows with the smallest `row` hash, and of what remains the R rows with the smallest `row` hash. Rows with one hash
//! are ordered by what they hold. The row hash is a keyed multiply-fold, about a nanosecond a column; it need not be a
//! pseudo-random function.

use super::Value;

/// The participant's local key. It never leaves; no `Debug`.
#[derive(Clone)]
pub struct BoundingKey {
    words: [u64; 4],
    long_ids: [u8; 32],
    holdout: [u8; 32],
}

/// Who a row is about: equal exactly if the ids are (long texts: but for a collision of 120 keyed bits). It may hold the id
/// itself; no `Debug`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnitId(u128);

/// The top byte of a `UnitId`: the length of a text that it holds, or one of these.
const INTEGER: u8 = 0x40;
const HASHED: u8 = 0x80;
const TOP: u32 = 120;
const SHORT: usize = 15;
/// Below it doubles hold every integer, and no two round to one.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl UnitId {
    pub fn integer(id: i64) -> Self {
        Self(u128::from(INTEGER) << TOP | u128::from(id as u64))
    }

    /// Low and high half.
    pub fn words(self) -> [u64; 2] {
        [self.0 as u64, (self.0 >> 64) as u64]
    }

    pub fn from_words([low, high]: [u64; 2]) -> Self {
        Self(u128::from(high) << 64 | u128::from(low))
    }
}

/// The integer that a double is, if it is one beyond doubt.
pub fn whole_id(x: f64) -> Option<i64> {
    (x.fract() == 0.0 && x.abs() < EXACT).then_some(x as i64)
}

/// An integer id of any length as it is spelled without sign, zeros and fraction that say nothing. `None`: not one.
pub fn integer_id(text: &str) -> Option<String> {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) || !fraction.bytes().all(|b| b == b'0') {
        // Exponents, and spellings of what is no number.
        return whole_id(text.parse().ok()?).map(|id| id.to_string());
    }
    Some(match (digits.trim_start_matches('0'), negative) {
        ("", _) => "0".to_owned(),
        (digits, true) => format!("-{digits}"),
        (digits, false) => digits.to_owned(),
    })
}

impl BoundingKey {
    pub fn new(secret: &[u8; 32]) -> Self {
        // The fold multiplies by a word of the key: of one with structure it would make equal hashes of different rows.
        let mixed = blake3::derive_key("sottovoce 2026-11 order of a unit's rows and groups", secret);
        let word = |i: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&mixed[8 * i..8 * i + 8]);
            u64::from_le_bytes(bytes)
        };
        Self {
            words: [word(0), word(1), word(2), word(3)],
            long_ids: blake3::derive_key("sottovoce 2026-11 identity of long unit ids", secret),
            holdout: blake3::derive_key("sottovoce 2026-11 units held out of training", secret),
        }
    }

    /// What chooses the units that no training step sees.
    pub fn holdout(&self) -> [u8; 32] {
        self.holdout
    }

    /// Who a raw value names.
    pub fn unit(&self, id: &Value) -> Option<UnitId> {
        match id {
            Value::Null => None,
            Value::Number(x) => whole_id(*x).map(UnitId::integer),
            Value::Text(text) => self.text_unit(text),
            Value::Boolean(b) => Some(UnitId::integer(i64::from(*b))),
            Value::Date(days) => Some(UnitId::integer(i64::from(*days))),
        }
    }

    /// Who a text names; an integer that is spelled as `integer_id` spells it is that integer.
    pub fn text_unit(&self, text: &str) -> Option<UnitId> {
        let bytes = text.as_bytes();
        let first = *bytes.first()?;
        if (first == b'-' || first.is_ascii_digit()) && bytes.len() <= 20 {
            let canonical = text == "0" || !text.trim_start_matches('-').starts_with('0');
            if let Some(id) = text.parse().ok().filter(|_| canonical) {
                return Some(UnitId::integer(id));
            }
        }
        let mut id = [0; 16];
        if bytes.len() <= SHORT {
            id[..bytes.len()].copy_from_slice(bytes);
            id[SHORT] = bytes.len() as u8;
        } else {
            id.copy_from_slice(&blake3::keyed_hash(&self.long_ids, bytes).as_bytes()[..16]);
            id[SHORT] = HASHED;
        }
        Some(UnitId(u128::from_le_bytes(id)))
    }

    /// Orders the groups of a unit; `group` is the group's index.
    pub fn group(&self, unit: UnitId, group: u64) -> u64 {
        self.fold(self.of(self.words[0], unit), group)
    }

    /// Orders the rows of a unit; `content` is `bits` of each of the plan's columns in the plan's order.
    pub fn row(&self, unit: UnitId, content: impl IntoIterator<Item = u64>) -> u64 {
        content
            .into_iter()
            .fold(self.of(self.words[1], unit), |h, bits| self.fold(h, bits))
    }

    /// 64 bits of a scanned value.
    pub fn bits(&self, value: &Value) -> u64 {
        match value {
            Value::Null => 0x6e75_6c6c,
            Value::Number(x) => (x + 0.0).to_bits(),
            Value::Text(text) => self.text_bits(text),
            Value::Boolean(b) => u64::from(*b) + 1,
            Value::Date(days) => *days as u32 as u64,
        }
    }

    /// 64 bits of a scanned text.
    pub fn text_bits(&self, text: &str) -> u64 {
        let words = text.as_bytes().chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        });
        words.fold(self.fold(self.words[2], text.len() as u64), |h, word| {
            self.fold(h, word)
        })
    }

    fn of(&self, state: u64, unit: UnitId) -> u64 {
        let [low, high] = unit.words();
        self.fold(self.fold(state, low), high)
    }

    fn fold(&self, state: u64, word: u64) -> u64 {
        let product = u128::from(state ^ word ^ self.words[2]) * u128::from(self.words[3] | 1);
        ((product >> 64) as u64 ^ product as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ state.rotate_left(23)
    }
}

/// The rows of one unit that count, as positions in `rows` of (group, row hash); `group_hash` orders the groups. Rows of one
/// hash count in the order of `rows`, which must therefore be one of their content.
pub fn choose(rows: &[(usize, u64)], limits: &super::Contribution, group_hash: impl Fn(usize) -> u64) -> Vec<usize> {
    let mut groups: Vec<usize> = rows.iter().map(|(group, _)| *group).collect();
    groups.sort_unstable();
    groups.dedup();
    groups.sort_by_key(|group| (group_hash(*group), *group));
    groups.truncate(limits.groups as usize);
    let mut order: Vec<usize> = (0..rows.len()).filter(|i| groups.contains(&rows[*i].0)).collect();
    order.sort_by_key(|i| rows[*i].1);
    let mut taken = vec![0; groups.len()];
    order.retain(|i| {
        // Unwrap safety: `order` holds only rows whose group is in `groups`.
        let at = groups
            .iter()
            .position(|group| *group == rows[*i].0)
            .expect("a kept group");
        taken[at] += 1;
        taken[at] <= limits.rows_per_group
    });
    order.truncate(limits.rows as usize);
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Contribution;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_unit_exceeds_its_limits_and_row_order_does_not_matter(
            rows in prop::collection::vec((0..5usize, 0..u64::MAX), 0..30), turn in 0..30usize,
            r in 1..4u32, g in 1..4u32, p in 1..4u32,
        ) {
            let limits = Contribution { rows: r, groups: g, rows_per_group: p, participants: 1 };
            let key = BoundingKey::new(&[9; 32]);
            let pick = |rows: &[(usize, u64)]| {
                let mut kept: Vec<_> =
                    choose(rows, &limits, |group| key.group(UnitId::integer(7), group as u64)).iter().map(|i| rows[*i]).collect();
                kept.sort();
                kept
            };
            let kept = pick(&rows);
            prop_assert!(kept.len() <= r as usize);
            let mut groups: Vec<_> = kept.iter().map(|k| k.0).collect();
            groups.dedup();
            prop_assert!(groups.len() <= g as usize);
            prop_assert!(groups.iter().all(|x| kept.iter().filter(|k| k.0 == *x).count() <= p as usize));
            let mut turned = rows.clone();
            if !turned.is_empty() { turned.rotate_left(turn % rows.len()); }
            prop_assert_eq!(pick(&turned), kept);
        }
    }
    #[test]
    fn different_ids_are_different_units_and_what_names_nobody_is_none() {
        let key = BoundingKey::new(&[9; 32]);
        let text = |t: &str| key.unit(&Value::Text(t.into()));
        let ids = [
            "0",
            "-1",
            "7",
            "07",
            "-07",
            "+7",
            "7 ",
            "7.0",
            "-",
            "-0",
            "00",
            "a",
            "A",
            "exactly 15 byte",
            "exactly 15 bytf",
            "a text of more than 15 bytes",
            "a text of more than 15 bytez",
            "9007199254740992",
            "9007199254740993",
            "9223372036854775807",
            "9223372036854775808",
            "9223372036854775809",
            "-9223372036854775808",
            "123456789012345678901234567890123456789012345678901",
            "nan",
        ];
        let units: std::collections::BTreeSet<_> = ids.iter().map(|id| text(id)).collect();
        assert_eq!(units.len(), ids.len());
        let number = |x: f64| key.unit(&Value::Number(x));
        assert!(
            number(7.0) == text("7") && number(-0.0) == text("0") && number(EXACT - 1.0) == text("9007199254740991")
        );
        for nobody in [f64::NAN, f64::INFINITY, 0.5, EXACT, -EXACT, 1e300] {
            assert!(number(nobody).is_none());
        }
        assert!(text("").is_none() && key.unit(&Value::Null).is_none());
        let other = BoundingKey::new(&[8; 32]).text_unit("a text of more than 15 bytes");
        assert!(other != text("a text of more than 15 bytes"));
    }

    #[test]
    fn two_texts_of_one_unkeyed_hash_are_two_units_and_two_rows() {
        let fnv = |bytes: &[u8]| {
            bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
                (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3)
            })
        };
        let (a, b) = ("8yn0iYCKYHlIj4-BwPqk", "GReLUrM4wMqfg9yzV3KQ");
        assert_eq!(fnv(a.as_bytes()), fnv(b.as_bytes()));
        let key = BoundingKey::new(&[9; 32]);
        assert!(key.text_unit(a) != key.text_unit(b) && key.text_bits(a) != key.text_bits(b));
    }

    #[test]
    fn an_integer_is_one_id_however_it_is_spelled() {
        for (spelled, id) in [
            ("12", Some("12")),
            (" +012.00 ", Some("12")),
            ("12.", Some("12")),
            ("1.2e1", Some("12")),
            ("-0", Some("0")),
            ("-007", Some("-7")),
            ("9007199254740993.0", Some("9007199254740993")),
            ("12345678901234567890123", Some("12345678901234567890123")),
            ("nan", None),
            ("inf", None),
            ("", None),
            ("-", None),
            ("1.5", None),
            ("12e-1", None),
            ("9007199254740993e0", None),
            ("1 2", None),
            (".", None),
            ("0x1f", None),
        ] {
            assert_eq!(integer_id(spelled).as_deref(), id, "{spelled:?}");
        }
    }
}
