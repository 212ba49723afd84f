//! Secure aggregation: masks that cancel.

pub mod adder;
pub mod audit;
pub mod mask;
pub mod setup;

mod abort;
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

pub use abort::{Abort, Blame, MemberFault, RelayFault, Usage};
pub use codec::{Malformed, Message, VERSION};
pub use digest::Digest;
pub use entropy::{Entropy, OsEntropy};
pub use mask::{Seed, Sign};
pub use member::{Answer, Epoch, Exclusion, Masked};
pub use members::{MAX_ID_BYTES, MAX_MEMBERS, Members, MembersError};
pub use message::{
    Accept, Ack, Certificate, Cohort, Deal, DealHead, DealPart, EdgeReveal, Hello, Leaf, LeafProof, MAX_SLOTS,
    MaskedHeader, PairCts, PairHead, PairPart, PublicLeaf, Receipt, Reveal, SharePaths, Survivors, Vote,
};
pub use ring::{Ring, RingVec};
pub use sign::{Signature, SigningKey, VerifyingKey};
