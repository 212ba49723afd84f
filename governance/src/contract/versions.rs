//! Which of two versions of a contract is the newer one, by their labels. A label means nothing to the protocol, which names contracts
//! by hash; people are shown the newest first and are told which one takes the place of another.

use std::cmp::Ordering;

/// Compares `1.10.0` and `1.9` part by part: numbers as numbers, words as words, and a number is above a word, as a release is above
/// its `rc`. A label that goes on where the other ends is the newer one, unless it goes on with a word (`2.0-rc1` is before `2.0`).
pub fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (parts(a), parts(b));
    loop {
        let order = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (Some(Part::Word(_)), None) | (None, Some(Part::Number(_))) => Ordering::Less,
            (Some(Part::Number(_)), None) | (None, Some(Part::Word(_))) => Ordering::Greater,
            (Some(a), Some(b)) => a.cmp(&b),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    Word(&'a str),
    Number(u64),
}

fn parts(label: &str) -> impl Iterator<Item = Part<'_>> {
    let split = label.split(['.', '-', '+', '_', ' ']).filter(|part| !part.is_empty());
    split.map(|part| part.parse().map_or(Part::Word(part), Part::Number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_the_order_in_which_people_count() {
        let sorted = [
            "0.9", "1", "1.0-rc1", "1.0-rc2", "1.0", "1.0.0", "1.0.1", "1.9.0", "1.10.0", "2.0.0",
        ];
        for (i, low) in sorted.iter().enumerate() {
            assert_eq!(compare(low, low), Ordering::Equal);
            for high in &sorted[i + 1..] {
                assert_eq!(
                    (compare(low, high), compare(high, low)),
                    (Ordering::Less, Ordering::Greater),
                    "{low} {high}"
                );
            }
        }
    }
}
