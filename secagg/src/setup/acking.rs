//! Step 4: nobody uses the epoch before everybody has said that everything held (ours; [BIK+17] round 3, ConsistencyCheck,
//! moved to setup).

use super::dealing::{Shares, share_tree};
use super::{Me, one_of_each, same};
use crate::abort::Abort;
use crate::digest::{Digest, DigestWriter};
use crate::mask::Seed;
use crate::member::{Epoch, SlotSecrets};
use crate::message::{Ack, Signed, UNSIGNED};

/// Acknowledged; waits for everyone's word.
pub struct Acking {
    me: Me,
    epoch_id: Digest,
    ack: Digest,
    roots: Vec<(Digest, Digest)>,
    own_b: Vec<Seed>,
    /// With every peer, in order of index without oneself.
    edges: Vec<Vec<Seed>>,
    /// From every dealer, oneself included.
    shares: Vec<Shares>,
}

/// What an Ack signs: every member's ciphertext root and deal root.
pub(crate) fn roots_digest(epoch_id: &Digest, roots: &[(Digest, Digest)]) -> Digest {
    let mut writer = DigestWriter::new("sottovoce/secagg/v1/roots");
    writer.count(1 + 2 * roots.len());
    writer.part(&epoch_id.0);
    for (pair, deal) in roots {
        writer.part(&pair.0);
        writer.part(&deal.0);
    }
    writer.finish()
}

impl Acking {
    pub(super) fn start(
        me: Me,
        epoch_id: Digest,
        roots: Vec<(Digest, Digest)>,
        own_b: Vec<Seed>,
        edges: Vec<Vec<Seed>>,
        shares: Vec<Shares>,
    ) -> (Self, Ack) {
        let digest = roots_digest(&epoch_id, &roots);
        let ack = Ack {
            epoch_id,
            member: me.index,
            digest,
            signature: UNSIGNED,
        }
        .signed(&me.key);
        let next = Self {
            me,
            epoch_id,
            ack: digest,
            roots,
            own_b,
            edges,
            shares,
        };
        (next, ack)
    }

    /// Takes all n Acks, own included. The epoch is live only if all say the same.
    pub fn receive(self, acks: Vec<Ack>) -> Result<Epoch, Abort> {
        let acks = one_of_each("acks", acks, |ack| ack.member, self.me.members.indices())?;
        for ack in &acks {
            same("epoch of ack", self.epoch_id, ack.epoch_id)?;
            ack.verify(&self.me.members)?;
            same("acknowledged roots", self.ack, ack.digest)?;
        }
        let n = self.me.members.n();
        let own = usize::from(self.me.index) - 1;
        let share_trees = self
            .shares
            .iter()
            .zip(1..)
            .map(|(shares, dealer)| share_tree(&self.epoch_id, dealer, self.me.index, shares))
            .collect();
        let slots = self
            .own_b
            .iter()
            .enumerate()
            .map(|(slot, b)| SlotSecrets {
                b: b.clone(),
                edges: (0..n)
                    .map(|place| match place.cmp(&own) {
                        std::cmp::Ordering::Less => self.edges[place][slot].clone(),
                        std::cmp::Ordering::Equal => Seed([0; 32]),
                        std::cmp::Ordering::Greater => self.edges[place - 1][slot].clone(),
                    })
                    .collect(),
                shares: self.shares.iter().map(|shares| shares[slot]).collect(),
            })
            .collect();
        Ok(Epoch::live(self.me, self.epoch_id, self.roots, share_trees, slots))
    }
}
