//! What no honest coordinator says: old words again and to others, words bent in one place, other stories to different agents, signatures of
//! people who never signed, and whatever the keys that the fuzzer holds can make true.

use std::sync::Arc;

use engine::message::{Acts, Cursor, EpochOpen, RoundStart, ToAgent, Wire};
use engine::{Digest, JobId, SlotId};
use governance::log::{Nodes, Tree};
use governance::{Request, SignedAct, SignedRequest, SigningKey};
use rand::RngExt;
use secagg::{Certificate, MaskedHeader, Message, Receipt, Survivors, Vote};

use super::super::hostile::bent;
use super::Fuzz;
use super::mind::{Job, RoundSeen};

impl Fuzz {
    pub(super) fn lie(&mut self) {
        let agent = self.rng.random_range(self.agents());
        match self.rng.random_range(0..100) {
            0..22 => self.replays(agent),
            22..38 => self.bends(agent),
            38..46 => self.forges_a_request(),
            46..54 => self.lies_about_acts(agent),
            54..62 => self.lies_about_the_log(agent),
            62..74 => self.lies_about_survivors(),
            74..80 => self.asks_out_of_turn(agent),
            80..86 => self.lies_about_rosters(agent),
            86..90 => self.lies_about_epochs(agent),
            _ => self.starts_what_was_started(),
        }
    }

    /// What was said before, to anybody.
    fn replays(&mut self, agent: usize) {
        if self.mind.memory.is_empty() {
            return;
        }
        let (_, message) = self.mind.memory[self.rng.random_range(0..self.mind.memory.len())].clone();
        self.say(agent, message);
    }

    fn bends(&mut self, agent: usize) {
        if self.mind.memory.is_empty() {
            return;
        }
        let (to, message) = self.mind.memory[self.rng.random_range(0..self.mind.memory.len())].clone();
        let message = bent(&mut self.rng, &message);
        let to = if self.roll(600) { to } else { agent };
        self.say(to, message);
    }

    /// A round's start with something else in it.
    pub(super) fn bent_start(&mut self, start: RoundStart) -> RoundStart {
        match bent(&mut self.rng, &ToAgent::RoundStart(start.clone())) {
            ToAgent::RoundStart(bent) => bent,
            _ => start,
        }
    }

    /// Words that their analyst never signed, under the signature of others that they did.
    fn forges_a_request(&mut self) {
        let jobs = self.mind.jobs.len();
        if jobs == 0 {
            return;
        }
        let job: &Job = &self.mind.jobs[self.rng.random_range(0..jobs)];
        let (signed, mut asked): (Arc<SignedRequest>, Request) = (job.request.clone(), job.asked.clone());
        match self.rng.random_range(0..5) {
            0 => asked.max_attempts += 5,
            1 => asked.purpose = "research".to_owned(),
            2 => asked.expires_at_ms += 3_600_000,
            3 => asked.nonce = governance::ContentHash(self.rng.random()),
            _ => asked.analyst = "ada".to_owned(),
        }
        let stolen = self.roll(500);
        let mallory = &self.people.analysts[3].key;
        let own = asked.sign(mallory).expect("a request");
        let forged = match stolen {
            true => SignedRequest {
                signature: signed.signature.clone(),
                ..own
            },
            false => {
                asked.nonce = governance::ContentHash(self.rng.random());
                let own = asked.sign(mallory).expect("a request");
                // Her own signature under somebody's name: it counts only where governance says that this is their key.
                let key = mallory.public();
                self.oracle.ink.requests.insert(own.hash(), (asked.clone(), key));
                own
            }
        };
        self.mind.ask(forged, asked, true);
    }

