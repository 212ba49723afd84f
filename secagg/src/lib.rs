//! Secure aggregation: masks that cancel. n members each hold a vector of integers; a coordinator, whom nobody trusts with
//! anything but delivery, learns the sum over those that survive a round and nothing else about any of them.
//!
//! Lineage: \[BIK+17\] Bonawitz et al., Practical Secure Aggregation (pairwise masks, self masks, Shamir shares, consistency
//! check); \[Flamingo\] Ma et al. 2023 (set up once, many rounds). `proofs/` argues each departure; `vectors/` publishes
//! end-to-end test vectors. `tests/speed.rs` prints what it costs.
//!
//! # Parameters
//! `c >= 1` colluding members are tolerated, fixed in the signed roster; `n >= c + 2`, `n >= 3`;
//! `t = floor((n + c) / 2) + 1` over **all** epoch members, whatever the cohort; `t <= s_min <= n`. An epoch has B slots and a
//! round burns one.
//!
//! # Setup, once an epoch (`setup`; the relay is [`adder::Relay`])
//! | ours | the paper's | what happens |
//! |---|---|---|
//! | `Greeting` -> [`Hello`] | \[BIK+17\] round 0, AdvertiseKeys | fresh X25519 and ML-KEM-768 keys, signed; `epoch_id = H(all Hellos)` |
//! | `Pairing` -> [`PairCts`] | - | `K_ij = HKDF(X25519, ML-KEM)`; from it box keys and edge seeds `r_ij[s]`; `K_ij` is erased |
//! | `Dealing` -> [`Deal`] | round 1, ShareKeys | per slot `b_i[s]`, `w_i[s]`, shared with all n; `sealed_i[s] = AEAD_w(r_i1[s] .. r_in[s])`; hashes in clear |
//! | `Acking` -> [`Ack`] | round 3, ConsistencyCheck, for setup | live once all n say they verified the same roots |
//!
//! # A round in slot s ([`Epoch`] at a member; `adder::{Gather, Collect, Voting, Unmasking}`)
//! | ours | the paper's | what happens |
//! |---|---|---|
//! | [`Accept`] | - | the slot is locked to `ctx_hash`, which the engine makes of all that the round is about |
//! | [`Cohort`] = C | the set U1 | locked to `ctx2 = H(epoch, s, ctx_hash, C)` |
//! | [`Masked`] | round 2, MaskedInputCollection | `y_i = x_i + PRG(b_i) + sum_{j>i} PRG(r_ij) - sum_{j<i} PRG(r_ij)`, j in C, each PRG keyed with ctx2 |
//! | [`Survivors`] = U | U3 | every epoch member checks every signature and locks to `u_hash = H(ctx2, U, digests)` |
//! | [`Vote`], [`Certificate`] | round 3, ConsistencyCheck | t equal votes; skipped if U = C, since then nobody's `w` is opened |
//! | [`Reveal`] | round 4, Unmasking | of each j in C one share: of `b_j` if j in U, of `w_j` if not; never both |
//! | [`adder::Sum`] | | t shares open each secret, each is checked against its hash, all masks are stripped |
//! | [`audit`] | - | a member drawn by the reveals may replay the sum from the spool |
//!
//! # Departures
//! - `w_i` opens sealed edge seeds where the papers open a shared DH key: `proofs/wrapping-keys.md`.
//! - One t for shares and votes, over all members, and votes before any opening of a dropped member:
//!   `proofs/votes-and-threshold.md`.
//! - Deals are Merkle trees, so that traffic is O(n) a member: `proofs/merkle-deal.md`.
//! - A disputed deal is judged from the accuser's ephemeral keys, since the epoch is void: `proofs/disputes.md`.
//!
//! # Deliberately absent
//! Clocks, sockets, files, roles beyond member and adder, certificates (the caller hands in keys it has checked), noise
//! (vectors come in as they are to be summed), any proof that a vector is honest, and the k-regular graph for cohorts beyond
//! [`MAX_MEMBERS`]. Secrets have no `Debug`, no encoding, and are wiped when dropped; a restart leaves the epoch.

#![forbid(unsafe_code)]

pub mod adder;
pub mod audit;
pub mod mask;
pub mod setup;

mod abort;
mod blame;
mod codec;
mod digest;
mod entropy;
mod kem;
mod member;
mod members;
mod merkle;
mod message;
mod ring;
mod seal;
mod shamir;
mod sign;
#[cfg(test)]
mod testing;

pub use abort::{Abort, MemberFault, RelayFault, Usage};
pub use blame::Blame;
pub use codec::{Malformed, Message, VERSION};
pub use digest::Digest;
pub use entropy::{Entropy, OsEntropy};
pub use mask::{Seed, Sign};
pub use member::{Answer, Epoch, Exclusion, Masked};
pub use members::{MAX_ID_BYTES, MAX_MEMBERS, Members, MembersError};
pub use message::{
    Accept, Ack, BundleProof, Certificate, Cohort, Deal, DealHead, DealPart, EdgeReveal, EdgesProof, Hello, Leaf,
    LeafProof, MAX_SLOTS, MaskedHeader, PairCts, PairHead, PairPart, PublicLeaf, PublicProof, Receipt, Reveal,
    RootsProof, SharePaths, Survivors, Vote,
};
pub use ring::{Ring, RingVec};
pub use sign::{Signature, SigningKey, VerifyingKey};
