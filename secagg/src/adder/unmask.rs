//! Stripping the sum: t members' shares open `b` of the survivors and `w` of the dropped ([BIK+17] round 4, Unmasking). Each
//! opened secret is checked against its dealer's commitment; when one does not hold, Merkle paths tell a lying holder from a
//! lying dealer. Opening costs t multiplications a secret, stripping one mask a survivor and one an edge to a dropped.

use std::collections::{BTreeMap, BTreeSet};

use curve25519_dalek::scalar::Scalar;
use zeroize::Zeroizing;

use super::relay::equivocation;
use super::{Round, Sum};
use crate::abort::{Abort, MemberFault, RelayFault};
use crate::blame::Blame;
use crate::codec::Message;
use crate::digest::Digest;
use crate::mask::{self, Seed, Sign};
use crate::merkle::climb;
use crate::message::{BundleProof, EdgeReveal, EdgesProof, Reveal, SharePaths, Signed, Survivors};
use crate::ring::RingVec;
use crate::seal::open;
use crate::setup::{Kind, bundle_aad, bundle_key, edge_sign, same, share_leaf};
use crate::shamir::{Opener, read_scalar, scalar_bytes};

/// Waits for reveals, and if something does not open, for paths or edges.
pub struct Unmasking {
    round: Round,
    u_hash: Digest,
    /// The cohort with what may be opened of each: `b` of survivors, `w` of the dropped.
    opened: Vec<(u16, Kind)>,
    sum: RingVec,
    reveals: BTreeMap<u16, (Reveal, Zeroizing<Vec<Scalar>>)>,
    /// Holders whose shares lie under the roots dealt to them, with the paths that show it.
    proven: BTreeMap<u16, SharePaths>,
    liars: BTreeSet<u16>,
    /// By dropped and surviving member, from members of U directly.
    edges: BTreeMap<(u16, u16), Seed>,
    blames: Vec<Blame>,
    /// What members agreed to open; the frame of all evidence.
    survivors: Survivors,
}

/// The sum did not open yet; the state is handed back with what is missing.
pub struct Stuck {
    /// To go on with.
    pub round: Box<Unmasking>,
    /// What it lacks.
    pub why: Why,
}

/// What an unmasking lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Fewer than t usable reveals.
    Reveals { expected: usize, found: usize },
    /// Some secret did not open: these holders should show the paths of their shares.
    Paths { holders: Vec<u16> },
    /// Bundles of these dropped members do not hold: these survivors should show their edge seeds.
    Edges { dropped: Vec<u16>, survivors: Vec<u16> },
    /// A dealer's own shares do not open what it committed to; the slot is dead.
    Dead(Vec<Blame>),
}

impl Unmasking {
    pub(super) fn start(round: Round, survivors: &Survivors, sum: RingVec) -> Self {
        let alive: BTreeSet<u16> = survivors.headers.iter().map(|header| header.member).collect();
        let opened = round
            .cohort()
            .map(|member| (member, if alive.contains(&member) { Kind::B } else { Kind::W }))
            .collect();
        Self {
            u_hash: survivors.u_hash(&round.ctx2),
            survivors: survivors.clone(),
            round,
            opened,
            sum,
            reveals: BTreeMap::new(),
            proven: BTreeMap::new(),
            liars: BTreeSet::new(),
            edges: BTreeMap::new(),
            blames: Vec::new(),
        }
    }

    pub(super) fn round(&self) -> &Round {
        &self.round
    }

    /// The survivor set being opened.
    pub fn u_hash(&self) -> Digest {
        self.u_hash
    }

    /// Takes a reveal; answers how many there are, or `None` for a repeated one.
    pub fn reveal(&mut self, reveal: Reveal) -> Result<Option<usize>, Abort> {
        same("epoch of reveal", self.round.book.epoch_id(), reveal.epoch_id)?;
        self.round.same_slot(reveal.slot)?;
        reveal.verify(self.round.book.members())?;
        match self.reveals.get(&reveal.member) {
            Some((seen, _)) if *seen == reveal => return Ok(None),
            Some((seen, _)) => return Err(equivocation(reveal.member, "reveals", seen, &reveal)),
            None => {}
        }
        same("survivor set of reveal", self.u_hash, reveal.u_hash)?;
        let shares: Option<Vec<Scalar>> = reveal.shares.iter().map(read_scalar).collect();
        match shares {
            Some(shares) if shares.len() == self.opened.len() => {
                self.reveals.insert(reveal.member, (reveal, Zeroizing::new(shares)));
                Ok(Some(self.reveals.len()))
            }
            _ => {
                let fault = MemberFault::WrongShape { what: "reveal" };
                let evidence = vec![reveal.encode(), self.survivors.encode()];
                Err(convicted(reveal.member, fault, evidence))
            }
        }
    }

    /// Whether t usable reveals are in.
    pub fn ready(&self) -> bool {
        self.usable().count() >= self.threshold()
    }