    fn lies_about_acts(&mut self, agent: usize) {
        let place = self.oracle.ears[agent].place;
        match self.rng.random_range(0..6) {
            0 => {
                let count = place.count.saturating_sub(self.rng.random_range(0..3));
                self.say(
                    agent,
                    ToAgent::Heartbeat(Cursor {
                        count,
                        head: place.head,
                    }),
                );
            }
            1 => {
                let head = self.rng.random();
                self.say(
                    agent,
                    ToAgent::Heartbeat(Cursor {
                        count: place.count + 1,
                        head,
                    }),
                );
            }
            2 => {
                let other = self.rng.random_range(self.agents());
                let place = self.oracle.ears[other].place;
                self.say(agent, ToAgent::Heartbeat(place));
            }
            3 if !self.mind.acts.is_empty() => {
                // A signature that was stripped, or is another's.
                let mut act = self.mind.acts[self.rng.random_range(0..self.mind.acts.len())].clone();
                act.signature = vec![0; 64];
                self.say(
                    agent,
                    ToAgent::Acts(Acts {
                        from: place,
                        acts: vec![act],
                    }),
                );
            }
            4 if !self.mind.acts.is_empty() => {
                // Somebody agrees who never did: by the words of the act, under a key that is not theirs.
                let act = self.mind.acts[self.rng.random_range(0..self.mind.acts.len())].clone();
                let Ok(mut act) = act.read() else { return };
                act.at_ms += 1;
                let key = &self.people.analysts[3].key;
                let forged = act.sign(key).expect("an act");
                self.oracle
                    .ink
                    .acts
                    .entry(forged.hash())
                    .or_default()
                    .insert(key.public());
                self.say(
                    agent,
                    ToAgent::Acts(Acts {
                        from: place,
                        acts: vec![forged],
                    }),
                );
            }
            _ => {
                let from = Cursor {
                    count: place.count.saturating_sub(1),
                    head: self.rng.random(),
                };
                let acts: Vec<SignedAct> = self.mind.acts.iter().rev().take(2).cloned().collect();
                self.say(agent, ToAgent::Acts(Acts { from, acts }));
            }
        }
    }

    fn lies_about_the_log(&mut self, agent: usize) {
        let Some(mut grown) = self.grown(agent) else { return };
        match self.rng.random_range(0..7) {
            0 => grown.head += 5,
            1 => grown.from = grown.from.saturating_sub(1),
            2 => drop(grown.entries.pop()),
            3 => drop(self.mind.log.dropped.insert(agent)),
            4 => self.mind.log.dropped.clear(),
            5 if self.roll(30) => {
                // Another log of the same length, with the coordinator's own signature: it convicts, and this agent is lost.
                let log = &self.mind.log;
                let size = log.tree.size();
                if size > 0 && grown.from == size {
                    let mut tree = Tree::default();
                    for leaf in &log.leaves[..size as usize - 1] {
                        tree.append(leaf.as_bytes());
                    }
                    tree.append(b"another leaf");
                    grown.checkpoint = self.checkpoint(&tree);
                    self.oracle.count("fork");
                }
            }
            _ => {
                // Back to a shorter one.
                let log = &self.mind.log;
                let size = log.tree.size() / 2;
                let mut tree = Tree::default();
                for leaf in &log.leaves[..size as usize] {
                    tree.append(leaf.as_bytes());
                }
                grown.checkpoint = self.checkpoint(&tree);
                grown.entries.clear();
            }
        }
        self.say(agent, ToAgent::LogGrown(Box::new(grown)));
    }

