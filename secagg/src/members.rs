//! Who is in the epoch, and how many must speak. Everything here is recomputed by each member from the signed roster's list
//! and never read from a message.

use std::collections::BTreeSet;

use crate::digest::{Digest, DigestWriter};
use crate::sign::VerifyingKey;

/// Largest cohort of the complete graph; beyond it the k-regular graph takes over.
pub const MAX_MEMBERS: usize = 1024;
/// Longest member name in bytes.
pub const MAX_ID_BYTES: usize = 128;

/// The epoch's members in order of id; a member's index is its place, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members {
    roster_hash: Digest,
    c: u16,
    list: Vec<(String, VerifyingKey)>,
    digest: Digest,
}

/// Why a list of members is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MembersError {
    #[error("colluders tolerated: expected at least 1, got 0")]
    NoColluders,
    #[error("too few members: expected at least {expected}, got {found}")]
    TooFew { expected: usize, found: usize },
    #[error("too many members: expected at most {MAX_MEMBERS}, got {found}")]
    TooMany { found: usize },
    #[error("member id: expected 1 to {MAX_ID_BYTES} bytes, got {found}")]
    IdLength { found: usize },
    #[error("duplicate member id {id:?}")]
    DuplicateId { id: String },
    #[error("duplicate signing key at member {id:?}")]
    DuplicateKey { id: String },
}

impl Members {
    /// A valid epoch: `c >= 1`, `n >= c + 2`, `n >= 3`, every id and key once. The order given does not matter.
    pub fn new(roster_hash: Digest, c: u16, mut list: Vec<(String, VerifyingKey)>) -> Result<Self, MembersError> {
        if c == 0 {
            return Err(MembersError::NoColluders);
        }
        let expected = (usize::from(c) + 2).max(3);
        if list.len() < expected {
            return Err(MembersError::TooFew {
                expected,
                found: list.len(),
            });
        }
        if list.len() > MAX_MEMBERS {
            return Err(MembersError::TooMany { found: list.len() });
        }
        list.sort();
        let mut keys = BTreeSet::new();
        let mut previous: Option<&str> = None;
        for (id, key) in &list {
            if id.is_empty() || id.len() > MAX_ID_BYTES {
                return Err(MembersError::IdLength { found: id.len() });
            }
            if previous == Some(id) {
                return Err(MembersError::DuplicateId { id: id.clone() });
            }
            if !keys.insert(*key) {
                return Err(MembersError::DuplicateKey { id: id.clone() });
            }
            previous = Some(id);
        }
        let mut writer = DigestWriter::new("sottovoce/secagg/v1/members");
        writer.count(2 + 2 * list.len());
        writer.part(roster_hash.as_bytes());
        writer.part(&c.to_le_bytes());
        for (id, key) in &list {
            writer.part(id.as_bytes());
            writer.part(&key.0);
        }
        Ok(Self {
            roster_hash,
            c,
            digest: writer.finish(),
            list,
        })
    }

    /// Number of members.
    pub fn n(&self) -> usize {
        self.list.len()
    }

    /// Colluding members tolerated.
    pub fn c(&self) -> usize {
        usize::from(self.c)
    }

    /// `t = floor((n + c) / 2) + 1` over all epoch members: shares that open a secret, votes that make a certificate.
    pub fn threshold(&self) -> usize {
        (self.n() + self.c()) / 2 + 1
    }

    /// The roster this list was taken from.
    pub fn roster_hash(&self) -> Digest {
        self.roster_hash
    }

    /// Names this list, its roster and `c`; every Hello carries it, so a truncated list is noticed at once.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The index of a member, 1..=n.
    pub fn index(&self, id: &str) -> Option<u16> {
        let place = self.list.binary_search_by(|(own, _)| own.as_str().cmp(id)).ok()?;
        Some(place as u16 + 1)
    }

    /// The name at an index.
    pub fn id(&self, index: u16) -> Option<&str> {
        self.at(index).map(|(id, _)| id.as_str())
    }

    /// The signing key at an index.
    pub fn key(&self, index: u16) -> Option<&VerifyingKey> {
        self.at(index).map(|(_, key)| key)
    }

    /// All indices, 1..=n.
    pub fn indices(&self) -> impl DoubleEndedIterator<Item = u16> + use<> {
        1..=self.list.len() as u16
    }

    fn at(&self, index: u16) -> Option<&(String, VerifyingKey)> {
        self.list.get(usize::from(index).checked_sub(1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(n: u8) -> Vec<(String, VerifyingKey)> {
        (0..n).map(|i| (format!("m{i:03}"), VerifyingKey([i; 32]))).collect()
    }

    #[test]
    fn thresholds_are_those_of_the_table() {
        for (n, c, t) in [
            (3, 1, 3),
            (4, 1, 3),
            (5, 1, 4),
            (7, 2, 5),
            (10, 1, 6),
            (10, 3, 7),
            (16, 5, 11),
            (32, 10, 22),
            (64, 21, 43),
            (100, 33, 67),
        ] {
            let members = Members::new(Digest([0; 32]), c, list(n)).unwrap();
            assert_eq!(members.threshold(), t, "n = {n}, c = {c}");
        }
    }

    #[test]
    fn members_that_cannot_be_safe_do_not_exist() {
        let new = |c, list| Members::new(Digest([0; 32]), c, list);
        assert_eq!(new(0, list(5)), Err(MembersError::NoColluders));
        assert_eq!(new(1, list(2)), Err(MembersError::TooFew { expected: 3, found: 2 }));
        assert_eq!(new(4, list(5)), Err(MembersError::TooFew { expected: 6, found: 5 }));
        let mut twice = list(4);
        twice[3].0 = "m000".into();
        assert_eq!(new(1, twice), Err(MembersError::DuplicateId { id: "m000".into() }));
        let mut sybil = list(4);
        sybil[3].1 = sybil[0].1;
        assert_eq!(new(1, sybil), Err(MembersError::DuplicateKey { id: "m003".into() }));
    }

    #[test]
    fn an_index_does_not_depend_on_the_order_given() {
        let mut reversed = list(5);
        reversed.reverse();
        let members = Members::new(Digest([0; 32]), 1, reversed).unwrap();
        assert_eq!(members.index("m000"), Some(1));
        assert_eq!(members.id(5), Some("m004"));
        assert_eq!(members.id(0), None);
        assert_eq!(members.id(6), None);
        assert_eq!(members, Members::new(Digest([0; 32]), 1, list(5)).unwrap());
    }
}
