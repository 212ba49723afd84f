//! Verifying inclusion and consistency with nothing but hashes: RFC 9162, sections 2.1.3.2 and 2.1.4.2, step by step.
//!
//! A proof of a tree of n leaves has at most 64 hashes and costs one SHA-256 each (two for consistency). A proof that is
//! too long or too short fails, so there is one proof for one claim.

use super::TreeHash;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error("leaf {index} is not in a tree of {size} leaves")]
    Leaf { index: u64, size: u64 },
    #[error("a tree of {to} leaves cannot extend one of {from}")]
    Shrinks { from: u64, to: u64 },
    #[error("the proof has {found} hashes, which is too many for its tree")]
    TooLong { found: usize },
    #[error("the proof has {found} hashes, which is too few for its tree")]
    TooShort { found: usize },
    #[error("the proof leads to root {found}: expected {expected}")]
    Root { expected: TreeHash, found: TreeHash },
    #[error("the proof starts from another tree: root {found}, expected {expected}")]
    OldRoot { expected: TreeHash, found: TreeHash },
}

/// RFC 9162, section 2.1.3.2: the leaf with hash `leaf` is number `index` of the tree of `size` leaves with this `root`.
pub fn verify_inclusion(
    leaf: &TreeHash,
    index: u64,
    size: u64,
    path: &[TreeHash],
    root: &TreeHash,
) -> Result<(), ProofError> {
    // 1.
    if index >= size {
        return Err(ProofError::Leaf { index, size });
    }
    // 2. and 3.
    let mut climb = Climb(index, size - 1);
    let mut found = *leaf;
    // 4.
    for sibling in path {
        found = match climb.side(path)? {
            Side::Left => TreeHash::node(sibling, &found),
            Side::Right => TreeHash::node(&found, sibling),
        };
    }
    // 5.
    climb.arrived(path)?;
    same(root, &found, |expected, found| ProofError::Root { expected, found })
}

/// RFC 9162, section 2.1.4.2: the tree of `to` leaves with root `new` begins with the tree of `from` leaves with root
/// `old`. The RFC leaves out the empty tree and equal sizes; there the proof is empty and the roots speak.
pub fn verify_consistency(
    from: u64,
    old: &TreeHash,
    to: u64,
    new: &TreeHash,
    path: &[TreeHash],
) -> Result<(), ProofError> {
    if from > to {
        return Err(ProofError::Shrinks { from, to });
    }
    let root = |expected, found| ProofError::Root { expected, found };
    let old_root = |expected, found| ProofError::OldRoot { expected, found };
    if from == 0 || from == to {
        let expected = if from == to { *new } else { TreeHash::empty() };
        if !path.is_empty() {
            return Err(ProofError::TooLong { found: path.len() });
        }
        return same(&expected, old, old_root);
    }
    // 1. and 2. An old tree that is one complete subtree is its own first hash.
    let (start, rest) = match path {
        [] => return Err(ProofError::TooShort { found: 0 }),
        rest if from.is_power_of_two() => (*old, rest),
        [first, rest @ ..] => (*first, rest),
    };
    // 3. and 4.
    let shift = (from - 1).trailing_ones();
    let mut climb = Climb((from - 1) >> shift, (to - 1) >> shift);
    // 5.
    let (mut found_old, mut found_new) = (start, start);
    // 6.
    for hash in rest {
        match climb.side(path)? {
            Side::Left => {
                found_old = TreeHash::node(hash, &found_old);
                found_new = TreeHash::node(hash, &found_new);
            }
            Side::Right => found_new = TreeHash::node(&found_new, hash),
        }
    }
    // 7.
    climb.arrived(path)?;
    same(old, &found_old, old_root)?;
    same(new, &found_new, root)
}

/// `fn` and `sn` of the RFC: where we are, and the last node of this height.
struct Climb(u64, u64);

/// On which side of us the next hash of the proof stands.
enum Side {
    Left,
    Right,
}

impl Climb {
    /// One turn of the loops in sections 2.1.3.2 (step 4) and 2.1.4.2 (step 6).
    fn side(&mut self, path: &[TreeHash]) -> Result<Side, ProofError> {
        // a.
        if self.1 == 0 {
            return Err(ProofError::TooLong { found: path.len() });
        }
        // b.
        let side = if self.0 & 1 == 1 || self.0 == self.1 {
            // A node without a sibling is carried up as it is. (fn = 0 stops at once: then sn was 0 as well.)
            if self.0 & 1 == 0 {
                let lone = self.0.trailing_zeros();
                self.0 >>= lone;
                self.1 >>= lone;
            }
            Side::Left
        } else {
            Side::Right
        };
        // c.
        self.0 >>= 1;
        self.1 >>= 1;
        Ok(side)
    }

    fn arrived(&self, path: &[TreeHash]) -> Result<(), ProofError> {
        if self.1 != 0 {
            return Err(ProofError::TooShort { found: path.len() });
        }
        Ok(())
    }
}

fn same(
    expected: &TreeHash,
    found: &TreeHash,
    error: impl FnOnce(TreeHash, TreeHash) -> ProofError,
) -> Result<(), ProofError> {
    if expected == found {
        return Ok(());
    }
    Err(error(*expected, *found))
}
