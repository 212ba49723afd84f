//! A member's side of an epoch: the secrets of its slots, in memory only, and for every slot a lock that moves one way. What
//! a slot was once locked to is all it will ever serve; a second, different value is an abort and a repeated one is
//! `Ok(None)`. A round costs a member one pass of the mask kernel and about 2n signature verifications.

mod check;
mod exclusion;
mod lock;
mod reveal;

pub use exclusion::Exclusion;

pub(crate) use check::check_minimum;

use std::sync::Arc;

use curve25519_dalek::scalar::Scalar;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::abort::{Abort, RelayFault, Usage};
use crate::digest::Digest;
use crate::mask::{self, Seed, Sign};
use crate::members::Members;
use crate::merkle::Tree;
use crate::message::{Accept, Certificate, MaskedHeader, Reveal, Signed, Survivors, UNSIGNED, Vote, ctx2_of};
use crate::ring::RingVec;
use crate::setup::{Me, edge_sign};
use lock::{InCohort, Lock, Surveyed};

/// A live epoch at one member. No `Debug`, no copy, no disk: a restart leaves the epoch.
pub struct Epoch {
    me: Me,
    epoch_id: Digest,
    /// Signed ciphertext root and deal root of every member.
    roots: Vec<(Digest, Digest)>,
    /// By dealer, over the shares it gave us.
    share_trees: Vec<Tree>,
    slots: Vec<Slot>,
}

struct Slot {
    lock: Lock,
    secrets: Option<SlotSecrets>,
}

/// Everything secret of one slot, wiped together.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct SlotSecrets {
    /// Own `b_i[s]`.
    pub(crate) b: Seed,
    /// `r_ij[s]` by index of j; zero at one's own.
    pub(crate) edges: Vec<Seed>,
    /// Shares of `b_j[s]` and `w_j[s]` by index of j.
    pub(crate) shares: Vec<[Scalar; 2]>,
}

/// A masked vector with its signed header. [`Epoch::mask`] is its only maker.
pub struct Masked {
    header: MaskedHeader,
    y: RingVec,
}

impl Masked {
    /// What is signed of it.
    pub fn header(&self) -> &MaskedHeader {
        &self.header
    }

    /// For sending: header and vector.
    pub fn into_parts(self) -> (MaskedHeader, RingVec) {
        (self.header, self.y)
    }
}

/// What a member says to a survivor set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Fast path: everyone of the cohort survived, nothing is left to agree on.
    Reveal(Reveal),
    /// Slow path: reveals follow a certificate.
    Vote(Vote),
}

impl Epoch {
    pub(crate) fn live(
        me: Me,
        epoch_id: Digest,
        roots: Vec<(Digest, Digest)>,
        share_trees: Vec<Tree>,
        secrets: Vec<SlotSecrets>,
    ) -> Self {
        let slots = secrets
            .into_iter()
            .map(|secrets| Slot {
                lock: Lock::Unused,
                secrets: Some(secrets),
            })
            .collect();
        Self {
            me,
            epoch_id,
            roots,
            share_trees,
            slots,
        }
    }

    /// The epoch's name.
    pub fn id(&self) -> Digest {
        self.epoch_id
    }

    /// Who is in it.
    pub fn members(&self) -> &Arc<Members> {
        &self.me.members
    }

    /// Own index.
    pub fn index(&self) -> u16 {
        self.me.index
    }

    /// Slots it was made with.
    pub fn slots(&self) -> u16 {
        self.slots.len() as u16
    }

    /// Whether a slot was never touched.
    pub fn is_unused(&self, slot: u16) -> bool {
        matches!(self.slots.get(usize::from(slot)), Some(Slot { lock: Lock::Unused, .. }))
    }

    /// Signed roots of all members' ciphertexts and deals, as acknowledged; an auditor checks public parts against them.
    pub fn roots(&self) -> &[(Digest, Digest)] {
        &self.roots
    }

    /// Locks an unused slot to a context and signs for it.
    pub fn accept(&mut self, slot: u16, ctx_hash: Digest) -> Result<Option<Accept>, Abort> {
        let lock = self.lock(slot)?;
        match lock.ctx_hash(slot)? {
            Some(found) if found == ctx_hash => return Ok(None),
            Some(expected) => return Err(second(slot, "context", expected, ctx_hash)),
            None => {}
        }
        self.slots[usize::from(slot)].lock = Lock::Started { ctx_hash };
        let accept = Accept {
            epoch_id: self.epoch_id,
            slot,
            member: self.me.index,
            ctx_hash,
            signature: UNSIGNED,
        };
        Ok(Some(accept.signed(&self.me.key)))
    }

    /// Locks an accepted slot to its cohort and answers `ctx2`. Every Accept is verified, own presence and `|C| >= s_min`
    /// demanded.
    pub fn cohort(&mut self, slot: u16, s_min: usize, accepts: &[Accept]) -> Result<Option<Digest>, Abort> {
        check_minimum(&self.me.members, s_min)?;
        let lock = self.lock(slot)?;
        let expected = lock.ctx_hash(slot)?;
        let Some(ctx_hash) = expected else {
            return Err(lock.wrong_phase(slot, "accepted"));
        };
        let cohort = self.members_of(slot, s_min, accepts, Some(ctx_hash))?;
        let ctx2 = ctx2_of(&self.epoch_id, slot, &ctx_hash, &cohort);
        match self.lock(slot)?.ctx2() {
            Some(found) if found == ctx2 => return Ok(None),
            Some(expected) => return Err(second(slot, "cohort", expected, ctx2)),
            None => {}
        }
        if !cohort.contains(&self.me.index) {
            return Err(RelayFault::LeftOutOfCohort { slot }.into());
        }
        self.verify_accepts(accepts)?;
        self.slots[usize::from(slot)].lock = Lock::InCohort(InCohort { ctx_hash, ctx2, cohort });
        Ok(Some(ctx2))
    }

