//! Which rows of a unit count, when it has more than the contract allows. The choice depends on this unit's own rows and
//! on a secret key of the participant, never on a row number: so removing one unit changes nobody else's rows.
//!
//! Of a unit's rows (after scan, WHERE and grouping): keep the G groups with the smallest `group` hash, in each of them
//! the r rows with the smallest `row` hash, and of what remains the R rows with the smallest `row` hash. Two rows with
//! one hash have the same content but for a collision, which costs fairness and no privacy: any fixed choice would do.
//! The hash is a keyed multiply-fold, about a nanosecond a column; it need not be a pseudo-random function.

use super::Value;

/// The participant's local key. It never leaves; no `Debug`.
#[derive(Clone)]
pub struct BoundingKey([u64; 4]);

impl BoundingKey {
    pub fn new(secret: &[u8; 32]) -> Self {
        let word = |i: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&secret[8 * i..8 * i + 8]);
            u64::from_le_bytes(bytes)
        };
        Self([word(0), word(1), word(2), word(3)])
    }

    /// Orders the groups of a unit; `unit` is `value_bits` of its id, `group` the group's index.
    pub fn group(&self, unit: u64, group: u64) -> u64 {
        self.fold(self.fold(self.0[0], unit), group)
    }

    /// Orders the rows of a unit; `content` is `value_bits` of each of the plan's columns in the plan's order.
    pub fn row(&self, unit: u64, content: impl IntoIterator<Item = u64>) -> u64 {
        content
            .into_iter()
            .fold(self.fold(self.0[1], unit), |h, bits| self.fold(h, bits))
    }

    fn fold(&self, state: u64, word: u64) -> u64 {
        let product = u128::from(state ^ word ^ self.0[2]) * u128::from(self.0[3] | 1);
        ((product >> 64) as u64 ^ product as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ state.rotate_left(23)
    }
}

/// 64 bits of a scanned value.
pub fn value_bits(value: &Value) -> u64 {
    match value {
        Value::Null => 0x6e75_6c6c,
        Value::Number(x) => (x + 0.0).to_bits(),
        Value::Text(text) => text_bits(text),
        Value::Boolean(b) => u64::from(*b) + 1,
        Value::Date(days) => *days as u32 as u64,
    }
}

/// 64 bits of a text: FNV-1a.
pub fn text_bits(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)
    })
}

/// The rows of one unit that count, as positions in `rows` of (group, row hash); `group_hash` orders the groups.
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
                    choose(rows, &limits, |group| key.group(7, group as u64)).iter().map(|i| rows[*i]).collect();
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
}
