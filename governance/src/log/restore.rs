//! The log again, and what it tells of, from participants' mirrors after the coordinator lost everything.
//!
//! Leaves name acts and rosters by their hashes alone; every participant holds those that it heard. So one mirror is the log, and several
//! together are what people decided, in the order of the log's leaves. What was heard and is in no leaf, since the coordinator was lost
//! before its next checkpoint, comes after them, in the order in which each participant heard it.
//!
//! Costs a signature's verification a leaf and mirror, and one an act.

use std::collections::{BTreeMap, BTreeSet};

use super::event::{Event, Kind, Role, SignedEvent};
use super::mirror::{Mirror, MirrorError};
use super::note::NoteKey;
use crate::{ContentHash, Register, Roster, SignedAct, SignedRoster, VerifyingKey};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    #[error("no mirror was given")]
    Nothing,
    #[error("mirror {place}: {error}")]
    Mirror { place: usize, error: MirrorError },
    #[error("mirror {place} contradicts another one: the coordinator signed two logs")]
    Contradiction { place: usize },
}

/// Something that the log names, or a participant heard, of which no mirror has what was signed, or that does not stand without what is
/// missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Its leaf; none: of what is in no leaf.
    pub index: Option<u64>,
    pub hash: ContentHash,
    pub what: String,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Of the longest mirror.
    pub leaves: Vec<String>,
    /// In the order in which the log names them first.
    pub rosters: Vec<SignedRoster>,
    /// In the order in which they were taken, with when, in milliseconds since 1970.
    pub acts: Vec<(SignedAct, u64)>,
    pub missing: Vec<Missing>,
}

/// Brings mirrors together. They are numbered from 0, as they are given; each must verify, and none may contradict another. `own` is the
/// roster that the coordinator has beside its store.
pub fn restore(
    mirrors: Vec<Mirror>,
    log: &NoteKey,
    governance: &VerifyingKey,
    own: &SignedRoster,
) -> Result<Restored, RestoreError> {
    let mut longest: Option<usize> = None;
    for (place, mirror) in mirrors.iter().enumerate() {
        let verified = mirror.verify(log);
        verified.map_err(|error| RestoreError::Mirror { place, error })?;
        let held = longest.map(|longest| &mirrors[longest].leaves);
        if let Some(held) = held {
            let common = held.len().min(mirror.leaves.len());
            if held[..common] != mirror.leaves[..common] {
                return Err(RestoreError::Contradiction { place });
            }
        }
        if held.is_none_or(|held| held.len() < mirror.leaves.len()) {
            longest = Some(place);
        }
    }
    let longest = longest.ok_or(RestoreError::Nothing)?;
    let mut heard = Heard::default();
    heard.rosters(std::slice::from_ref(own), governance);
    for mirror in &mirrors {
        heard.rosters(&mirror.rosters, governance);
    }
    for mirror in &mirrors {
        heard.acts(&mirror.acts, governance);
    }
    let leaves = mirrors.into_iter().nth(longest).map(|mirror| mirror.leaves);
    Ok(heard.ordered(leaves.unwrap_or_default()))
}

/// What the mirrors hold beside leaves.
#[derive(Default)]
struct Heard {
    rosters: BTreeMap<ContentHash, (SignedRoster, Roster)>,
    /// As their signers signed them.
    acts: BTreeMap<ContentHash, SignedAct>,
    /// Acts of which some copy is not what its signer signed.
    doubtful: BTreeSet<ContentHash>,
    /// Each participant's acts in the order in which it heard them.
    lists: Vec<Vec<ContentHash>>,
}

impl Heard {
    fn rosters(&mut self, rosters: &[SignedRoster], governance: &VerifyingKey) {
        for signed in rosters {
            if let Ok(roster) = signed.verify(governance) {
                self.rosters.insert(signed.hash(), (signed.clone(), roster));
            }
        }
    }

