//! What holds something up: the acts that suspended it, each by its hash. A resumption lifts the acts that it names and no others, so
//! one that was signed before a suspension can never lift it, in whatever order a coordinator brings the two.

use std::collections::{BTreeMap, BTreeSet};

use crate::ContentHash;

/// Acts that hold, with their signers' times. It holds while there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holds(BTreeMap<ContentHash, u64>);

impl Holds {
    pub(crate) fn hold(&mut self, act: ContentHash, at_ms: u64) {
        self.0.insert(act, at_ms);
    }

    /// Takes away the acts that a resumption of `at_ms` names; whether there was one. A resumption from before they named any lifts what
    /// its signer's side had suspended by then.
    pub(crate) fn lift(&mut self, lifts: &BTreeSet<ContentHash>, at_ms: u64) -> bool {
        let before = self.0.len();
        self.0.retain(|act, held_ms| match lifts.is_empty() {
            true => *held_ms > at_ms,
            false => !lifts.contains(act),
        });
        self.0.len() < before
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What a resumption must name to end it.
    pub fn acts(&self) -> impl Iterator<Item = &ContentHash> {
        self.0.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumption_lifts_what_it_names_and_never_what_came_later() {
        let act = |byte| ContentHash([byte; 32]);
        let mut holds = Holds::default();
        holds.hold(act(1), 10);
        holds.hold(act(2), 20);
        assert!(!holds.lift(&[act(3)].into(), 99), "it names neither");
        assert!(holds.lift(&[act(1), act(3)].into(), 5));
        assert_eq!(holds.acts().collect::<Vec<_>>(), [&act(2)]);
        // From before resumptions named anything: by the signers' clocks.
        assert!(!holds.lift(&BTreeSet::new(), 19) && !holds.is_empty());
        assert!(holds.lift(&BTreeSet::new(), 20) && holds.is_empty());
    }
}
