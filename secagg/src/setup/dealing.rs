//! Step 3: secrets for every slot, shared with every member ([BIK+17] round 1, ShareKeys). We share `b_i[s]` and `w_i[s]`,
//! where `w_i[s]` opens sealed edge seeds in place of the paper's DH key; proofs/wrapping-keys.md argues it.

use std::sync::Arc;

use curve25519_dalek::scalar::Scalar;
use zeroize::Zeroizing;

use super::acking::Acking;
use super::dispute::Dispute;
use super::hellos::HelloSet;
use super::pair::{Kind, PairKeys, box_aad, bundle_aad, bundle_key, edge_hash, secret_hash, share_leaf};
use super::{Me, one_of_each};
use crate::abort::{Abort, MemberFault, RelayFault};
use crate::codec::Message;
use crate::digest::Digest;
use crate::entropy::Entropy;
use crate::kem::KeySeed;
use crate::mask::Seed;
use crate::members::Members;
use crate::merkle::{Tree, climb, leaf};
use crate::message::{Ack, Deal, DealHead, DealPart, Leaf, PairHead, PublicLeaf, Signed, UNSIGNED};
use crate::seal::{Key, open, seal};
use crate::shamir::{deal, draw_scalar, read_scalar, scalar_bytes};

/// Shares one dealer gave one holder: for each slot of b and of w.
pub(crate) type Shares = Zeroizing<Vec<[Scalar; 2]>>;

/// Dealt; waits for everyone's part.
pub struct Dealing {
    me: Me,
    seed: KeySeed,
    hellos: Arc<HelloSet>,
    /// Signed ciphertext roots of the members of lower index.
    pair_heads: Vec<PairHead>,
    own: DealHead,
    /// With every peer, in order of index without oneself.
    pairs: Vec<PairKeys>,
    own_b: Vec<Seed>,
    own_shares: Shares,
}

impl Dealing {
    pub(super) fn start(
        me: Me,
        seed: KeySeed,
        hellos: Arc<HelloSet>,
        pair_root: Digest,
        pair_heads: Vec<PairHead>,
        pairs: Vec<PairKeys>,
        entropy: &mut dyn Entropy,
    ) -> (Self, Deal) {
        let (n, t) = (me.members.n(), me.members.threshold());
        let slots = hellos.slots();
        let epoch_id = hellos.epoch_id();
        let own_place = usize::from(me.index) - 1;

        let mut held: Vec<Shares> = (0..n)
            .map(|_| Zeroizing::new(Vec::with_capacity(slots.into())))
            .collect();
        let mut public = PublicLeaf {
            b: Vec::new(),
            w: Vec::new(),
            bundles: Vec::new(),
        };
        let mut bundles = Vec::with_capacity(slots.into());
        let mut own_b = Vec::with_capacity(slots.into());
        for slot in 0..slots {
            let b = Zeroizing::new(draw_scalar(entropy));
            let w = Zeroizing::new(draw_scalar(entropy));
            let of_b = deal(&b, t, n, entropy);
            let of_w = deal(&w, t, n, entropy);
            for (holder, pair) in held.iter_mut().zip(of_b.iter().zip(of_w.iter())) {
                holder.push([*pair.0, *pair.1]);
            }
            let (b, w) = (scalar_bytes(&b), scalar_bytes(&w));
            public.b.push(secret_hash(&epoch_id, Kind::B, me.index, slot, &b));
            public.w.push(secret_hash(&epoch_id, Kind::W, me.index, slot, &w));
            let mut edges = Zeroizing::new(Vec::with_capacity(32 * n + crate::seal::TAG_BYTES));
            for place in 0..n {
                match place.cmp(&own_place) {
                    std::cmp::Ordering::Less => edges.extend_from_slice(&pairs[place].edges[usize::from(slot)].0),
                    std::cmp::Ordering::Equal => edges.extend_from_slice(&[0; 32]),
                    std::cmp::Ordering::Greater => {
                        edges.extend_from_slice(&pairs[place - 1].edges[usize::from(slot)].0)
                    }
                }
            }
            let bundle = seal(
                &bundle_key(&epoch_id, &w),
                &bundle_aad(&epoch_id, me.index, slot),
                edges,
            );
            public.bundles.push(bundle_hash(&bundle));
            bundles.push(bundle);
            own_b.push(Seed(*b));
        }

        let mut leaves = Vec::with_capacity(n);
        for (shares, holder) in held.iter().zip(1..) {
            let share_root = share_tree(&epoch_id, me.index, holder, shares).root();
            leaves.push(if holder == me.index {
                Leaf {
                    sealed: Vec::new(),
                    share_root,
                    edges: Vec::new(),
                }
            } else {
                let pair = &pairs[usize::from(holder) - 1 - usize::from(holder > me.index)];
                Leaf {
                    sealed: seal(&pair.outgoing, &box_aad(&epoch_id, me.index, holder), flatten(shares)),
                    share_root,
                    edges: edge_hashes(&epoch_id, me.index, holder, &pair.edges),
                }
            });
        }
        let mut deal = Deal {
            head: DealHead {
                epoch_id,
                member: me.index,
                pair_root,
                root: Digest([0; 32]),
                signature: UNSIGNED,
            },
            leaves,
            public,
            bundles,
        };
        deal.head.root = deal.tree().root();
        deal.head = deal.head.signed(&me.key);
        let next = Self {
            own: deal.head.clone(),
            own_shares: held.swap_remove(own_place),
            me,
            seed,
            hellos,
            pair_heads,
            pairs,
            own_b,
        };
        (next, deal)
    }

