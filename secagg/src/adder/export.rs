//! A book on its way to an auditor. Everything in it is under signatures: importing checks it as the relay did, and the auditor
//! compares the roots with those it acknowledged itself ([`crate::Epoch::roots`]).

use std::sync::Arc;

use super::book::{Dealt, EpochBook, Hashed};
use crate::abort::{Abort, RelayFault};
use crate::codec::{Malformed, Message, Reader, Writer};
use crate::members::{MAX_MEMBERS, Members};
use crate::message::{Ack, BUNDLE_MAX, DealHead, Hello, MAX_SLOTS, PublicLeaf, Signed};
use crate::setup::{HelloSet, bundle_hash, edges_hash, roots_digest, same};

/// A book's content, unchecked.
struct Exported {
    hellos: Vec<Hello>,
    acks: Vec<Ack>,
    heads: Vec<DealHead>,
    dealt: Vec<Dealt>,
}

impl EpochBook {
    /// The book as bytes, about `n^2 * (96 + 48 * slots)` of them.
    pub fn export(&self) -> Vec<u8> {
        Exported {
            hellos: self.hellos.all().to_vec(),
            acks: self.acks.clone(),
            heads: self.heads.clone(),
            dealt: self.dealt.clone(),
        }
        .encode()
    }

    /// A book from bytes, with every signature, root and hash in it checked. An auditor demands besides that
    /// `book.roots() == epoch.roots()`.
    pub fn import(members: Arc<Members>, slots: u16, bytes: &[u8]) -> Result<Self, Abort> {
        let exported = Exported::decode(bytes)?;
        let hellos = HelloSet::check(&members, slots, exported.hellos)?;
        let n = members.n();
        let incomplete = |what, found| RelayFault::Incomplete {
            what,
            expected: n,
            found,
        };
        for (what, found) in [("deals", exported.heads.len()), ("acks", exported.acks.len())] {
            if found != n {
                return Err(incomplete(what, found).into());
            }
        }
        let roots: Vec<_> = exported.heads.iter().map(|head| (head.pair_root, head.root)).collect();
        let digest = roots_digest(&hellos.epoch_id(), &roots);
        for (ack, member) in exported.acks.iter().zip(1..) {
            hellos.belongs("epoch of ack", ack.epoch_id)?;
            same("acknowledged roots", digest, ack.digest)?;
            ack.verify(&members)?;
            if ack.member != member {
                return Err(RelayFault::Unsorted {
                    what: "acks",
                    member: ack.member,
                }
                .into());
            }
        }
        for ((head, dealt), member) in exported.heads.iter().zip(&exported.dealt).zip(1..) {
            hellos.belongs("epoch of deal", head.epoch_id)?;
            head.verify(&members)?;
            if head.member != member || !dealt.fits(n, usize::from(member), usize::from(slots)) {
                return Err(RelayFault::Unsorted {
                    what: "deals",
                    member: head.member,
                }
                .into());
            }
            same("root of deal", head.root, dealt.tree().root())?;
        }
        Ok(Self::new(
            members,
            Arc::new(hellos),
            exported.heads,
            exported.dealt,
            exported.acks,
        ))
    }
}

impl Dealt {
    fn fits(&self, n: usize, member: usize, slots: usize) -> bool {
        let lists = [&self.public.b, &self.public.w, &self.public.bundles];
        self.leaves.len() == n
            && lists.iter().all(|list| list.len() == slots)
            && self.bundles.len() == slots
            && self
                .bundles
                .iter()
                .zip(&self.public.bundles)
                .all(|(bundle, hash)| bundle_hash(bundle) == *hash)
            && self.edges.len() == n - member
            && self.edges.iter().all(|edges| edges.len() == slots)
            && self
                .edges
                .iter()
                .zip(&self.leaves[member..])
                .all(|(edges, leaf)| edges_hash(edges) == leaf.edges)
    }

    fn write(&self, out: &mut Writer) {
        self.public.write(out);
        out.count(self.bundles.len());
        self.bundles.iter().for_each(|bundle| out.bytes(bundle));
        out.count(self.leaves.len());
        for leaf in &self.leaves {
            [&leaf.sealed, &leaf.share_root, &leaf.edges]
                .iter()
                .for_each(|digest| out.digest(digest));
        }
        out.count(self.edges.len());
        self.edges.iter().for_each(|edges| out.digests(edges));
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        let public = PublicLeaf::read(input)?;
        let count = input.count(usize::from(MAX_SLOTS), 4)?;
        let bundles = (0..count).map(|_| input.bytes(BUNDLE_MAX)).collect::<Result<_, _>>()?;
        let count = input.count(MAX_MEMBERS, 96)?;
        let mut hashed = || {
            Ok(Hashed {
                sealed: input.digest()?,
                share_root: input.digest()?,
                edges: input.digest()?,
            })
        };
        let leaves = (0..count).map(|_| hashed()).collect::<Result<_, _>>()?;
        let count = input.count(MAX_MEMBERS, 4)?;
        let edges = (0..count)
            .map(|_| input.digests(usize::from(MAX_SLOTS)))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            public,
            bundles,
            leaves,
            edges,
        })
    }
}

impl Message for Exported {
    const NAME: &'static str = "epoch book";
    const TYPE: u8 = 28;

    fn write(&self, out: &mut Writer) {
        out.list(&self.hellos);
        out.list(&self.acks);
        out.list(&self.heads);
        self.dealt.iter().for_each(|dealt| dealt.write(out));
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (hellos, acks, heads) = (
            input.list(MAX_MEMBERS)?,
            input.list(MAX_MEMBERS)?,
            input.list::<DealHead>(MAX_MEMBERS)?,
        );
        let dealt = heads.iter().map(|_| Dealt::read(input)).collect::<Result<_, _>>()?;
        Ok(Self {
            hellos,
            acks,
            heads,
            dealt,
        })
    }
}
