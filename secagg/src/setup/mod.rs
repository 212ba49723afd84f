//! Setting an epoch up, as typestates: `Greeting -> Pairing -> Dealing -> Acking -> Epoch`. Each move consumes the last, so
//! no step can be taken twice or out of order, and a failure ends the attempt with its secrets wiped. One setup costs a
//! member per peer one X25519, half an ML-KEM each way, two Ed25519 verifications, and per slot and peer about 200 bytes.

mod acking;
mod dealing;
mod dispute;
mod greeting;
mod hellos;
mod pair;
mod pairing;

pub use acking::Acking;
pub use dealing::Dealing;
pub use dispute::{Dispute, Guilty};
pub use greeting::Greeting;
pub use hellos::HelloSet;
pub use pairing::Pairing;

pub(crate) use acking::roots_digest;
pub(crate) use dealing::{bundle_hash, edges_hash, leaf_digest, sealed_hash};
pub(crate) use pair::{Kind, bundle_aad, bundle_key, edge_hash, edge_sign, secret_hash, share_leaf};

use std::sync::Arc;

use crate::abort::{Abort, RelayFault};
use crate::members::Members;
use crate::sign::SigningKey;

/// Who is setting up.
pub(crate) struct Me {
    pub(crate) members: Arc<Members>,
    pub(crate) index: u16,
    pub(crate) key: Arc<SigningKey>,
}

/// Sorts messages and demands exactly those of `expected`.
pub(crate) fn one_of_each<M>(
    what: &'static str,
    mut messages: Vec<M>,
    member: impl Fn(&M) -> u16,
    expected: impl Iterator<Item = u16>,
) -> Result<Vec<M>, Abort> {
    messages.sort_by_key(&member);
    let expected: Vec<u16> = expected.collect();
    if messages.len() != expected.len() {
        return Err(RelayFault::Incomplete {
            what,
            expected: expected.len(),
            found: messages.len(),
        }
        .into());
    }
    for (message, index) in messages.iter().zip(expected) {
        if member(message) != index {
            return Err(RelayFault::Unsorted {
                what,
                member: member(message),
            }
            .into());
        }
    }
    Ok(messages)
}

/// Checks that a message belongs to this epoch.
pub(crate) fn same(what: &'static str, expected: crate::Digest, found: crate::Digest) -> Result<(), Abort> {
    if expected == found {
        Ok(())
    } else {
        Err(RelayFault::Mismatch { what, expected, found }.into())
    }
}