    /// Other survivors to other members, sets that are too small, votes that the colluder gives twice.
    fn lies_about_survivors(&mut self) {
        let rounds: Vec<SlotId> = self.mind.rounds.keys().rev().take(8).copied().collect();
        if rounds.is_empty() {
            return;
        }
        let at = rounds[self.rng.random_range(0..rounds.len())];
        let round = &self.mind.rounds[&at];
        let Some(epoch) = self.mind.epochs.get(&at.epoch) else {
            return;
        };
        let names = epoch.names.clone();
        let Some((ctx2, headers)) = RoundSeen::most(&round.headers) else {
            return;
        };
        let (ctx2, mut headers) = (*ctx2, headers.values().cloned().collect::<Vec<MaskedHeader>>());
        let announced = self.mind.memory.iter().rev().find_map(|(_, said)| match said {
            ToAgent::Cohort(cohort) if cohort.at == at => secagg::Cohort::decode(&cohort.accepts).ok(),
            _ => None,
        });
        let accepts = announced.map_or_else(
            || {
                RoundSeen::most(&round.accepts)
                    .map_or_else(Vec::new, |(_, accepts)| accepts.values().cloned().collect())
            },
            |cohort| cohort.accepts,
        );
        let traitor = self.traitor(&names);
        for _ in 0..self.rng.random_range(0..3) {
            if headers.len() > 1 {
                let place = self.rng.random_range(0..headers.len());
                headers.remove(place);
            }
        }
        // The colluder's vector is whatever it says it is.
        if let Some((index, key)) = &traitor
            && self.roll(400)
            && let Some(header) = headers.iter_mut().find(|header| header.member == *index)
        {
            header.digest = Digest(self.rng.random());
            let bytes = header.encode();
            header.signature = key.sign("sottovoce/secagg/v1/masked-header", &bytes[2..bytes.len() - 64]);
        }
        let survivors = Survivors {
            slot: at.slot,
            accepts,
            headers,
        };
        let u_hash = survivors.u_hash(&ctx2);
        let wire: Wire = survivors.encode().into();
        for agent in names.clone() {
            if self.roll(600) {
                let survivors = wire.clone();
                self.say(agent, ToAgent::Survivors { at, survivors });
            }
        }
        let round = &self.mind.rounds[&at];
        let mut votes: Vec<Vote> = round
            .votes
            .get(&u_hash)
            .map_or_else(Vec::new, |votes| votes.values().cloned().collect());
        if let (Some((index, key)), Some(first)) = (&traitor, round.accepts.values().flat_map(|of| of.values()).next())
        {
            let mut vote = Vote {
                epoch_id: first.epoch_id,
                slot: at.slot,
                member: *index,
                u_hash,
                signature: first.signature,
            };
            let bytes = vote.encode();
            vote.signature = key.sign("sottovoce/secagg/v1/vote", &bytes[2..bytes.len() - 64]);
            votes.retain(|vote| vote.member != *index);
            votes.push(vote);
            votes.sort_by_key(|vote| vote.member);
            if self.roll(300) {
                votes.extend(votes.clone());
            }
        }
        if votes.is_empty() {
            return;
        }
        let certificate: Wire = Certificate { slot: at.slot, votes }.encode().into();
        for agent in names {
            let certificate = certificate.clone();
            self.say(agent, ToAgent::Certificate { at, certificate });
        }
    }

    /// The colluder's place in an epoch, and its key.
    fn traitor(&self, names: &[usize]) -> Option<(u16, Arc<engine::SigningKey>)> {
        let place = names.iter().position(|agent| self.people.owners[*agent].colludes)?;
        Some((
            place as u16 + 1,
            self.people.consortium.agent_keys[names[place]].clone(),
        ))
    }

    fn asks_out_of_turn(&mut self, agent: usize) {
        let rounds: Vec<SlotId> = self.mind.rounds.keys().rev().take(6).copied().collect();
        if rounds.is_empty() {
            return;
        }
        let at = rounds[self.rng.random_range(0..rounds.len())];
        let ends = self.roll(200);
        let round = &self.mind.rounds[&at];
        let message = match self.rng.random_range(0..7) {
            0 => ToAgent::PathsWanted { at },
            1 => ToAgent::EdgesWanted { at },
            2 => ToAgent::UploadGrant { at },
            3 => ToAgent::RoundEnded { at, next: None },
            4 => match RoundSeen::most(&round.headers).and_then(|(_, headers)| headers.values().next()) {
                Some(header) => {
                    let key = self.people.consortium.agent_keys[agent].clone();
                    let receipt = Receipt::sign(header, &key).encode().into();
                    ToAgent::Receipt { at, receipt }
                }
                None => ToAgent::UploadGrant { at },
            },
            5 => {
                let next = Box::new(round.start.clone());
                ToAgent::RoundEnded { at, next: Some(next) }
            }
            _ if ends => {
                let hash = round.start.request.hash();
                ToAgent::JobEnded {
                    job: JobId::of(&hash.0),
                    request_hash: hash.0,
                }
            }
            _ => ToAgent::UploadGrant { at },
        };
        self.say(agent, message);
    }

