//! Texts of a closed list as small numbers: group keys are compared once per row, by one 16-byte word where they are short.
//!
//! Costs 1-2 ns a row for texts of up to 12 bytes (polars keeps those inside the array's view), a hash beyond.

use polars::prelude::StringChunked;
use std::collections::HashMap;

/// Text -> its position in a list of categories; anything else, and NULL, is `other`.
pub(super) struct TextTable {
    /// Open addressing over the views of short texts, a power of two of slots, at most half full.
    short: Vec<(u128, u32)>,
    long: HashMap<String, u32>,
    other: u32,
}

/// A slot that no text has: a view's first four bytes are its length, at most 12 here.
const EMPTY: u128 = u128::MAX;
const SHORT: usize = 12;

impl TextTable {
    pub fn new(categories: &[String], other: u32) -> Self {
        let slots = (2 * categories.len() + 1).next_power_of_two();
        let mut table = Self {
            short: vec![(EMPTY, other); slots],
            long: HashMap::new(),
            other,
        };
        for (code, text) in (0u32..).zip(categories) {
            match short_view(text) {
                Some(view) => {
                    let at = table.slot(view);
                    table.short[at] = (view, code);
                }
                None => {
                    table.long.insert(text.clone(), code);
                }
            }
        }
        table
    }

    /// One code per row.
    pub fn codes(&self, texts: &StringChunked) -> Vec<u32> {
        let mut codes = Vec::with_capacity(texts.len());
        let plain = texts.null_count() == 0 && self.long.is_empty();
        for chunk in texts.downcast_iter() {
            if plain {
                // A view of a long text starts with a length above 12, so it equals no short one.
                codes.extend(chunk.views().iter().map(|view| self.short[self.slot(view.as_u128())].1));
            } else {
                codes.extend(chunk.iter().map(|text| text.map_or(self.other, |t| self.code(t))));
            }
        }
        codes
    }

    fn code(&self, text: &str) -> u32 {
        match short_view(text) {
            Some(view) => self.short[self.slot(view)].1,
            None => self.long.get(text).copied().unwrap_or(self.other),
        }
    }

    /// The slot of `view`, or the empty one where it would stand.
    fn slot(&self, view: u128) -> usize {
        let mixed = (view as u64 ^ (view >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut at = (mixed >> 32) as usize & (self.short.len() - 1);
        while self.short[at].0 != view && self.short[at].0 != EMPTY {
            at = (at + 1) & (self.short.len() - 1);
        }
        at
    }
}

/// The view of a short text, as Arrow defines it: its length in four bytes, then the text, zero-padded.
fn short_view(text: &str) -> Option<u128> {
    let bytes = text.as_bytes();
    let mut view = [0; 16];
    view[..4].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
    view.get_mut(4..4 + bytes.len())?.copy_from_slice(bytes);
    (bytes.len() <= SHORT).then(|| u128::from_le_bytes(view))
}

#[cfg(test)]
mod tests {
    use super::*;
    use polars::prelude::NamedFrom;

    #[test]
    fn short_long_unknown_and_missing_texts_get_their_codes() {
        let categories = ["", "north", "a text of more than twelve bytes", "exactly12345"].map(String::from);
        let table = TextTable::new(&categories, 99);
        let rows = [
            Some("exactly12345"),
            None,
            Some("a text of more than twelve bytes"),
            Some(""),
            Some("nort"),
            Some("north"),
        ];
        assert_eq!(table.codes(&StringChunked::new("t".into(), rows)), [3, 99, 2, 0, 99, 1]);
        let table = TextTable::new(&categories[..2], 99);
        let rows = ["north", "a text of more than twelve bytes", "", "South"];
        assert_eq!(table.codes(&StringChunked::new("t".into(), rows)), [1, 99, 0, 99]);
    }
}
