//! Acts that participants heard and no leaf tells of. Each participant's list is hashed along, so what comes back must stand in the order in
//! which each of them heard it, and nothing that concerns one of them may stand before what it heard: it would never agree with the list again.
//!
//! The log vouches for none of them. So they pass the door again, by the coordinator's own roster, and none is older than the log's end, but
//! for what an agent stopped: it may have been cut off.

use std::collections::{BTreeSet, VecDeque};

use super::{Acts, Missing, RestoreError, Restored, fits};
use crate::log::event::Role;
use crate::log::mirror::Mirror;
use crate::register::AtDoor;
use crate::request::MAX_SKEW_MS;
use crate::{Act, ContentHash, Register, Roster, VerifyingKey};

/// Of one mirror. A coordinator makes a checkpoint within seconds of an act.
const MOST: usize = 1_000;

pub(super) struct Unlogged<'a> {
    pub roster: &'a Roster,
    pub governance: &'a VerifyingKey,
    pub acts: &'a Acts,
    /// The log's newest time, and now.
    pub last_ms: u64,
    pub now_ms: u64,
}

/// What is left of one participant's list.
struct List<'a> {
    participant: &'a str,
    organisation: &'a str,
    rest: VecDeque<ContentHash>,
    holds: BTreeSet<ContentHash>,
}

impl Unlogged<'_> {
    /// Appends what comes back, and names what does not.
    pub fn follow(
        &self,
        mirrors: &[Mirror],
        named: &BTreeSet<ContentHash>,
        mut register: Register,
        restored: &mut Restored,
    ) -> Result<(), RestoreError> {
        let mut lists = self.lists(mirrors, named, restored)?;
        while lists.iter().any(|list| !list.rest.is_empty()) {
            let Some(next) = self.next(&lists, &register) else {
                let why = "participants heard such acts in orders that do not fit together";
                for list in &lists {
                    let rest = list.rest.iter();
                    restored
                        .missing
                        .extend(rest.map(|hash| heard(*hash, list.participant, why)));
                }
                break;
            };
            match self.at_door(next, &register) {
                Ok(at_ms) => {
                    let signed = &self.acts.0[&next].act;
                    fits(&mut register, next, signed);
                    restored.acts.push((signed.clone(), at_ms));
                }
                Err(why) => {
                    let heard_by = lists.iter().find(|list| list.holds.contains(&next));
                    let heard_by = heard_by.map_or("", |list| list.participant);
                    restored.missing.push(heard(next, heard_by, &why));
                }
            }
            for list in lists.iter_mut().filter(|list| list.rest.front() == Some(&next)) {
                list.rest.pop_front();
                list.holds.remove(&next);
            }
        }
        Ok(())
    }

    fn lists<'m>(
        &'m self,
        mirrors: &'m [Mirror],
        named: &BTreeSet<ContentHash>,
        restored: &mut Restored,
    ) -> Result<Vec<List<'m>>, RestoreError> {
        let mut lists = Vec::new();
        for (place, mirror) in mirrors.iter().enumerate() {
            let participant = mirror.participant.as_str();
            // Whoever is not in the roster is sent no list any more: what it gives are copies.
            let Some(agent) = self.roster.agent(participant) else {
                continue;
            };
            let mut list = List {
                participant,
                organisation: &agent.organisation,
                rest: VecDeque::new(),
                holds: BTreeSet::new(),
            };
            let rest = mirror.acts.iter().map(crate::SignedAct::hash);
            for hash in rest.filter(|hash| !named.contains(hash)) {
                if list.holds.len() == MOST {
                    let (found, most) = (mirror.acts.len(), MOST);
                    return Err(RestoreError::Unlogged { place, found, most });
                }
                if !self.acts.0.contains_key(&hash) {
                    restored.missing.push(heard(hash, participant, "nobody signed it"));
                } else if list.holds.insert(hash) {
                    list.rest.push_back(hash);
                }
            }
            lists.push(list);
        }
        Ok(lists)
    }

    /// An act that nobody heard after another one, and that concerns nobody who heard others and not it.
    fn next(&self, lists: &[List<'_>], register: &Register) -> Option<ContentHash> {
        let heads: BTreeSet<ContentHash> = lists.iter().filter_map(|list| list.rest.front().copied()).collect();
        heads.into_iter().find(|hash| {
            let act = self.acts.0[hash].act.read().ok();
            let concerns = |list: &List<'_>| act.as_ref().is_none_or(|act| register.concerns(act, list.organisation));
            lists.iter().all(|list| match list.holds.contains(hash) {
                true => list.rest.front() == Some(hash),
                false => list.rest.is_empty() || !concerns(list),
            })
        })
    }

    /// When it was signed, or why it does not come back.
    fn at_door(&self, hash: ContentHash, register: &Register) -> Result<u64, String> {
        let copy = &self.acts.0[&hash];
        let act: Act = copy.act.read().map_err(|error| error.to_string())?;
        let late = act.at_ms.saturating_add(MAX_SKEW_MS) >= self.last_ms;
        if act.by.role != Role::Agent && !(late && copy.is_whole) {
            return Err("it is older than the log's end, or its event is not signed".to_owned());
        }
        if act.at_ms > self.now_ms.saturating_add(MAX_SKEW_MS) {
            return Err("it is dated ahead of now".to_owned());
        }
        match register.at_door(&copy.act, self.roster, self.governance, act.at_ms) {
            Ok(AtDoor::New(_) | AtDoor::Known) => Ok(act.at_ms),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn heard(hash: ContentHash, heard_by: &str, why: &str) -> Missing {
    let (heard_by, why) = (heard_by.to_owned(), why.to_owned());
    Missing::Heard { hash, heard_by, why }
}
