//! Messages that agree on pair keys. Whole messages go from a member to the relay; a `PairPart` is what each recipient gets:
//! its own ciphertext, the path to the root, and the sender's signature over the root.

use super::{Signed, signed};
use crate::codec::{Malformed, Message, Reader, Writer};
use crate::digest::Digest;
use crate::kem::{CT_BYTES, EK_BYTES};
use crate::members::MAX_MEMBERS;
use crate::merkle::MAX_PATH;
use crate::sign::Signature;

/// Step 1: fresh keys for one epoch, under the roster's signature key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// [`crate::Members::digest`]: the list, its roster and c.
    pub members: Digest,
    /// Sender's index.
    pub member: u16,
    /// Slots the epoch has.
    pub slots: u16,
    /// Makes the epoch id fresh.
    pub nonce: [u8; 32],
    /// X25519 public key.
    pub x25519: [u8; 32],
    /// ML-KEM-768 encapsulation key.
    pub mlkem: Box<[u8; EK_BYTES]>,
    /// Over all of the above.
    pub signature: Signature,
}

impl Hello {
    /// Hash of the whole message; the epoch id is made of these.
    pub fn digest(&self) -> Digest {
        Digest::of("sottovoce/secagg/v1/hello-hash", &[&self.encode()])
    }
}

/// What is signed of a member's ciphertexts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairHead {
    /// The epoch.
    pub epoch_id: Digest,
    /// Sender's index.
    pub member: u16,
    /// Root over one leaf per member.
    pub root: Digest,
    /// Over all of the above.
    pub signature: Signature,
}

/// Step 2, to the relay: a ciphertext for every member with a higher index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairCts {
    /// The signed root.
    pub head: PairHead,
    /// Ciphertexts for members `head.member + 1 ..= n`.
    pub cts: Vec<Box<[u8; CT_BYTES]>>,
}

/// Step 2, to one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairPart {
    /// The signed root.
    pub head: PairHead,
    /// The recipient's ciphertext.
    pub ct: Box<[u8; CT_BYTES]>,
    /// From its leaf to the root.
    pub path: Vec<Digest>,
}

impl Message for Hello {
    const NAME: &'static str = "hello";
    const TYPE: u8 = 1;

    fn write(&self, out: &mut Writer) {
        out.raw(&self.covered());
        out.signature(&self.signature);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            members: input.digest()?,
            member: input.u16()?,
            slots: input.u16()?,
            nonce: input.array()?,
            x25519: input.array()?,
            mlkem: Box::new(input.array()?),
            signature: input.signature()?,
        })
    }
}

impl Message for PairHead {
    const NAME: &'static str = "pair head";
    const TYPE: u8 = 2;

    fn write(&self, out: &mut Writer) {
        out.raw(&self.covered());
        out.signature(&self.signature);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            epoch_id: input.digest()?,
            member: input.u16()?,
            root: input.digest()?,
            signature: input.signature()?,
        })
    }
}

impl Message for PairCts {
    const NAME: &'static str = "pair ciphertexts";
    const TYPE: u8 = 3;

    fn write(&self, out: &mut Writer) {
        self.head.write(out);
        out.count(self.cts.len());
        self.cts.iter().for_each(|ct| out.raw(&ct[..]));
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        let head = PairHead::read(input)?;
        let count = input.count(MAX_MEMBERS, CT_BYTES)?;
        let cts = (0..count)
            .map(|_| Ok(Box::new(input.array()?)))
            .collect::<Result<_, _>>()?;
        Ok(Self { head, cts })
    }
}

impl Message for PairPart {
    const NAME: &'static str = "pair part";
    const TYPE: u8 = 4;

    fn write(&self, out: &mut Writer) {
        self.head.write(out);
        out.raw(&self.ct[..]);
        out.digests(&self.path);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            head: PairHead::read(input)?,
            ct: Box::new(input.array()?),
            path: input.digests(MAX_PATH)?,
        })
    }
}

signed!(Hello, "hello", "sottovoce/secagg/v1/hello", |m, out| {
    out.digest(&m.members);
    out.u16(m.member);
    out.u16(m.slots);
    out.raw(&m.nonce);
    out.raw(&m.x25519);
    out.raw(&m.mlkem[..]);
});

signed!(PairHead, "pair ciphertexts", "sottovoce/secagg/v1/pair", |m, out| {
    out.digest(&m.epoch_id);
    out.u16(m.member);
    out.digest(&m.root);
});
