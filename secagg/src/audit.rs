//! Replaying a sum. The adder spools masked vectors and reveals until the audit window closes; the member drawn from the sum
//! and its reveals may fetch them and repeat the addition. Costs what the adder's round cost.

use std::sync::Arc;

use crate::abort::{Abort, RelayFault, Usage};
use crate::adder::{EpochBook, Gather, Opening, Why};
use crate::codec::Message;
use crate::digest::{Digest, DigestWriter};
use crate::member::check_minimum;
use crate::message::{EdgeReveal, Reveal, Survivors};
use crate::ring::RingVec;

/// The member that may audit: nobody chooses it, since it depends on the sum and on what members revealed.
pub fn auditor(n: usize, sum: &Digest, reveals: &[Reveal]) -> u16 {
    let mut writer = DigestWriter::new("sottovoce/secagg/v1/auditor");
    writer.count(1 + reveals.len());
    writer.part(&sum.0);
    reveals.iter().for_each(|reveal| writer.part(&reveal.encode()));
    let digest = writer.finish().0;
    let drawn = digest[..16]
        .iter()
        .fold(0u128, |acc, byte| acc << 8 | u128::from(*byte));
    (drawn % n.max(1) as u128) as u16 + 1 // bias below 2^-100
}

/// The digest that the sum of these vectors and reveals has. `ys` are in the order of the survivors' headers.
pub fn replay(
    book: Arc<EpochBook>,
    s_min: usize,
    survivors: &Survivors,
    ys: impl IntoIterator<Item = RingVec>,
    reveals: impl IntoIterator<Item = Reveal>,
    edges: impl IntoIterator<Item = EdgeReveal>,
) -> Result<Digest, Abort> {
    check_minimum(book.members(), s_min)?;
    let ctx_hash = survivors
        .accepts
        .first()
        .map(|accept| accept.ctx_hash)
        .ok_or(RelayFault::BelowMinimum {
            what: "cohort",
            expected: s_min,
            found: 0,
        })?;
    let mut gather = Gather::open(book, survivors.slot, ctx_hash, s_min)?;
    for accept in &survivors.accepts {
        gather.accept(accept.clone())?;
    }
    let mut ys = ys.into_iter();
    let incomplete = |found| RelayFault::Incomplete {
        what: "spooled vectors",
        expected: survivors.headers.len(),
        found,
    };
    let first = ys.next().ok_or_else(|| incomplete(0))?;
    let (mut collect, _) = gather.close(first.ring(), first.dim())?;
    let mut ys = std::iter::once(first).chain(ys);
    for (found, header) in survivors.headers.iter().enumerate() {
        collect.add(header.clone(), ys.next().ok_or_else(|| incomplete(found))?)?;
    }
    let (_, opening) = collect.close()?;
    // Whether members had agreed is theirs to enforce; a replay asks only whether the numbers follow.
    let mut unmasking = match opening {
        Opening::Fast(unmasking) => unmasking,
        Opening::Slow(voting) => voting.skip(),
    };
    for reveal in reveals {
        unmasking.reveal(reveal)?;
    }
    for edge in edges {
        unmasking.edges(edge)?;
    }
    match unmasking.unmask() {
        Ok(sum) => Ok(sum.digest()),
        Err(stuck) => Err(match stuck.why {
            Why::Reveals { expected, found } => Usage::TooFew {
                what: "reveals",
                expected,
                found,
            }
            .into(),
            Why::Paths { holders } => RelayFault::Incomplete {
                what: "true shares",
                expected: 0,
                found: holders.len(),
            }
            .into(),
            Why::Edges { dropped, .. } => RelayFault::Incomplete {
                what: "edge reveals",
                expected: dropped.len(),
                found: 0,
            }
            .into(),
            Why::Dead(mut blames) => Abort::Member(Box::new(blames.remove(0))),
        }),
    }
}