    /// Only copies that their signers signed count, by whichever roster knew their keys: that it was taken the log says.
    fn acts(&mut self, acts: &[SignedAct], governance: &VerifyingKey) {
        let mut list = Vec::new();
        for signed in acts {
            let hash = signed.hash();
            list.push(hash);
            if self.acts.contains_key(&hash) {
                continue;
            }
            let mut rosters = self.rosters.values().map(|(_, roster)| roster);
            match rosters.any(|roster| signed.verify(roster, governance).is_ok()) {
                true => drop(self.acts.insert(hash, signed.clone())),
                false => drop(self.doubtful.insert(hash)),
            }
        }
        self.lists.push(list);
    }

    fn ordered(mut self, leaves: Vec<String>) -> Restored {
        let mut restored = Restored {
            leaves,
            rosters: Vec::new(),
            acts: Vec::new(),
            missing: Vec::new(),
        };
        let mut register = Register::default();
        let mut named = BTreeSet::new();
        for (index, leaf) in (0..).zip(&restored.leaves) {
            // Verified with the mirror.
            let Ok(event) = SignedEvent::peek(leaf.as_bytes()) else {
                continue;
            };
            let Some((is_act, hash)) = names(&event).filter(|(_, hash)| named.insert(*hash)) else {
                continue;
            };
            let found = match is_act {
                true => self
                    .acts
                    .get(&hash)
                    .is_some_and(|signed| fits(&mut register, hash, signed)),
                false => self.rosters.contains_key(&hash),
            };
            if !found {
                let (kind, actor) = (event.kind, &event.actor);
                let what = format!("{kind} by {} `{}`", actor.role, actor.id);
                let index = Some(index);
                restored.missing.push(Missing { index, hash, what });
            } else if is_act {
                restored
                    .acts
                    .extend(self.acts.remove(&hash).map(|act| (act, event.at_ms)));
            } else {
                restored
                    .rosters
                    .extend(self.rosters.remove(&hash).map(|(signed, _)| signed));
            }
        }
        for hash in merged(self.lists, &named) {
            let signed = self.acts.remove(&hash);
            match signed.filter(|signed| fits(&mut register, hash, signed)) {
                Some(signed) => restored.acts.extend(at(signed)),
                None => restored.missing.push(Missing {
                    index: None,
                    hash,
                    what: match self.doubtful.contains(&hash) {
                        true => "an act that nobody signed".to_owned(),
                        false => "an act that follows from none of those that are here".to_owned(),
                    },
                }),
            }
        }
        restored
    }
}

/// The act or the roster that a leaf tells of; true: an act.
fn names(event: &Event) -> Option<(bool, ContentHash)> {
    let reference = |name: &str| event.references.get(name).copied();
    match (event.kind, event.actor.role) {
        (Kind::Roster, Role::Coordinator) => Some((false, reference("roster")?)),
        (kind, _) if kind.is_of_act() => Some((true, reference("act")?)),
        _ => None,
    }
}

/// Whether an act follows from those before it, and makes it true.
fn fits(register: &mut Register, hash: ContentHash, signed: &SignedAct) -> bool {
    signed.read().is_ok_and(|act| register.apply(hash, &act).is_ok())
}

fn at(signed: SignedAct) -> Option<(SignedAct, u64)> {
    let at_ms = signed.read().ok()?.at_ms;
    Some((signed, at_ms))
}

/// What several lists hold beyond `named`, each list in its order as far as the lists agree on one.
fn merged(lists: Vec<Vec<ContentHash>>, named: &BTreeSet<ContentHash>) -> Vec<ContentHash> {
    let rest = |list: Vec<ContentHash>| list.into_iter().filter(|hash| !named.contains(hash));
    let mut lists: Vec<Vec<ContentHash>> = lists.into_iter().map(|list| rest(list).rev().collect()).collect();
    let mut merged = Vec::new();
    loop {
        let heads: BTreeSet<ContentHash> = lists.iter().filter_map(|list| list.last().copied()).collect();
        let waits = |hash: &ContentHash| {
            lists
                .iter()
                .any(|list| list.last() != Some(hash) && list.contains(hash))
        };
        let next = heads.iter().find(|hash| !waits(hash)).or(heads.first()).copied();
        let Some(next) = next else { return merged };
        merged.push(next);
        for list in &mut lists {
            list.retain(|hash| *hash != next);
        }
    }
}