    /// Opens every secret and strips the sum.
    pub fn unmask(mut self) -> Result<Sum, Stuck> {
        let secrets = match self.open_secrets() {
            Ok(secrets) => secrets,
            Err(why) => return Err(self.stuck(why)),
        };
        let survivors: Vec<u16> = self.with(Kind::B).collect();
        let mut masks: Vec<(Seed, Sign)> = Vec::new();
        let mut bad = Vec::new();
        for ((member, kind), secret) in self.opened.iter().zip(&secrets) {
            match kind {
                Kind::B => masks.push((Seed(**secret), Sign::Minus)),
                Kind::W => match self.edges_of(*member, secret, &survivors) {
                    Ok(edges) => masks.extend(
                        edges
                            .into_iter()
                            .zip(&survivors)
                            .map(|(seed, peer)| (seed, edge_sign(*peer, *member).flipped())),
                    ),
                    Err(blame) => {
                        bad.push(*member);
                        if !self.blames.contains(&blame) {
                            self.blames.push(blame);
                        }
                    }
                },
            }
        }
        let missing: Vec<u16> = bad
            .iter()
            .copied()
            .filter(|dropped| {
                survivors
                    .iter()
                    .any(|peer| !self.edges.contains_key(&(*dropped, *peer)))
            })
            .collect();
        if !missing.is_empty() {
            return Err(self.stuck(Why::Edges {
                dropped: missing,
                survivors,
            }));
        }
        for dropped in &bad {
            for peer in &survivors {
                masks.push((
                    self.edges[&(*dropped, *peer)].clone(),
                    edge_sign(*peer, *dropped).flipped(),
                ));
            }
        }
        mask::add_all(&masks, &self.round.ctx2, &mut self.sum);
        Ok(Sum {
            vector: self.sum,
            contributors: survivors.len() as u16,
            u_hash: self.u_hash,
            blames: self.blames,
        })
    }

    /// Takes a holder's paths. A share outside the root dealt to it convicts the holder, and its reveal is set aside.
    pub fn paths(&mut self, paths: SharePaths) -> Result<Option<usize>, Abort> {
        let book = &self.round.book;
        same("epoch of share paths", book.epoch_id(), paths.epoch_id)?;
        self.round.same_slot(paths.slot)?;
        paths.verify(book.members())?;
        let holder = paths.member;
        let Some((reveal, _)) = self.reveals.get(&holder) else {
            return Err(RelayFault::Incomplete {
                what: "reveals of a holder with paths",
                expected: 1,
                found: 0,
            }
            .into());
        };
        if self.liars.contains(&holder) || self.proven.contains_key(&holder) {
            return Ok(None);
        }
        let slot = self.round.slot;
        let false_share = self.opened.iter().enumerate().find(|(place, (dealer, kind))| {
            let leaf = share_leaf(&book.epoch_id(), *dealer, holder, slot, *kind, &reveal.shares[*place]);
            let index = 2 * usize::from(slot) + usize::from(*kind == Kind::W);
            let root = paths
                .paths
                .get(*place)
                .and_then(|path| climb(leaf, index, 2 * usize::from(book.slots()), path));
            root.as_ref() != Some(book.share_root(*dealer, holder))
        });
        if let Some((_, (dealer, _))) = false_share {
            let blame = Blame {
                member: holder,
                fault: MemberFault::FalseShare,
                evidence: vec![
                    self.survivors.encode(),
                    book.public_proof(*dealer).encode(),
                    reveal.encode(),
                    paths.encode(),
                    book.leaf_proof(*dealer, holder).encode(),
                    book.roots_proof(holder).encode(),
                ],
            };
            self.liars.insert(holder);
            self.blames.push(blame.clone());
            return Err(Abort::Member(Box::new(blame)));
        }
        self.proven.insert(holder, paths);
        Ok(Some(self.proven.len()))
    }

    /// Takes a survivor's edge seeds with the dropped, for bundles that did not hold.
    pub fn edges(&mut self, reveal: EdgeReveal) -> Result<(), Abort> {
        let book = &self.round.book;
        same("epoch of edge reveal", book.epoch_id(), reveal.epoch_id)?;
        self.round.same_slot(reveal.slot)?;
        same("survivor set of edge reveal", self.u_hash, reveal.u_hash)?;
        reveal.verify(book.members())?;
        if !self.with(Kind::B).any(|member| member == reveal.member) {
            return Err(RelayFault::SurvivorOutsideCohort { member: reveal.member }.into());
        }
        let dropped: BTreeSet<u16> = self.with(Kind::W).collect();
        for (peer, seed) in &reveal.edges {
            if !dropped.contains(peer) || !book.is_edge(*peer, reveal.member, self.round.slot, seed) {
                let mut evidence = vec![reveal.encode()];
                if dropped.contains(peer) {
                    evidence.push(book.edges_proof(*peer, reveal.member).encode());
                    evidence.push(book.roots_proof(reveal.member).encode());
                }
                return Err(convicted(reveal.member, MemberFault::FalseEdge, evidence));
            }
        }
        for (peer, seed) in &reveal.edges {
            self.edges.insert((*peer, reveal.member), Seed(*seed));
        }
        Ok(())
    }

