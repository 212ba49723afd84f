//! What two members derive together, and the hashes by which a third checks it later.

use aws_lc_rs::hkdf::Prk;

use super::hellos::HelloSet;
use crate::digest::Digest;
use crate::kem::{CT_BYTES, PairContext};
use crate::mask::{Seed, Sign};
use crate::members::Members;
use crate::merkle;
use crate::seal::{Key, expand, extract};

/// Which of a member's two secrets of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The seed of the self mask.
    B,
    /// What opens the member's edge seeds if it drops.
    W,
}

/// Everything derived from one pair key; the pair key itself is gone.
pub(crate) struct PairKeys {
    /// Seals the box to the peer.
    pub(crate) outgoing: Key,
    /// Opens the box from the peer.
    pub(crate) incoming: Key,
    /// `r_ij[s]`.
    pub(crate) edges: Vec<Seed>,
}

impl PairKeys {
    pub(crate) fn derive(pair: &Prk, me: u16, peer: u16, slots: u16) -> Self {
        let up = expand(pair, &[b"sottovoce/secagg/v1/box-up"]);
        let down = expand(pair, &[b"sottovoce/secagg/v1/box-down"]);
        let (outgoing, incoming) = if me < peer { (up, down) } else { (down, up) };
        let edges = (0..slots)
            .map(|slot| Seed(*expand(pair, &[b"sottovoce/secagg/v1/edge-seed", &slot.to_le_bytes()])))
            .collect();
        Self {
            outgoing,
            incoming,
            edges,
        }
    }
}

/// `K_ij` of the members `low < high`.
pub(crate) fn pair_key(
    members: &Members,
    hellos: &HelloSet,
    (low, high): (u16, u16),
    ct: &[u8; CT_BYTES],
    x25519: &Key,
    mlkem: &Key,
) -> Prk {
    PairContext {
        epoch_id: &hellos.epoch_id(),
        roster_hash: &members.roster_hash(),
        low,
        high,
        hello_low: hellos.digest_of(low),
        hello_high: hellos.digest_of(high),
        ct,
    }
    .combine(x25519, mlkem)
}

/// Label of the box that `from` seals for `to`.
pub(crate) fn box_aad(epoch_id: &Digest, from: u16, to: u16) -> [u8; 36] {
    let mut aad = [0u8; 36];
    aad[..32].copy_from_slice(&epoch_id.0);
    aad[32..34].copy_from_slice(&from.to_le_bytes());
    aad[34..].copy_from_slice(&to.to_le_bytes());
    aad
}

/// Label of the bundle in which `from` seals its edge seeds of a slot.
pub(crate) fn bundle_aad(epoch_id: &Digest, from: u16, slot: u16) -> [u8; 36] {
    box_aad(epoch_id, from, slot)
}

/// The key that `w_i[s]` gives.
pub(crate) fn bundle_key(epoch_id: &Digest, w: &[u8; 32]) -> Key {
    expand(&extract(&epoch_id.0, w), &[b"sottovoce/secagg/v1/bundle"])
}

/// `H(b_i[s])` or `H(w_i[s])`.
pub(crate) fn secret_hash(epoch_id: &Digest, kind: Kind, dealer: u16, slot: u16, secret: &[u8; 32]) -> Digest {
    let domain = match kind {
        Kind::B => "sottovoce/secagg/v1/secret-b",
        Kind::W => "sottovoce/secagg/v1/secret-w",
    };
    Digest::of(
        domain,
        &[&epoch_id.0, &dealer.to_le_bytes(), &slot.to_le_bytes(), secret],
    )
}

/// `H(r_ij[s])`, the same from both ends.
pub(crate) fn edge_hash(epoch_id: &Digest, one: u16, other: u16, slot: u16, seed: &[u8; 32]) -> Digest {
    let (low, high) = (one.min(other), one.max(other));
    Digest::of(
        "sottovoce/secagg/v1/edge",
        &[
            &epoch_id.0,
            &low.to_le_bytes(),
            &high.to_le_bytes(),
            &slot.to_le_bytes(),
            seed,
        ],
    )
}

/// Leaf of a holder's share tree.
pub(crate) fn share_leaf(
    epoch_id: &Digest,
    dealer: u16,
    holder: u16,
    slot: u16,
    kind: Kind,
    share: &[u8; 32],
) -> Digest {
    let kind = match kind {
        Kind::B => 0u8,
        Kind::W => 1u8,
    };
    Digest::of(
        "sottovoce/secagg/v1/share",
        &[
            &epoch_id.0,
            &dealer.to_le_bytes(),
            &holder.to_le_bytes(),
            &slot.to_le_bytes(),
            &[kind],
            share,
        ],
    )
}

/// Leaf of a ciphertext tree; members of lower index than the sender get none.
pub(crate) fn pair_leaf(ct: Option<&[u8; CT_BYTES]>) -> Digest {
    merkle::leaf(ct.map_or(&[], |ct| &ct[..]))
}

/// The sign with which `me` carries its edge with `peer`: `y_i` adds for higher peers and subtracts for lower ones.
pub(crate) fn edge_sign(me: u16, peer: u16) -> Sign {
    if peer > me { Sign::Plus } else { Sign::Minus }
}
