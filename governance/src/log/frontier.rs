//! The right edge of a tree: enough to append and to know the root, and nothing to prove with.
//!
//! A witness that is sent every entry keeps this instead of the tree: at most 64 hashes, whatever the size of the log. An append
//! costs the hash of the leaf and, on average, one inner node.

use serde::{Deserialize, Serialize};

use super::tree::TreeHash;

/// The hashes of the complete subtrees that make up a tree, the largest first: one for each bit of its size.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frontier {
    size: u64,
    peaks: Vec<TreeHash>,
}

impl Frontier {
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf by its hash.
    pub fn append(&mut self, leaf: TreeHash) {
        let (mut right, mut pairs) = (leaf, self.size);
        while pairs & 1 == 1
            && let Some(left) = self.peaks.pop()
        {
            right = TreeHash::node(&left, &right);
            pairs >>= 1;
        }
        self.peaks.push(right);
        self.size += 1;
    }

    pub fn root(&self) -> TreeHash {
        let mut peaks = self.peaks.iter().rev().copied();
        let last = peaks.next().unwrap_or_else(TreeHash::empty);
        peaks.fold(last, |right, left| TreeHash::node(&left, &right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Tree;

    #[test]
    fn the_edge_of_every_tree_has_the_root_of_the_tree() {
        let (mut tree, mut frontier) = (Tree::default(), Frontier::default());
        assert_eq!(frontier.root(), tree.root());
        for index in 0..300_u32 {
            tree.append(&index.to_le_bytes());
            frontier.append(TreeHash::leaf(&index.to_le_bytes()));
            assert_eq!(frontier.root(), tree.root(), "{index}");
            assert_eq!(frontier.peaks.len() as u32, (index + 1).count_ones());
        }
    }
}