    /// Takes one part of every other member and checks all that its recipient can check: the signed root, the box, the
    /// shares against their root, the edge hashes against its own seeds.
    pub fn receive(self, parts: Vec<DealPart>) -> Result<(Acking, Ack), Abort> {
        let me = self.me.index;
        let peers = self.me.members.indices().filter(|peer| *peer != me);
        let parts = one_of_each("deal parts", parts, |p| p.head.member, peers)?;
        let mut roots = Vec::with_capacity(self.me.members.n());
        let mut shares = Vec::with_capacity(self.me.members.n());
        for (part, pair) in parts.iter().zip(&self.pairs) {
            let peer = part.head.member;
            part.check(&self.me.members, &self.hellos, me)?;
            if let Some(seen) = self.pair_heads.iter().find(|head| head.member == peer)
                && seen.root != part.head.pair_root
            {
                return Err(Abort::Member(Box::new(crate::Blame {
                    member: peer,
                    fault: MemberFault::Equivocation { what: "pair roots" },
                    evidence: vec![seen.encode(), part.encode()],
                })));
            }
            let opened = open_leaf(
                &self.hellos.epoch_id(),
                peer,
                me,
                &part.leaf,
                &pair.incoming,
                &pair.edges,
            );
            let Some(opened) = opened else {
                let dispute = Dispute::accuse(&self.me, &self.hellos, part.clone(), &self.seed);
                return Err(Abort::Dispute(Box::new(dispute)));
            };
            shares.push(opened);
            roots.push((part.head.pair_root, part.head.root));
        }
        roots.insert(usize::from(me) - 1, (self.own.pair_root, self.own.root));
        shares.insert(usize::from(me) - 1, self.own_shares);
        let edges = self.pairs.into_iter().map(|pair| pair.edges).collect();
        Ok(Acking::start(
            self.me,
            self.hellos.epoch_id(),
            roots,
            self.own_b,
            edges,
            shares,
        ))
    }
}

impl Deal {
    pub(crate) fn tree(&self) -> Tree {
        let mut leaves: Vec<Digest> = self.leaves.iter().map(Leaf::digest).collect();
        leaves.push(leaf(&self.public.encode()));
        Tree::new(leaves)
    }

    /// For the relay: checks the message's signature, root and shape.
    pub(crate) fn check(&self, members: &Members, hellos: &HelloSet) -> Result<(), Abort> {
        hellos.belongs("epoch of deal", self.head.epoch_id)?;
        self.head.verify(members)?;
        let (n, slots) = (members.n(), usize::from(hellos.slots()));
        let own = usize::from(self.head.member) - 1;
        let shaped = self.leaves.len() == n
            && self
                .leaves
                .iter()
                .enumerate()
                .all(|(place, leaf)| leaf.shaped(slots, place == own))
            && [&self.public.b, &self.public.w, &self.public.bundles]
                .iter()
                .all(|list| list.len() == slots)
            && self.bundles.len() == slots
            && self
                .bundles
                .iter()
                .all(|bundle| bundle.len() == 32 * n + crate::seal::TAG_BYTES)
            && self
                .bundles
                .iter()
                .zip(&self.public.bundles)
                .all(|(bundle, hash)| bundle_hash(bundle) == *hash)
            && self.tree().root() == self.head.root;
        if shaped {
            Ok(())
        } else {
            // The head alone is what the member signed; that its content does not fit is seen by the relay only.
            Err(Abort::blame(
                self.head.member,
                MemberFault::WrongShape { what: "deal" },
                &[self],
            ))
        }
    }

