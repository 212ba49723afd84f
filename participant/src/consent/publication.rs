//! What leaves of consent: on a fixed schedule, the number of the publication and a salted Merkle root over everybody's newest choice.
//!
//! A Merkle root and not one keyed hash over the list, because the owner can then prove one unit's choice at that time by its path,
//! showing nobody else's (RFC 6962, as the transparency log uses it), and because erasing a row with its salt leaves the rest provable.
//! Each leaf holds its own salt, so a sibling in a proof cannot be guessed, and the publication's fresh salt, so that a root never
//! equals the one before: whether anybody changed anything cannot be seen.
//!
//! The number counts periods since 1970, not changes; when it rises depends on the clock alone. One BLAKE3 and two SHA-256 a unit:
//! about a second for a million.

use super::names::Name;
use super::register::{Choice, Window};
use governance::ContentHash;
use governance::log::{Tree, TreeHash};

/// One root, and when it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publication {
    pub number: u64,
    pub root: TreeHash,
    pub at_ms: u64,
}

/// The newest choice of one unit.
pub struct Leaf {
    pub unit: Name,
    pub version: u32,
    pub choice: Choice,
    pub salt: [u8; 16],
}

impl Publication {
    /// Over leaves in the order of their units.
    pub fn of(leaves: impl IntoIterator<Item = ContentHash>, number: u64, at_ms: u64) -> Self {
        let mut tree = Tree::default();
        for leaf in leaves {
            tree.append(leaf.as_bytes());
        }
        Self {
            number,
            root: tree.root(),
            at_ms,
        }
    }
}

impl Leaf {
    pub fn hash(&self, publication_salt: &[u8; 16]) -> ContentHash {
        let (purposes, window) = match &self.choice {
            Choice::Given { purposes, window } => (purposes.iter().map(String::as_bytes).collect(), *window),
            Choice::Withdrawn => (Vec::new(), Window::ALWAYS),
        };
        let (version, from, until) = (
            self.version.to_le_bytes(),
            window.from_ms.to_le_bytes(),
            window.until_ms.to_le_bytes(),
        );
        let mut parts: Vec<&[u8]> = vec![publication_salt, &self.salt, &self.unit, &version, &from, &until];
        parts.extend(purposes);
        ContentHash::of("consent", &parts)
    }
}