    fn lies_about_rosters(&mut self, agent: usize) {
        match self.rng.random_range(0..3) {
            0 => {
                let old = self.mind.rosters[self.rng.random_range(0..self.mind.rosters.len())].clone();
                self.say(agent, ToAgent::Roster(old));
            }
            1 => {
                // A roster of the fuzzer's own making, under a key that is not governance's.
                let mut roster = self.people.roster.clone();
                roster.version += 5;
                roster.analysts[0].key = self.people.analysts[3].key.public();
                let Ok(forged) = roster.sign(&self.people.analysts[3].key) else {
                    return;
                };
                self.say(agent, ToAgent::Roster(forged));
            }
            _ if self.roll(150) => self.another_roster(),
            _ => {}
        }
    }

    /// A next roster that governance signed: people come and go; where governance is the fuzzer's, they are whom it likes.
    pub(super) fn another_roster(&mut self) {
        let mut roster = self.people.roster.clone();
        roster.version += 1;
        let people = &self.people.analysts;
        match (self.people.hostile_governance, self.rng.random_range(0..5)) {
            (true, 0) => {
                roster.analysts.retain(|analyst| analyst.id != "mallory");
                roster.analysts.push(people[3].enrolled(&people[3].key));
            }
            // `ada` is who governance says she is; `mallory` cannot be enrolled under the same key.
            (true, 1) => {
                roster
                    .analysts
                    .retain(|analyst| analyst.id != "mallory" && analyst.id != "ada");
                roster.analysts.push(people[0].enrolled(&people[3].key));
            }
            (true, 2) => {
                let n = roster.agents.len() as u32;
                roster.c = self.rng.random_range(1..=n - 2);
                roster.min_cohort = self.rng.random_range(roster.c + 2..=n);
            }
            (_, 3) => roster.analysts.retain(|analyst| analyst.id != "eva"),
            _ => {
                roster.analysts = people
                    .iter()
                    .filter(|person| !person.invented)
                    .map(|person| person.enrolled(&person.key))
                    .collect();
                (roster.c, roster.min_cohort) = (1, 3);
            }
        }
        let governance: &SigningKey = &self.people.consortium.governance;
        let Ok(signed) = roster.sign(governance) else { return };
        self.note(format!("governance signs roster {}", roster.version));
        self.oracle.ink.rosters.insert(signed.hash());
        self.mind.rosters.push(signed.clone());
        (self.people.roster, self.people.signed_roster) = (roster, signed.clone());
        self.mind.epochs.values_mut().for_each(|epoch| epoch.live = false);
        for agent in self.agents() {
            if self.roll(900) {
                self.say(agent, ToAgent::Roster(signed.clone()));
            }
        }
    }

    fn lies_about_epochs(&mut self, agent: usize) {
        let seq = self.mind.next_epoch;
        let mut names: Vec<_> = self.agents().map(|agent| self.name(agent)).collect();
        match self.rng.random_range(0..5) {
            0 => drop(names.pop()),
            1 => names.push("nobody".into()),
            2 => names.push(self.name(agent)),
            3 if self.roll(100) => {
                let epoch = self.rng.random_range(1..=seq);
                return self.say(agent, ToAgent::EpochClosed { epoch });
            }
            _ => return,
        }
        self.mind.next_epoch += 1;
        let open = EpochOpen {
            epoch: seq,
            roster_hash: self.people.signed_roster.hash().0,
            members: names,
            slots: 4,
            timeout_ms: 10_000,
        };
        self.say(agent, ToAgent::EpochOpen(open));
    }

    /// The same question in another slot, as another attempt, as another round.
    fn starts_what_was_started(&mut self) {
        let rounds: Vec<SlotId> = self.mind.rounds.keys().rev().take(10).copied().collect();
        if rounds.is_empty() {
            return;
        }
        let mut start = self.mind.rounds[&rounds[self.rng.random_range(0..rounds.len())]]
            .start
            .clone();
        match self.rng.random_range(0..4) {
            0 => start.at.slot = start.at.slot.wrapping_add(1),
            1 => start.attempt = start.attempt.wrapping_add(1),
            2 => start.at = rounds[self.rng.random_range(0..rounds.len())],
            _ => {
                let jobs = self.mind.jobs.len();
                start.request = self.mind.jobs[self.rng.random_range(0..jobs)].request.clone();
                start.job = JobId::of(&start.request.hash().0);
            }
        }
        for agent in self.agents() {
            if self.roll(500) {
                self.say(agent, ToAgent::RoundStart(start.clone()));
            }
        }
    }
}