    /// Masks a vector in place, once per slot: `y = x + PRG(b) + sum of PRG(r_ij), signed by order of index`.
    pub fn mask(&mut self, slot: u16, mut x: RingVec) -> Result<Masked, Abort> {
        let me = self.me.index;
        let Lock::InCohort(place) = self.lock(slot)? else {
            return Err(self.lock(slot)?.wrong_phase(slot, "in a cohort and not masked yet"));
        };
        let (place, secrets) = (place.clone(), self.secrets(slot)?);
        let mut masks = vec![(secrets.b.clone(), Sign::Plus)];
        let peers = place.cohort.iter().filter(|peer| **peer != me);
        masks.extend(peers.map(|peer| (secrets.edges[usize::from(*peer) - 1].clone(), edge_sign(me, *peer))));
        mask::add_all(&masks, &place.ctx2, &mut x);
        let digest = MaskedHeader::digest_of(&x);
        let header = MaskedHeader {
            slot,
            ctx2: place.ctx2,
            member: me,
            digest,
            signature: UNSIGNED,
        }
        .signed(&self.me.key);
        self.slots[usize::from(slot)].lock = Lock::Sent(place, digest);
        Ok(Masked { header, y: x })
    }

    /// Locks the slot to a survivor set, whether or not this member was in the cohort: it holds shares in any case. Answers
    /// a vote, or at once a reveal if nobody of the cohort was lost.
    pub fn survivors(&mut self, slot: u16, s_min: usize, message: &Survivors) -> Result<Option<Answer>, Abort> {
        check_minimum(&self.me.members, s_min)?;
        if message.slot != slot {
            return Err(RelayFault::WrongSlot {
                expected: slot,
                found: message.slot,
            }
            .into());
        }
        let lock = self.lock(slot)?;
        let locked = lock.ctx_hash(slot)?;
        let cohort = self.members_of(slot, s_min, &message.accepts, locked)?;
        let ctx_hash = message.accepts[0].ctx_hash; // s_min >= 1 accepts, all equal
        let ctx2 = ctx2_of(&self.epoch_id, slot, &ctx_hash, &cohort);
        match lock.ctx2() {
            Some(expected) if expected != ctx2 => return Err(second(slot, "cohort", expected, ctx2)),
            Some(_) => {} // these Accepts were verified when the slot was locked to them
            None => self.verify_accepts(&message.accepts)?,
        }
        let survivors = self.survivors_of(slot, s_min, &ctx2, &cohort, message)?;
        let u_hash = message.u_hash(&ctx2);
        if let Lock::Surveyed(seen) | Lock::Revealed(seen) = self.lock(slot)? {
            return if seen.u_hash == u_hash {
                Ok(None)
            } else {
                Err(second(slot, "survivor set", seen.u_hash, u_hash))
            };
        }
        let own_digest = self.lock(slot)?.digest();
        for header in &message.headers {
            if header.member == self.me.index {
                if own_digest != Some(header.digest) {
                    return Err(RelayFault::OwnContributionAltered { slot }.into());
                }
            } else {
                header.verify(&self.me.members)?;
            }
        }
        let fast = survivors.len() == cohort.len();
        let surveyed = Surveyed {
            place: InCohort { ctx_hash, ctx2, cohort },
            survivors,
            u_hash,
        };
        self.slots[usize::from(slot)].lock = Lock::Surveyed(surveyed);
        if fast {
            return Ok(Some(Answer::Reveal(self.reveal(slot)?)));
        }
        let vote = Vote {
            epoch_id: self.epoch_id,
            slot,
            member: self.me.index,
            u_hash,
            signature: UNSIGNED,
        };
        Ok(Some(Answer::Vote(vote.signed(&self.me.key))))
    }

    /// Reveals once at least t members voted for the survivor set that this slot is locked to.
    pub fn certificate(&mut self, slot: u16, certificate: &Certificate) -> Result<Option<Reveal>, Abort> {
        let lock = self.lock(slot)?;
        let (seen, again) = match lock {
            Lock::Surveyed(seen) => (seen, false),
            Lock::Revealed(seen) => (seen, true),
            Lock::Erased => return Err(RelayFault::Erased { slot }.into()),
            other => return Err(other.wrong_phase(slot, "locked to a survivor set")),
        };
        certificate.check(&self.me.members, &self.epoch_id, slot, &seen.u_hash)?;
        if again { Ok(None) } else { self.reveal(slot).map(Some) }
    }

    /// Wipes a slot, after its result, its deadline, or because it was skipped.
    pub fn erase(&mut self, slot: u16) -> Result<(), Abort> {
        self.lock(slot)?;
        self.slots[usize::from(slot)] = Slot {
            lock: Lock::Erased,
            secrets: None,
        };
        Ok(())
    }

    fn lock(&self, slot: u16) -> Result<&Lock, Abort> {
        let slots = self.slots();
        let found = self.slots.get(usize::from(slot));
        Ok(&found.ok_or(Usage::SlotOutOfRange { slots, found: slot })?.lock)
    }

    fn secrets(&self, slot: u16) -> Result<&SlotSecrets, Abort> {
        let secrets = self.slots.get(usize::from(slot)).and_then(|s| s.secrets.as_ref());
        Ok(secrets.ok_or(RelayFault::Erased { slot })?)
    }
}

fn second(slot: u16, what: &'static str, expected: Digest, found: Digest) -> Abort {
    RelayFault::SecondValue {
        slot,
        what,
        expected,
        found,
    }
    .into()
}
