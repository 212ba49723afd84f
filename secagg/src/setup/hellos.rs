//! All Hellos of an epoch, checked as a set: this is where keys slipped in by a relay, members counted twice and truncated
//! lists are noticed. Costs one Ed25519 verification a member.

use std::collections::BTreeMap;

use super::{one_of_each, same};
use crate::abort::{Abort, MemberFault, RelayFault, Usage};
use crate::digest::{Digest, DigestWriter};
use crate::kem::valid_ek;
use crate::members::Members;
use crate::message::{Hello, MAX_SLOTS, Signed};

/// The n Hellos of an epoch, valid together.
pub struct HelloSet {
    hellos: Vec<Hello>,
    digests: Vec<Digest>,
    epoch_id: Digest,
}

impl HelloSet {
    /// Demands one Hello of every member, under its roster key, for the same members and number of slots, with usable keys
    /// that nobody repeats.
    pub fn check(members: &Members, slots: u16, hellos: Vec<Hello>) -> Result<Self, Abort> {
        check_slots(slots)?;
        let hellos = one_of_each("hellos", hellos, |h| h.member, members.indices())?;
        let mut x25519 = BTreeMap::new();
        let mut mlkem = BTreeMap::new();
        for hello in &hellos {
            hello.verify(members)?;
            // Who was told what is the relay's doing, so a Hello for other members or slots convicts nobody else.
            same("members of hello", members.digest(), hello.members)?;
            if hello.slots != slots {
                return Err(RelayFault::OtherSlots {
                    expected: slots,
                    found: hello.slots,
                }
                .into());
            }
            if !valid_ek(&hello.mlkem) {
                return Err(Abort::blame(hello.member, MemberFault::BadKey, &[hello]));
            }
            let earlier = x25519
                .insert(hello.x25519, hello)
                .or(mlkem.insert(&hello.mlkem[..], hello));
            if let Some(earlier) = earlier {
                let fault = MemberFault::RepeatedKey { of: earlier.member };
                return Err(Abort::blame(hello.member, fault, &[earlier, hello]));
            }
        }
        let digests: Vec<Digest> = hellos.iter().map(Hello::digest).collect();
        let mut writer = DigestWriter::new("sottovoce/secagg/v1/epoch");
        writer.count(1 + digests.len());
        writer.part(&members.digest().0);
        digests.iter().for_each(|digest| writer.part(&digest.0));
        Ok(Self {
            epoch_id: writer.finish(),
            digests,
            hellos,
        })
    }

    /// `epoch_id = H(members, all Hellos)`.
    pub fn epoch_id(&self) -> Digest {
        self.epoch_id
    }

    /// Slots the epoch has.
    pub fn slots(&self) -> u16 {
        self.hellos[0].slots // a set has at least three
    }

    pub(crate) fn all(&self) -> &[Hello] {
        &self.hellos
    }

    pub(crate) fn of(&self, member: u16) -> &Hello {
        &self.hellos[usize::from(member) - 1]
    }

    pub(crate) fn digest_of(&self, member: u16) -> &Digest {
        &self.digests[usize::from(member) - 1]
    }

    pub(crate) fn belongs(&self, what: &'static str, epoch_id: Digest) -> Result<(), Abort> {
        same(what, self.epoch_id, epoch_id)
    }
}

pub(crate) fn check_slots(slots: u16) -> Result<(), Abort> {
    if (1..=MAX_SLOTS).contains(&slots) {
        Ok(())
    } else {
        Err(Usage::SlotCount {
            most: MAX_SLOTS,
            found: slots,
        }
        .into())
    }
}
