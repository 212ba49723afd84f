//! Messages that deal the slots' secrets. A `DealPart` is one recipient's leaf of a `Deal`, so a member's traffic is O(n),
//! where sending every deal to everyone would be O(n^2).

use super::{MAX_SLOTS, Signed, signed};
use crate::codec::{Malformed, Message, Reader, Writer};
use crate::digest::Digest;
use crate::members::MAX_MEMBERS;
use crate::merkle::MAX_PATH;
use crate::seal::TAG_BYTES;
use crate::sign::Signature;

const BOX_MAX: usize = 64 * MAX_SLOTS as usize + TAG_BYTES;
pub(crate) const BUNDLE_MAX: usize = 32 * MAX_MEMBERS + TAG_BYTES;

/// What is signed of a member's deal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DealHead {
    /// The epoch.
    pub epoch_id: Digest,
    /// Sender's index.
    pub member: u16,
    /// The root of its [`PairHead`], so that acknowledgements cover it for those who got no ciphertext too.
    pub pair_root: Digest,
    /// Root over the n recipients' leaves and the public leaf.
    pub root: Digest,
    /// Over all of the above.
    pub signature: Signature,
}

/// What a dealer has for one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// AEAD box: for each slot the share of b and the share of w. Empty in the dealer's own leaf.
    pub sealed: Vec<u8>,
    /// Merkle root over the member's shares; what it reveals later must lie under it.
    pub share_root: Digest,
    /// For each slot the hash of the edge seed. Empty in the dealer's own leaf.
    pub edges: Vec<Digest>,
}

/// What a dealer commits to before everybody, by slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicLeaf {
    /// Hashes of b.
    pub b: Vec<Digest>,
    /// Hashes of w.
    pub w: Vec<Digest>,
    /// Hashes of the sealed bundles.
    pub bundles: Vec<Digest>,
}

/// Step 3, to the relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deal {
    /// The signed root.
    pub head: DealHead,
    /// One leaf per member, in order of index.
    pub leaves: Vec<Leaf>,
    /// The public leaf, last in the tree.
    pub public: PublicLeaf,
    /// For each slot the edge seeds sealed under w.
    pub bundles: Vec<Vec<u8>>,
}

/// Step 3, to one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DealPart {
    /// The signed root.
    pub head: DealHead,
    /// The recipient's leaf.
    pub leaf: Leaf,
    /// From its leaf to the root.
    pub path: Vec<Digest>,
}

/// Step 4: everything arrived and held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The epoch.
    pub epoch_id: Digest,
    /// Sender's index.
    pub member: u16,
    /// Hash over all pair roots and deal roots.
    pub digest: Digest,
    /// Over all of the above.
    pub signature: Signature,
}

impl Message for DealHead {
    const NAME: &'static str = "deal head";
    const TYPE: u8 = 5;

    fn write(&self, out: &mut Writer) {
        out.raw(&self.covered());
        out.signature(&self.signature);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            epoch_id: input.digest()?,
            member: input.u16()?,
            pair_root: input.digest()?,
            root: input.digest()?,
            signature: input.signature()?,
        })
    }
}

impl Message for Leaf {
    const NAME: &'static str = "deal leaf";
    const TYPE: u8 = 6;

    fn write(&self, out: &mut Writer) {
        out.bytes(&self.sealed);
        out.digest(&self.share_root);
        out.digests(&self.edges);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            sealed: input.bytes(BOX_MAX)?,
            share_root: input.digest()?,
            edges: input.digests(usize::from(MAX_SLOTS))?,
        })
    }
}

impl Message for PublicLeaf {
    const NAME: &'static str = "public leaf";
    const TYPE: u8 = 7;

    fn write(&self, out: &mut Writer) {
        out.digests(&self.b);
        out.digests(&self.w);
        out.digests(&self.bundles);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            b: input.digests(usize::from(MAX_SLOTS))?,
            w: input.digests(usize::from(MAX_SLOTS))?,
            bundles: input.digests(usize::from(MAX_SLOTS))?,
        })
    }
}

impl Message for Deal {
    const NAME: &'static str = "deal";
    const TYPE: u8 = 8;

    fn write(&self, out: &mut Writer) {
        self.head.write(out);
        out.list(&self.leaves);
        self.public.write(out);
        out.count(self.bundles.len());
        self.bundles.iter().for_each(|bundle| out.bytes(bundle));
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        let head = DealHead::read(input)?;
        let leaves = input.list(MAX_MEMBERS)?;
        let public = PublicLeaf::read(input)?;
        let count = input.count(usize::from(MAX_SLOTS), 4)?;
        let bundles = (0..count).map(|_| input.bytes(BUNDLE_MAX)).collect::<Result<_, _>>()?;
        Ok(Self {
            head,
            leaves,
            public,
            bundles,
        })
    }
}

impl Message for DealPart {
    const NAME: &'static str = "deal part";
    const TYPE: u8 = 9;

    fn write(&self, out: &mut Writer) {
        self.head.write(out);
        self.leaf.write(out);
        out.digests(&self.path);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            head: DealHead::read(input)?,
            leaf: Leaf::read(input)?,
            path: input.digests(MAX_PATH)?,
        })
    }
}

impl Message for Ack {
    const NAME: &'static str = "ack";
    const TYPE: u8 = 10;

    fn write(&self, out: &mut Writer) {
        out.raw(&self.covered());
        out.signature(&self.signature);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            epoch_id: input.digest()?,
            member: input.u16()?,
            digest: input.digest()?,
            signature: input.signature()?,
        })
    }
}

signed!(DealHead, "deal", "sottovoce/secagg/v1/deal", |m, out| {
    out.digest(&m.epoch_id);
    out.u16(m.member);
    out.digest(&m.pair_root);
    out.digest(&m.root);
});

signed!(Ack, "ack", "sottovoce/secagg/v1/ack", |m, out| {
    out.digest(&m.epoch_id);
    out.u16(m.member);
    out.digest(&m.digest);
});
