//! Step 1: fresh keys, announced under the roster's signature key ([BIK+17] round 0, AdvertiseKeys).

use std::sync::Arc;

use super::hellos::{HelloSet, check_slots};
use super::pairing::Pairing;
use super::{Me, same};
use crate::abort::{Abort, Usage};
use crate::entropy::{Entropy, draw};
use crate::kem::KeySeed;
use crate::members::Members;
use crate::message::{Hello, PairCts, Signed, UNSIGNED};
use crate::sign::SigningKey;

/// Said hello; waits for everyone's.
pub struct Greeting {
    me: Me,
    seed: KeySeed,
    hello: Hello,
}

impl Greeting {
    /// Draws the epoch's keys.
    pub fn start(
        members: Arc<Members>,
        me: &str,
        key: Arc<SigningKey>,
        slots: u16,
        entropy: &mut dyn Entropy,
    ) -> Result<(Self, Hello), Abort> {
        check_slots(slots)?;
        let index = members.index(me).ok_or_else(|| Usage::NotAMember { id: me.into() })?;
        if let Some(expected) = members.key(index)
            && *expected != key.verifying_key()
        {
            return Err(Usage::WrongSigningKey {
                id: me.into(),
                expected: *expected,
                found: key.verifying_key(),
            }
            .into());
        }
        let seed = KeySeed::draw(entropy);
        let (x25519, mlkem) = seed.public();
        let hello = Hello {
            members: members.digest(),
            member: index,
            slots,
            nonce: *draw::<32>(entropy),
            x25519,
            mlkem,
            signature: UNSIGNED,
        }
        .signed(&key);
        let me = Me { members, index, key };
        Ok((
            Self {
                me,
                seed,
                hello: hello.clone(),
            },
            hello,
        ))
    }

    /// Takes all n Hellos, own included, and answers with a ciphertext for every member of higher index. Encapsulation
    /// randomness was drawn with the keys, so that a dispute can repeat it.
    pub fn receive(self, hellos: Vec<Hello>) -> Result<(Pairing, PairCts), Abort> {
        let hellos = HelloSet::check(&self.me.members, self.hello.slots, hellos)?;
        same("own hello", self.hello.digest(), *hellos.digest_of(self.me.index))?;
        Pairing::start(self.me, self.seed, Arc::new(hellos))
    }
}
