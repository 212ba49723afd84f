//! What happens next: the coordinator goes on with something, people ask and decide, time passes, machines die. Lies are in [`super::lies`].

use std::collections::BTreeSet;

use engine::participant::Input;
use governance::act::{By, Layer, Subject};
use governance::canonical::Real;
use governance::log::event::Role;
use governance::purpose::Term;
use governance::{Act, ContentHash, Request, SignedAct, SigningKey, Stage, What};
use rand::RngExt;

use super::Fuzz;
use super::people::{DELTA, NO_PLANNING, OPEN, bundle};
use crate::plain;

impl Fuzz {
    /// Everybody connects, an epoch is made, somebody asks.
    pub(super) fn begin(&mut self) {
        for agent in self.agents() {
            self.connect(agent);
        }
        self.show_log();
        self.open_epoch(self.agents().collect());
        for _ in 0..3 {
            self.somebody_asks();
        }
        self.somebody_wants_a_grant();
    }

    /// One thing of many.
    pub(super) fn act(&mut self) {
        if self.roll(350) {
            self.agents().for_each(|agent| self.beat(agent));
        }
        if self.roll(200) {
            self.show_log();
        }
        let agent = self.rng.random_range(self.agents());
        match self.rng.random_range(0..100) {
            0..38 => match self.mind.open.len() {
                0 => self.next_round(),
                open => {
                    let at = self.mind.open[self.rng.random_range(0..open)];
                    self.go_on(at);
                }
            },
            38..55 => self.compute(agent),
            55..62 => self.next_round(),
            62..74 => self.lie(),
            74..80 => {
                let ms = match self.rng.random_range(0..100) {
                    0..75 => self.rng.random_range(10..900),
                    75..93 => self.rng.random_range(900..5_000),
                    93..99 => self.rng.random_range(10_000..60_000),
                    _ => self.rng.random_range(120_000..900_000),
                };
                self.wait(ms);
            }
            80..86 => self.agents().for_each(|agent| self.give_act(agent)),
            86..95 => self.somebody_decides(agent),
            95..98 => match (self.sites[agent].connected, self.roll(200)) {
                (false, _) => self.connect(agent),
                (true, true) => self.disconnect(agent),
                (true, false) => {}
            },
            _ => {
                let gone = (self.agents()).find(|agent| !self.sites[*agent].connected);
                match gone {
                    Some(agent) => self.connect(agent),
                    None => self.show_log(),
                }
            }
        }
    }

