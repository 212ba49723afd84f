//! The log again, and what it tells of, from participants' mirrors after the coordinator lost everything.
//!
//! Leaves name acts and rosters by their hashes alone; every participant holds those that it heard. So one mirror is a log, and those of all
//! participants are what people decided, in the order of the log's leaves. What was heard and is in no leaf, since the coordinator was lost
//! before its next checkpoint, comes after them ([`unlogged`]). Mirrors are their participants' word: only what its signer signed counts, and
//! nothing that the door would not take comes in by them.
//!
//! Costs a signature's verification a leaf and mirror, and two an act.

mod unlogged;

use std::collections::{BTreeMap, BTreeSet};

use super::event::{Event, Kind, Role, SignedEvent};
use super::mirror::{Mirror, MirrorError};
use super::note::NoteKey;
use crate::{ContentHash, Register, Roster, RosterError, SignedAct, SignedRoster, VerifyingKey};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    #[error("no mirror was given")]
    Nothing,
    #[error("the coordinator's own roster: {0}")]
    Own(RosterError),
    #[error("mirror {place}: {error}")]
    Mirror { place: usize, error: MirrorError },
    #[error("mirror {place} contradicts another one: the coordinator signed two logs")]
    Contradiction { place: usize },
    #[error("mirror {place} is a second one of `{participant}`: give one of each")]
    Twice { place: usize, participant: String },
    #[error("mirror {place} has {found} acts that the log does not have: expected at most {most}")]
    Unlogged { place: usize, found: usize, most: usize },
    #[error(
        "mirror {place} has version {found} of the roster and the coordinator has {own}: give the coordinator the newest first"
    )]
    Newer { place: usize, own: u64, found: u64 },
}

/// Something that the log names or a participant heard, and that does not come back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    #[error("the mirror of `{0}`: what it alone heard or saw of the log")]
    Mirror(String),
    #[error(
        "entry {index} of the log, {what}: {hash:?} is in no mirror as it was signed, or does not stand without what is missing"
    )]
    Leaf {
        index: u64,
        hash: ContentHash,
        what: String,
    },
    #[error("act {hash:?}, heard by `{heard_by}` and not in the log: {why}")]
    Heard {
        hash: ContentHash,
        heard_by: String,
        why: String,
    },
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
/// roster that the coordinator has beside its store, `now_ms` its time.
pub fn restore(
    mirrors: Vec<Mirror>,
    log: &NoteKey,
    governance: &VerifyingKey,
    own: &SignedRoster,
    now_ms: u64,
) -> Result<Restored, RestoreError> {
    let longest = longest(&mirrors, log)?;
    let roster = own.verify(governance).map_err(RestoreError::Own)?;
    let rosters = rosters(&mirrors, governance, (own, &roster))?;
    let mut acts = Acts::default();
    for mirror in &mirrors {
        let known = || rosters.values().map(|(_, roster)| roster);
        mirror.acts.iter().for_each(|act| acts.take(act, known, governance));
    }
    let mut restored = Restored {
        leaves: mirrors[longest].leaves.clone(),
        rosters: Vec::new(),
        acts: Vec::new(),
        missing: without_mirror(&mirrors, &roster),
    };
    let mut register = Register::default();
    let mut named = BTreeSet::new();
    let mut last_ms = 0;
    for (index, leaf) in (0..).zip(&restored.leaves) {
        // Verified with the mirror.
        let Ok(event) = SignedEvent::peek(leaf.as_bytes()) else {
            continue;
        };
        // By clocks that the coordinator looked at: an agent's event says what its agent likes.
        if event.actor.role != Role::Agent {
            last_ms = event.at_ms.max(last_ms);
        }
        let Some((is_act, hash)) = names(&event).filter(|(_, hash)| named.insert(*hash)) else {
            continue;
        };
        let act = acts.0.get(&hash).filter(|copy| fits(&mut register, hash, &copy.act));
        match (is_act, act, rosters.get(&hash)) {
            (true, Some(copy), _) => restored.acts.push((copy.act.clone(), event.at_ms)),
            (false, _, Some((signed, _))) => restored.rosters.push(signed.clone()),
            _ => {
                let (kind, actor) = (event.kind, &event.actor);
                let what = format!("{kind} by {} `{}`", actor.role, actor.id);
                restored.missing.push(Missing::Leaf { index, hash, what });
            }
        }
    }
    let heard = unlogged::Unlogged {
        roster: &roster,
        governance,
        acts: &acts,
        last_ms,
        now_ms,
    };
    heard.follow(&mirrors, &named, register, &mut restored)?;
    Ok(restored)
}

fn longest(mirrors: &[Mirror], log: &NoteKey) -> Result<usize, RestoreError> {
    let mut longest: Option<usize> = None;
    for (place, mirror) in mirrors.iter().enumerate() {
        let participant = &mirror.participant;
        if mirrors[..place].iter().any(|before| before.participant == *participant) {
            let participant = participant.clone();
            return Err(RestoreError::Twice { place, participant });
        }
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
    longest.ok_or(RestoreError::Nothing)
}

type Rosters = BTreeMap<ContentHash, (SignedRoster, Roster)>;

/// Every roster that governance signed. A coordinator whose own is not the newest would let in who was removed.
fn rosters(
    mirrors: &[Mirror],
    governance: &VerifyingKey,
    (own, roster): (&SignedRoster, &Roster),
) -> Result<Rosters, RestoreError> {
    let mut rosters = BTreeMap::from([(own.hash(), (own.clone(), roster.clone()))]);
    for (place, mirror) in mirrors.iter().enumerate() {
        for signed in &mirror.rosters {
            let Ok(read) = signed.verify(governance) else { continue };
            if read.version > roster.version {
                let (own, found) = (roster.version, read.version);
                return Err(RestoreError::Newer { place, own, found });
            }
            rosters.insert(signed.hash(), (signed.clone(), read));
        }
    }
    Ok(rosters)
}

/// The roster's participants whose mirror is not there, as mirrors name themselves.
fn without_mirror(mirrors: &[Mirror], roster: &Roster) -> Vec<Missing> {
    let given = |id: &str| mirrors.iter().any(|mirror| mirror.participant == id);
    let agents = roster.agents.iter().filter(|agent| !given(&agent.id));
    agents.map(|agent| Missing::Mirror(agent.id.clone())).collect()
}

/// Acts as their signers signed them.
#[derive(Default)]
struct Acts(BTreeMap<ContentHash, Copy>);

struct Copy {
    act: SignedAct,
    /// Whether its event for the log is signed as well.
    is_whole: bool,
}

impl Acts {
    /// Takes a copy, if a roster knows a key that it is signed with, and no better copy is there.
    fn take<'r, R: Iterator<Item = &'r Roster>>(
        &mut self,
        signed: &SignedAct,
        rosters: impl Fn() -> R,
        governance: &VerifyingKey,
    ) {
        let hash = signed.hash();
        if self.0.get(&hash).is_some_and(|copy| copy.is_whole) {
            return;
        }
        let is_whole = rosters().any(|roster| matches!(signed.logged(roster, governance), Ok(Some(_))));
        if is_whole || rosters().any(|roster| signed.verify(roster, governance).is_ok()) {
            let act = signed.clone();
            self.0.insert(hash, Copy { act, is_whole });
        }
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
