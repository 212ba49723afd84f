//! Merkle trees with the shape of [RFC 6962, 2.1] over BLAKE3: leaves and nodes are hashed apart, the left part of a tree is
//! the largest power of two. A path costs log2(n) digests of 32 bytes.

use crate::digest::{Digest, DigestWriter};

/// Longest path in a tree of 2^16 leaves.
pub(crate) const MAX_PATH: usize = 16;

/// Hash of a leaf's content.
pub(crate) fn leaf(content: &[u8]) -> Digest {
    Digest::of("sottovoce/secagg/v1/merkle-leaf", &[content])
}

fn node(left: &Digest, right: &Digest) -> Digest {
    let mut writer = DigestWriter::new("sottovoce/secagg/v1/merkle-node");
    writer.part(&left.0);
    writer.part(&right.0);
    writer.finish()
}

/// All inner nodes of a tree, kept so that many paths cost one pass.
pub(crate) struct Tree {
    /// Levels from the leaves up; an odd node at a level's end moves up unchanged.
    levels: Vec<Vec<Digest>>,
}

impl Tree {
    pub(crate) fn new(leaves: Vec<Digest>) -> Self {
        let mut levels = vec![leaves];
        while let Some(last) = levels.last()
            && last.len() > 1
        {
            let next = last
                .chunks(2)
                .map(|pair| match pair {
                    [left, right] => node(left, right),
                    odd => odd[0],
                })
                .collect();
            levels.push(next);
        }
        Self { levels }
    }

    /// The root; a tree without leaves has the hash of nothing.
    pub(crate) fn root(&self) -> Digest {
        self.levels
            .last()
            .and_then(|level| level.first())
            .copied()
            .unwrap_or_else(|| Digest::of("sottovoce/secagg/v1/merkle-empty", &[]))
    }

    /// Siblings from the leaf up.
    pub(crate) fn path(&self, mut index: usize) -> Vec<Digest> {
        let mut path = Vec::new();
        for level in &self.levels {
            if let Some(sibling) = level.get(index ^ 1) {
                path.push(*sibling);
            }
            index /= 2;
        }
        path
    }
}

/// The root that `leaf` at `index` of `count` leaves leads to, or nothing if the path has the wrong length.
pub(crate) fn climb(leaf: Digest, mut index: usize, mut count: usize, path: &[Digest]) -> Option<Digest> {
    if index >= count {
        return None;
    }
    let mut siblings = path.iter();
    let mut hash = leaf;
    while count > 1 {
        if index ^ 1 < count {
            let sibling = siblings.next()?;
            hash = if index.is_multiple_of(2) {
                node(&hash, sibling)
            } else {
                node(sibling, &hash)
            };
        }
        index /= 2;
        count = count.div_ceil(2);
    }
    siblings.next().is_none().then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_leaf_of_every_size_climbs_to_the_root_and_no_other_does() {
        for count in 1..=33usize {
            let leaves: Vec<Digest> = (0..count).map(|i| leaf(&[i as u8])).collect();
            let tree = Tree::new(leaves.clone());
            for (i, own) in leaves.iter().enumerate() {
                let path = tree.path(i);
                assert_eq!(climb(*own, i, count, &path), Some(tree.root()));
                assert_ne!(climb(leaf(b"other"), i, count, &path), Some(tree.root()));
                if count > 1 {
                    assert_ne!(climb(*own, (i + 1) % count, count, &path), Some(tree.root()));
                    assert_ne!(climb(*own, i, count, &path[1..]), Some(tree.root()));
                }
                assert_eq!(climb(*own, count, count, &path), None);
            }
        }
    }
}