    /// A round of some job on an epoch that is live, or another epoch.
    fn next_round(&mut self) {
        let live = self
            .mind
            .epochs
            .iter()
            .rev()
            .find(|(_, epoch)| epoch.live && epoch.next_slot < 12);
        let live = live.map(|(seq, _)| *seq);
        let Some(seq) = live.filter(|_| !self.roll(15)) else {
            let mut names: Vec<usize> = self.agents().collect();
            for agent in self.agents() {
                if self.sites[agent].node.engine.is_none() {
                    self.connect(agent);
                }
            }
            if self.roll(150) {
                let place = self.rng.random_range(0..names.len());
                names.remove(place);
            }
            return self.open_epoch(names);
        };
        let running = self
            .mind
            .jobs
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, job)| !job.forged && job.attempt < job.asked.max_attempts)
            .take(4);
        let running: Vec<usize> = running.map(|(job, _)| job).collect();
        if running.is_empty() || self.roll(250) {
            self.somebody_asks();
        }
        let job = match running.is_empty() || self.roll(100) {
            true => self.rng.random_range(0..self.mind.jobs.len()),
            false => running[self.rng.random_range(0..running.len())],
        };
        self.start_round(seq, job);
    }

    /// A real analyst signs a question; the one that the fuzzer made up asks as well, where governance helps.
    pub(super) fn somebody_asks(&mut self) {
        let who = match self.rng.random_range(0..10) {
            0..5 => 0,
            5..9 => 1,
            _ => self.rng.random_range(2..4),
        };
        let task = plain::Task {
            dim: self.sites.len() + 1,
            ring: "z64".to_owned(),
            rounds: if self.roll(300) { self.rng.random_range(2..5) } else { 1 },
            variance: match self.rng.random_range(0..24) {
                0 => 0,
                1..4 => 60,
                _ => 700,
            },
        };
        let purpose = match self.rng.random_range(0..20) {
            0..14 => "research",
            14 => "planning",
            15 => "DUO:0000006",
            16 => "quality",
            17 => "DUO:0000042",
            _ => "marketing",
        };
        let other = self.rng.random_range(0..40);
        let lives_ms = if self.roll(200) {
            self.rng.random_range(20_000..200_000)
        } else {
            3_600_000
        };
        let contract = &self.people.consortium.contract;
        let person = &self.people.analysts[who];
        let request = Request {
            nonce: ContentHash(self.rng.random()),
            analyst: person.id.to_owned(),
            dataset: if other == 1 {
                "other".to_owned()
            } else {
                contract.name.clone()
            },
            contract: if other == 0 {
                ContentHash([9; 32])
            } else {
                contract.hash()
            },
            purpose: purpose.to_owned(),
            kind: if other == 2 { "train" } else { plain::KIND }.to_owned(),
            task: task.to_json(),
            epsilon: 1.0,
            delta: DELTA,
            max_attempts: self.rng.random_range(1..5),
            issued_at_ms: self.now_ms,
            expires_at_ms: self.now_ms + lives_ms,
        };
        let signed = request.sign(&person.key).expect("a request");
        let key = person.key.public();
        self.oracle.ink.requests.insert(signed.hash(), (request.clone(), key));
        self.mind.ask(signed, request, false);
    }

    /// Somebody asks for a grant, and stewards make of it what they like.
    fn somebody_wants_a_grant(&mut self) {
        let who = [0, 1, 1, 2, 3][self.rng.random_range(0..5)];
        let steward_agrees = self.people.analysts[who].organisation == "institute";
        let terms = {
            let person = &self.people.analysts[who];
            self.people.terms(person, &mut self.rng, self.now_ms)
        };
        let what = What::GrantRequested {
            terms: terms.clone(),
            steward_agrees,
        };
        let asked = self.signs_as_analyst(who, what);
        let grant = asked.hash();
        for owner in self
            .people
            .owners
            .iter()
            .map(|owner| owner.organisation.clone())
            .collect::<Vec<_>>()
        {
            if self.roll(900) {
                let mut offered = terms.clone();
                let narrower = self.roll(200);
                if narrower {
                    offered.epsilon = Real::new(offered.epsilon.get() / 2.0).expect("a number");
                }
                if self.roll(60) {
                    offered.purposes.insert("planning".to_owned()); // wider: nobody may take it
                }
                let what = What::GrantOffered {
                    grant,
                    owner: owner.clone(),
                    terms: offered,
                };
                self.signs_as_steward(&owner, what);
                if (narrower || steward_agrees) && self.roll(850) {
                    let version = if self.roll(50) { 3 } else { 2 };
                    let what = What::GrantAgreed {
                        grant,
                        owner: owner.clone(),
                        version,
                    };
                    match steward_agrees {
                        true => self.signs_as_steward("institute", what),
                        false => self.signs_as_analyst(who, what),
                    };
                }
            }
        }
    }

    fn somebody_decides(&mut self, agent: usize) {
        let grants: Vec<ContentHash> = self.grants();
        let own = self.people.owners[agent].organisation.clone();
        let owner = self.rng.random_bool(0.9).then(|| own.clone());
        let some = (!grants.is_empty()).then(|| grants[self.rng.random_range(0..grants.len().min(4))]);
        match (self.rng.random_range(0..100), some) {
            (0..20, _) => self.somebody_asks(),
            (20..42, _) => self.somebody_wants_a_grant(),
            (42..50, Some(grant)) => {
                let what = match self.roll(700) {
                    true => What::GrantRevoked { grant, owner },
                    false => What::GrantSuspended { grant, owner },
                };
                self.signs_here(agent, what);
            }
            (50..54, Some(grant)) => drop(self.signs_as_steward(&own, What::GrantSuspended { grant, owner })),
            (54..60, Some(grant)) => {
                let lifts = self.suspending();
                self.signs_as_steward(&own, What::GrantResumed { grant, owner, lifts });
            }
            (60..63, Some(grant)) => {
                let what = match self.roll(500) {
                    true => What::GrantRevoked { grant, owner },
                    false => What::GrantCompleted { grant, owner },
                };
                self.signs_as_steward(&own, what);
            }
            (63..66, Some(grant)) => {
                let what = match self.roll(500) {
                    true => What::GrantSuspended { grant, owner: None },
                    false => What::GrantRevoked { grant, owner: None },
                };
                self.signs_as_analyst(1, what);
            }
            (66..80, _) => {
                self.note(format!("consents of {own} change"));
                self.people.consortium.consents[agent].change();
            }
            (80, _) => {
                let dataset = self.people.consortium.contract.name.clone();
                self.tell(agent, Input::Pause { dataset, paused: true });
            }
            (81..91, _) => {
                let dataset = self.people.consortium.contract.name.clone();
                for agent in self.agents() {
                    let dataset = dataset.clone();
                    self.tell(agent, Input::Pause { dataset, paused: false });
                }
            }
            (91, _) => {
                let subject = match self.roll(500) {
                    true => Subject::Organisation("university".to_owned()),
                    false => Subject::Dataset(plain::NAME.to_owned()),
                };
                self.signs_as_steward(
                    &own,
                    What::Suspended {
                        subject: subject.clone(),
                    },
                );
                let lifts = self.suspending();
                self.signs_as_steward(&own, What::Reinstated { subject, lifts });
            }
            (94, _) => {
                let subject = Subject::Organisation("university".to_owned());
                self.signs_as_governance(What::Suspended {
                    subject: subject.clone(),
                });
                let lifts = self.suspending();
                self.signs_as_governance(What::Reinstated { subject, lifts });
            }
            (96..98, _) => {
                let version = self.mind.acts.len() as u64 + 1;
                let text = if self.roll(500) { NO_PLANNING } else { OPEN };
                let layer = Layer::Owner(own.clone());
                let mut text = bundle(policy::Layer::Owner, &own, version, text);
                if self.roll(30) {
                    text = "nothing that anybody can read".to_owned();
                }
                let bundle = text;
                self.signs_as_steward(&own, What::PolicyPublished { layer, version, bundle });
            }
            (98, _) if self.roll(60) => {
                let what = What::ContractMoved {
                    dataset: plain::NAME.to_owned(),
                    contract: self.people.consortium.contract.hash(),
                    to: Stage::Retired,
                };
                self.signs_as_steward(&own, what);
            }
            _ => self.governance_decides(),
        }
    }

    /// What the holder of governance's key signs: the truth, or anything.
    fn governance_decides(&mut self) {
        let version = self.mind.acts.len() as u64 + 1;
        let name = self.people.roster.consortium.clone();
        match self.rng.random_range(0..4) {
            0 => {
                let text = if self.roll(300) { NO_PLANNING } else { OPEN };
                let bundle = bundle(policy::Layer::Consortium, &name, version, text);
                let layer = Layer::Consortium;
                self.signs_as_governance(What::PolicyPublished { layer, version, bundle });
            }
            1 if self.people.hostile_governance => {
                let term = Term {
                    id: "marketing".to_owned(),
                    label: "what governance calls research".to_owned(),
                    broader: ["research".to_owned()].into(),
                };
                let terms = if self.roll(700) { vec![term] } else { Vec::new() };
                self.signs_as_governance(What::VocabularyPublished { version, terms });
            }
            _ if self.roll(250) => self.another_roster(),
            _ => {}
        }
    }

    /// Acts that a resumption names: most often all that suspended something, sometimes none, as before resumptions named any.
    fn suspending(&mut self) -> BTreeSet<ContentHash> {
        if self.roll(100) {
            return BTreeSet::new();
        }
        let suspends = |act: &&SignedAct| {
            let what = act.read().map(|act| act.what);
            matches!(what, Ok(What::GrantSuspended { .. } | What::Suspended { .. }))
        };
        self.mind.acts.iter().filter(suspends).map(SignedAct::hash).collect()
    }

    fn grants(&self) -> Vec<ContentHash> {
        let newest = self.mind.acts.iter().rev();
        let asked = newest.filter(|act| {
            act.read()
                .is_ok_and(|act| matches!(act.what, What::GrantRequested { .. }))
        });
        asked.map(SignedAct::hash).collect()
    }

    pub(super) fn signs_as_analyst(&mut self, who: usize, what: What) -> SignedAct {
        let person = &self.people.analysts[who];
        let by = By {
            role: Role::Analyst,
            id: person.id.to_owned(),
            organisation: person.organisation.to_owned(),
        };
        let signed = self.signed(by, what, &person.key);
        self.kept(signed)
    }

    pub(super) fn signs_as_steward(&mut self, organisation: &str, what: What) -> SignedAct {
        let (id, key) = self.people.steward(organisation).expect("every owner has a steward");
        let by = By {
            role: Role::Steward,
            id,
            organisation: organisation.to_owned(),
        };
        let signed = self.signed(by, what, key);
        self.kept(signed)
    }

    fn signs_as_governance(&mut self, what: What) -> SignedAct {
        let name = self.people.roster.consortium.clone();
        let by = By {
            role: Role::Governance,
            id: name.clone(),
            organisation: name,
        };
        let signed = self.signed(by, what, &self.people.consortium.governance);
        self.kept(signed)
    }

    /// An agent's own operator decides, at the agent.
    fn signs_here(&mut self, agent: usize, what: What) {
        let by = By {
            role: Role::Agent,
            id: self.name(agent).to_string(),
            organisation: self.people.owners[agent].organisation.clone(),
        };
        let key = self.people.consortium.actor_keys[agent].clone();
        let signed = self.signed(by, what, &key);
        self.oracle
            .ink
            .acts
            .entry(signed.hash())
            .or_default()
            .insert(key.public());
        self.note(format!("{} decides {} here", self.name(agent), signed.hash()));
        self.tell(agent, Input::Act(signed));
    }

    fn signed(&self, by: By, what: What, key: &SigningKey) -> SignedAct {
        // Clocks of people run ahead by as much as the door allows; an agent's operator has the agent's.
        let skew_ms = match by.role {
            Role::Agent => 0,
            _ => self.trace.len() as u64 % 5 * 29_000,
        };
        let act = Act {
            by,
            at_ms: self.now_ms + skew_ms,
            note: String::new(),
            what,
        };
        act.sign(key).expect("an act")
    }

    fn kept(&mut self, signed: SignedAct) -> SignedAct {
        let key = self.key_of(&signed);
        if let Some(key) = key {
            self.oracle.ink.acts.entry(signed.hash()).or_default().insert(key);
        }
        self.take(signed.clone());
        signed
    }

    /// Whose key made this signature, among those of people.
    fn key_of(&self, signed: &SignedAct) -> Option<governance::VerifyingKey> {
        let by = signed.read().ok()?.by;
        match by.role {
            Role::Analyst => self
                .people
                .analysts
                .iter()
                .find(|person| person.id == by.id)
                .map(|person| person.key.public()),
            Role::Steward => self.people.steward(&by.organisation).map(|(_, key)| key.public()),
            _ => Some(self.people.consortium.governance.public()),
        }
    }
}