    /// The reveals taken, for the audit spool.
    pub fn reveals(&self) -> impl Iterator<Item = &Reveal> {
        self.reveals.values().map(|(reveal, _)| reveal)
    }

    /// All secrets of `opened`, each equal to its commitment.
    fn open_secrets(&self) -> Result<Vec<Zeroizing<[u8; 32]>>, Why> {
        let t = self.threshold();
        // Proven holders first: after a failure only they decide.
        let mut holders: Vec<u16> = self
            .usable()
            .filter(|holder| self.proven.contains_key(holder))
            .collect();
        holders.extend(self.usable().filter(|holder| !self.proven.contains_key(holder)));
        if holders.len() < t {
            return Err(Why::Reveals {
                expected: t,
                found: holders.len(),
            });
        }
        holders.truncate(t);
        let opener = Opener::new(&holders);
        let rows: Vec<&[Scalar]> = holders.iter().map(|holder| self.reveals[holder].1.as_slice()).collect();
        let mut failed = Vec::new();
        let mut secrets = Vec::with_capacity(self.opened.len());
        for (place, (dealer, kind)) in self.opened.iter().enumerate() {
            let secret = Zeroizing::new(opener.open(rows.iter().map(|row| &row[place])));
            let bytes = scalar_bytes(&secret);
            if !self.round.book.is_secret(*kind, *dealer, self.round.slot, &bytes) {
                failed.push(*dealer);
            }
            secrets.push(bytes);
        }
        if failed.is_empty() {
            return Ok(secrets);
        }
        let unproven: Vec<u16> = holders
            .iter()
            .copied()
            .filter(|holder| !self.proven.contains_key(holder))
            .collect();
        if !unproven.is_empty() {
            return Err(Why::Paths { holders: unproven });
        }
        // Every share used is what its dealer dealt, and still the secret is not the one it committed to.
        let blame = |dealer: u16| Blame {
            member: dealer,
            fault: MemberFault::InconsistentShares,
            evidence: [self.survivors.encode(), self.round.book.public_proof(dealer).encode()]
                .into_iter()
                .chain(holders.iter().flat_map(|holder| {
                    [
                        self.reveals[holder].0.encode(),
                        self.proven[holder].encode(),
                        self.round.book.leaf_proof(dealer, *holder).encode(),
                    ]
                }))
                .collect(),
        };
        Err(Why::Dead(failed.into_iter().map(blame).collect()))
    }

    /// The edge seeds of a dropped member with every survivor, from its bundle, or its blame if the bundle does not hold.
    fn edges_of(&self, dropped: u16, w: &[u8; 32], survivors: &[u16]) -> Result<Vec<Seed>, Blame> {
        let book = &self.round.book;
        let slot = self.round.slot;
        let epoch_id = book.epoch_id();
        let bundle = book.bundle(dropped, slot);
        let bad = |evidence: Option<EdgesProof>| {
            let proof = BundleProof {
                public: book.public_proof(dropped),
                slot,
                w: *w,
                bundle: bundle.to_vec(),
            };
            Blame {
                member: dropped,
                fault: MemberFault::BadBundle { slot },
                evidence: std::iter::once(proof.encode())
                    .chain(
                        evidence
                            .into_iter()
                            .flat_map(|edges| [edges.encode(), book.roots_proof(dropped).encode()]),
                    )
                    .collect(),
            }
        };
        let content =
            open(&bundle_key(&epoch_id, w), &bundle_aad(&epoch_id, dropped, slot), bundle).ok_or_else(|| bad(None))?;
        let (seeds, _) = content.as_chunks::<32>();
        survivors
            .iter()
            .map(|peer| match seeds.get(usize::from(*peer) - 1) {
                Some(seed) if book.is_edge(dropped, *peer, slot, seed) => Ok(Seed(*seed)),
                _ => Err(bad(Some(book.edges_proof(dropped, *peer)))),
            })
            .collect()
    }

    fn usable(&self) -> impl Iterator<Item = u16> {
        self.reveals
            .keys()
            .copied()
            .filter(|holder| !self.liars.contains(holder))
    }

    fn with(&self, kind: Kind) -> impl Iterator<Item = u16> {
        self.opened
            .iter()
            .filter(move |(_, own)| *own == kind)
            .map(|(member, _)| *member)
    }

    fn threshold(&self) -> usize {
        self.round.book.members().threshold()
    }

    fn stuck(self, why: Why) -> Stuck {
        Stuck {
            round: Box::new(self),
            why,
        }
    }
}

fn convicted(member: u16, fault: MemberFault, evidence: Vec<Vec<u8>>) -> Abort {
    Abort::Member(Box::new(Blame {
        member,
        fault,
        evidence,
    }))
}