    /// For the relay: the parts for all other members, in order of index.
    pub fn parts(&self) -> Vec<(u16, DealPart)> {
        let tree = self.tree();
        self.leaves
            .iter()
            .enumerate()
            .filter(|(place, _)| place + 1 != usize::from(self.head.member))
            .map(|(place, leaf)| {
                let part = DealPart {
                    head: self.head.clone(),
                    leaf: leaf.clone(),
                    path: tree.path(place),
                };
                (place as u16 + 1, part)
            })
            .collect()
    }
}

impl DealPart {
    /// Signed by its dealer for `recipient` in this epoch, and of the right shape.
    pub(crate) fn check(&self, members: &Members, hellos: &HelloSet, recipient: u16) -> Result<(), Abort> {
        hellos.belongs("epoch of deal part", self.head.epoch_id)?;
        self.head.verify(members)?;
        let place = usize::from(recipient) - 1;
        if climb(self.leaf.digest(), place, members.n() + 1, &self.path) != Some(self.head.root) {
            return Err(RelayFault::NotUnderRoot {
                what: "deal",
                member: self.head.member,
            }
            .into());
        }
        if !self.leaf.shaped(hellos.slots().into(), false) {
            return Err(Abort::blame(
                self.head.member,
                MemberFault::WrongShape { what: "deal leaf" },
                &[self],
            ));
        }
        Ok(())
    }
}

impl Leaf {
    /// The leaf's hash is made of three, so that a proof of the share root need not carry the box.
    pub(crate) fn digest(&self) -> Digest {
        leaf_digest(&sealed_hash(&self.sealed), &self.share_root, &edges_hash(&self.edges))
    }

    pub(crate) fn shaped(&self, slots: usize, own: bool) -> bool {
        if own {
            self.sealed.is_empty() && self.edges.is_empty()
        } else {
            self.sealed.len() == 64 * slots + crate::seal::TAG_BYTES && self.edges.len() == slots
        }
    }
}

/// Opens what `dealer` sealed for `holder` and checks it against the leaf; nothing if anything does not hold.
pub(super) fn open_leaf(
    epoch_id: &Digest,
    dealer: u16,
    holder: u16,
    leaf: &Leaf,
    key: &Key,
    edges: &[Seed],
) -> Option<Shares> {
    let content = open(key, &box_aad(epoch_id, dealer, holder), &leaf.sealed)?;
    let mut shares: Shares = Zeroizing::new(Vec::with_capacity(edges.len()));
    for pair in content.as_chunks::<64>().0 {
        let (b, w) = pair.split_at(32);
        shares.push([read_scalar(b.try_into().ok()?)?, read_scalar(w.try_into().ok()?)?]);
    }
    let held = shares.len() == edges.len()
        && share_tree(epoch_id, dealer, holder, &shares).root() == leaf.share_root
        && edge_hashes(epoch_id, dealer, holder, edges) == leaf.edges;
    held.then_some(shares)
}

/// Leaves `2s` and `2s + 1` are the shares of `b[s]` and `w[s]`.
pub(crate) fn share_tree(epoch_id: &Digest, dealer: u16, holder: u16, shares: &[[Scalar; 2]]) -> Tree {
    let leaves = shares
        .iter()
        .zip(0..)
        .flat_map(|([b, w], slot)| {
            [
                share_leaf(epoch_id, dealer, holder, slot, Kind::B, &scalar_bytes(b)),
                share_leaf(epoch_id, dealer, holder, slot, Kind::W, &scalar_bytes(w)),
            ]
        })
        .collect();
    Tree::new(leaves)
}

fn edge_hashes(epoch_id: &Digest, one: u16, other: u16, edges: &[Seed]) -> Vec<Digest> {
    edges
        .iter()
        .zip(0..)
        .map(|(seed, slot)| edge_hash(epoch_id, one, other, slot, &seed.0))
        .collect()
}

pub(crate) fn leaf_digest(sealed: &Digest, share_root: &Digest, edges: &Digest) -> Digest {
    leaf(&[sealed.0, share_root.0, edges.0].concat())
}

pub(crate) fn sealed_hash(sealed: &[u8]) -> Digest {
    Digest::of("sottovoce/secagg/v1/box-hash", &[sealed])
}

pub(crate) fn edges_hash(edges: &[Digest]) -> Digest {
    let parts: Vec<&[u8]> = edges.iter().map(|edge| &edge.0[..]).collect();
    Digest::of("sottovoce/secagg/v1/edges", &parts)
}

pub(crate) fn bundle_hash(bundle: &[u8]) -> Digest {
    Digest::of("sottovoce/secagg/v1/bundle-hash", &[bundle])
}

fn flatten(shares: &Shares) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(64 * shares.len() + crate::seal::TAG_BYTES));
    for [b, w] in shares.iter() {
        bytes.extend_from_slice(&*scalar_bytes(b));
        bytes.extend_from_slice(&*scalar_bytes(w));
    }
    bytes
}
