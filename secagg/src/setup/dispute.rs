//! A part that does not hold ends the attempt. The accuser opens its own ephemeral keys: they protect nothing, since an epoch
//! whose setup failed is void and never masked a vector. From them anybody repeats the accuser's derivation and sees who
//! lied, so a false accusation convicts the accuser.

use std::fmt;

use super::dealing::open_leaf;
use super::hellos::HelloSet;
use super::pair::{PairKeys, pair_key};
use super::{Me, same};
use crate::abort::{Abort, Usage};
use crate::codec::{Malformed, Message, Reader, Writer};
use crate::digest::Digest;
use crate::kem::{KeySeed, SEED_BYTES};
use crate::members::Members;
use crate::message::{DealPart, PairPart, Signed, UNSIGNED};
use crate::sign::Signature;

/// One member's case against another's deal.
#[derive(Clone, PartialEq, Eq)]
pub struct Dispute {
    /// The void epoch.
    pub epoch_id: Digest,
    /// Who accuses.
    pub accuser: u16,
    /// Whose deal does not hold.
    pub accused: u16,
    /// The accuser's ephemeral keys.
    pub seed: [u8; SEED_BYTES],
    /// The part in question, signed by the accused.
    pub part: DealPart,
    /// The accuser's, over all of the above.
    pub signature: Signature,
}

/// Who lied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guilty {
    /// The part does not hold.
    Accused,
    /// The part holds, or the keys shown are not the accuser's.
    Accuser,
}

impl Dispute {
    pub(super) fn accuse(me: &Me, hellos: &HelloSet, part: DealPart, seed: &KeySeed) -> Self {
        Self {
            epoch_id: hellos.epoch_id(),
            accuser: me.index,
            accused: part.head.member,
            seed: seed.to_bytes(),
            part,
            signature: UNSIGNED,
        }
        .signed(&me.key)
    }

    /// Decides. `pair` is the ciphertext part that the lower of the two sent the higher, as relayed under its signature.
    pub fn judge(&self, members: &Members, hellos: &HelloSet, pair: &PairPart) -> Result<Guilty, Abort> {
        same("epoch of dispute", hellos.epoch_id(), self.epoch_id)?;
        self.verify(members)?;
        let (low, high) = (self.accuser.min(self.accused), self.accuser.max(self.accused));
        if members.key(low).is_none()
            || members.key(high).is_none()
            || low == high
            || self.part.head.member != self.accused
        {
            return Ok(Guilty::Accuser);
        }
        if pair.head.member != low {
            return Err(Usage::TooFew {
                what: "ciphertext parts of the pair",
                expected: 1,
                found: 0,
            }
            .into());
        }
        pair.check(members, hellos, high)?;
        if self.part.check(members, hellos, self.accuser).is_err() {
            return Ok(Guilty::Accuser); // an honest accuser would have stopped there, with the relay at fault
        }
        let seed = KeySeed::from_bytes(&self.seed);
        let own = hellos.of(self.accuser);
        let (x25519, mlkem) = seed.public();
        if own.x25519 != x25519 || own.mlkem != mlkem {
            return Ok(Guilty::Accuser);
        }
        let keys = seed.open();
        let other = hellos.of(self.accused);
        let Some(dh) = keys.agree(&other.x25519) else {
            return Ok(Guilty::Accused);
        };
        let secret = if self.accuser == low {
            let (ct, secret) = seed.encapsulate(high, &other.mlkem);
            if ct != pair.ct {
                return Ok(Guilty::Accuser);
            }
            secret
        } else {
            keys.decapsulate(&pair.ct)
        };
        let prk = pair_key(members, hellos, (low, high), &pair.ct, &dh, &secret);
        let derived = PairKeys::derive(&prk, self.accuser, self.accused, hellos.slots());
        let opened = open_leaf(
            &self.epoch_id,
            self.accused,
            self.accuser,
            &self.part.leaf,
            &derived.incoming,
            &derived.edges,
        );
        Ok(if opened.is_some() {
            Guilty::Accuser
        } else {
            Guilty::Accused
        })
    }
}

impl Signed for Dispute {
    const WHAT: &'static str = "dispute";
    const DOMAIN: &'static str = "sottovoce/secagg/v1/dispute";

    fn member(&self) -> u16 {
        self.accuser
    }

    fn covered(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.digest(&self.epoch_id);
        out.u16(self.accuser);
        out.u16(self.accused);
        out.raw(&self.seed);
        self.part.write(&mut out);
        out.into_bytes()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn signature_mut(&mut self) -> &mut Signature {
        &mut self.signature
    }
}

impl Message for Dispute {
    const NAME: &'static str = "dispute";
    const TYPE: u8 = 11;

    fn write(&self, out: &mut Writer) {
        out.raw(&self.covered());
        out.signature(&self.signature);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            epoch_id: input.digest()?,
            accuser: input.u16()?,
            accused: input.u16()?,
            seed: input.array()?,
            part: DealPart::read(input)?,
            signature: input.signature()?,
        })
    }
}

impl fmt::Debug for Dispute {
    /// The seed is worthless by now, but keys do not print.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dispute {{ accuser: {}, accused: {} }}", self.accuser, self.accused)
    }
}
