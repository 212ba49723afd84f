//! Acts at the coordinator: checked at the door, durable before anybody hears of them, told to the agents that they concern, and
//! enforced on what is open here. Each agent hears its own list: numbered, hashed along, from the place that it names.
//!
//! Every five seconds each agent gets a beat with the end of its list. Costs a filter over new acts per agent and act,
//! and one small message per agent and beat.

use std::collections::{BTreeMap, BTreeSet};

use governance::act::Subject;
use governance::grant::Unlogged;
use governance::log::event::Role;
use governance::register::AtDoor;
use governance::{Agent, ContentHash, Request, SignedAct, Status};

use super::caps::Thing;
use super::{Coordinator, Turn};
use crate::codes;
use crate::ids::{AgentId, JobId, SlotId};
use crate::message::{Acts, Cursor, ToAgent};
use crate::record::CoordinatorRecord;
use crate::refused::{Refused, of_act};
use crate::step::CoordinatorEvent;
use crate::workload::Refusal;

/// Acts in one message: a list of thousands comes in pieces.
const PIECE: usize = 64;

/// Each organisation's list, as far as it was looked at, and the next beat. Rebuilt from the books after a restart.
#[derive(Default)]
pub(super) struct Feeds {
    lists: BTreeMap<String, List>,
    pub(super) beat_at_ms: Option<u64>,
}

#[derive(Default)]
struct List {
    /// Of all acts, those that were looked at.
    seen: usize,
    /// Places in the books' list, and the cursor before each.
    acts: Vec<(usize, Cursor)>,
    end: Cursor,
}

impl Coordinator {
    /// Takes an act, or says why not. The same act twice is one act.
    pub(super) fn take_act(&mut self, signed: SignedAct, turn: &mut Turn) -> Result<JobId, Refusal> {
        let hash = signed.hash();
        let register = self.books.register();
        let door = register.at_door(&signed, &self.roster, &self.config.governance_key, turn.now_ms);
        let AtDoor::New(act) = door.map_err(|error| of_act(&error))? else {
            return Ok(JobId::of(&hash.0));
        };
        self.may_move(&act)?;
        let event = self.act_event(&act, &signed)?;
        let at_ms = turn.now_ms;
        self.record(CoordinatorRecord::ActTaken { signed, at_ms }, turn);
        self.log_act(&act, hash, event, turn);
        turn.event(CoordinatorEvent::ActTaken {
            act: hash,
            what: act.what.name(),
        });
        for agent in self.connected() {
            if let Some(organisation) = self.organisation_of(&agent)
                && self.books.register().concerns(&act, &organisation)
            {
                let end = self.list(&organisation).end;
                self.tell_acts(&agent, end.count - 1, turn);
            }
        }
        self.enforce(turn);
        Ok(JobId::of(&hash.0))
    }

    /// What an agent's operator decided. It signs for itself alone.
    pub(super) fn act_of_agent(&mut self, from: &AgentId, signed: SignedAct, turn: &mut Turn) {
        // An agent says what it made with every beat, until it hears it come back.
        if self.books.register().is_taken(&signed.hash()) {
            return;
        }
        let own = signed
            .read()
            .is_ok_and(|act| act.by.role == Role::Agent && act.by.id == from.as_str());
        let taken = match own {
            true => self.take_own_act(from, signed, turn),
            false => Err(Refusal::new(codes::ACT, "an act of somebody else's, sent by an agent")),
        };
        if let Err(refusal) = taken {
            turn.misbehaved(from, refusal);
        }
    }

    /// Only what will be taken counts: one act that never can be, said again with every beat, must not keep the next one out.
    fn take_own_act(&mut self, from: &AgentId, signed: SignedAct, turn: &mut Turn) -> Result<(), Refusal> {
        let register = self.books.register();
        let door = register.at_door(&signed, &self.roster, &self.config.governance_key, turn.now_ms);
        door.map_err(|error| of_act(&error))?;
        let an_hour = self.config.limits.agent_acts_per_hour;
        self.caps.take(from, Thing::Act, an_hour, turn.now_ms)?;
        self.take_act(signed, turn).map(drop)
    }

    /// The acts of an agent's list from a place on, and the end of it.
    pub(super) fn tell_acts(&mut self, agent: &AgentId, from: u64, turn: &mut Turn) {
        let Some(organisation) = self.organisation_of(agent) else {
            return;
        };
        let list = self.list(&organisation);
        let (end, start) = (list.end, usize::try_from(from).unwrap_or(usize::MAX));
        let rest: Vec<(usize, Cursor)> = list.acts.get(start..).unwrap_or_default().to_vec();
        for piece in rest.chunks(PIECE) {
            let acts = piece.iter().map(|(place, _)| self.books.acts()[*place].clone());
            let (from, acts) = (piece[0].1, acts.collect());
            turn.send(agent, ToAgent::Acts(Acts { from, acts }));
        }
        turn.send(agent, ToAgent::Heartbeat(end));
    }

    /// The beat, if it is due. Nobody there: nobody to wake for.
    pub(super) fn beat(&mut self, turn: &mut Turn) {
        let agents = self.connected();
        if agents.is_empty() {
            self.feeds.beat_at_ms = None;
            return;
        }
        let due = self.feeds.beat_at_ms.is_none_or(|at_ms| at_ms <= turn.now_ms);
        if !due {
            return;
        }
        self.feeds.beat_at_ms = Some(turn.now_ms + self.config.limits.beat_ms);
        for agent in agents {
            if let Some(organisation) = self.organisation_of(&agent) {
                let end = self.list(&organisation).end;
                turn.send(&agent, ToAgent::Heartbeat(end));
            }
        }
    }

    /// Ends open jobs that the acts no longer allow, with their rounds: no sum of them is opened here any more.
    fn enforce(&mut self, turn: &mut Turn) {
        let open = self.books.open_jobs().to_vec();
        for job in open {
            let Some(request) = self.books.job(&job).map(|entry| entry.request.clone()) else {
                continue;
            };
            let ended = self
                .suspended(&request)
                .or_else(|| self.ended(&self.runs_under(&job), turn.now_ms));
            if let Some(refusal) = ended {
                if let Some(at) = self.jobs.slot(&job) {
                    self.abandon_round(at, turn);
                }
                self.fail_job(job, refusal, turn);
            }
        }
    }

    /// Why nothing of this request is answered, wherever it is asked.
    pub(super) fn suspended(&self, request: &Request) -> Option<Refusal> {
        let organisation = &self.roster.analyst(&request.analyst)?.organisation;
        let subjects = [
            ("your organisation", Subject::Organisation(organisation.clone())),
            ("the dataset", Subject::Dataset(request.dataset.clone())),
        ];
        // As nobody's data: only what reaches everywhere stops it here. What an owner stops, its own agent refuses.
        subjects.iter().find_map(|(what, subject)| {
            let suspension = self.books.register().suspension("", subject)?;
            let by = &suspension.by;
            let text = format!("{what} is suspended by `{}` of `{}`", by.id, by.organisation);
            let remedy = format!("ask `{}`: `sotto reinstate` lifts it", by.organisation);
            Some(Refusal::new(codes::SUSPENDED, text).remedy(remedy))
        })
    }

    /// Why too few owners can answer this request before somebody lifts a suspension, if that is why: what the agents of those who are stopped would
    /// say themselves. An owner that does not show the contract to the analyst is not named; one that is away, or does not serve the dataset at
    /// the moment, may come back and answer.
    pub(super) fn held_up(&self, request: &Request) -> Option<Refusal> {
        let asking = self.asking(&request.analyst)?;
        let stopped = |owner: &str| self.books.register().stopped(owner, asking, &request.dataset);
        let away = |agent: &&Agent| {
            let presence = self.catalogue.agent(&AgentId::from(agent.id.as_str()));
            presence.is_none_or(|presence| !presence.datasets.contains_key(&request.dataset))
        };
        let away = self.roster.agents.iter().filter(away);
        let mut could = away.filter(|agent| stopped(&agent.organisation).is_none()).count();
        let mut said: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        let mut remedies = BTreeSet::new();
        for agent in self.answering(request) {
            match self
                .roster
                .agent(agent.as_str())
                .and_then(|entry| stopped(&entry.organisation))
            {
                None => could += 1,
                Some(stopped) => {
                    said.entry(stopped.reason()).or_default().push(agent.as_str());
                    remedies.insert(stopped.remedy());
                }
            }
        }
        let threshold = self.epochs.serving().map_or(0, |live| live.members.threshold());
        let needed = threshold.max(self.roster.min_cohort as usize);
        if said.is_empty() || could >= needed {
            return None;
        }
        let said = said
            .iter()
            .map(|(reason, agents)| format!("{}: {reason}", agents.join(", ")));
        let text = format!(
            "{could} of the owners of `{}` could answer, and {needed} are needed: {}",
            request.dataset,
            said.collect::<Vec<_>>().join("; ")
        );
        let remedy = remedies.into_iter().collect::<Vec<_>>().join("; ");
        Some(Refusal::new(codes::SUSPENDED, text).remedy(remedy))
    }

    /// The first of some grants of which an owner's line is not active, and what became of it.
    pub(super) fn ended<'a>(
        &self,
        grants: impl IntoIterator<Item = &'a (ContentHash, String)>,
        now_ms: u64,
    ) -> Option<Refusal> {
        grants.into_iter().find_map(|(id, owner)| {
            let status = self.grant_status(id, owner, now_ms);
            if status == Some(Status::Active) {
                return None;
            }
            let status = status.map_or("gone", Status::spelling);
            let text = format!("grant {} of `{owner}` is {status}", &id.to_string()[..12]);
            let remedy = "`sotto grant show` says who ended it and why; `sotto grant request` asks for a new one";
            Some(Refusal::new(codes::GRANT_ENDED, text).remedy(remedy))
        })
    }

    fn grant_status(&self, id: &ContentHash, owner: &str, now_ms: u64) -> Option<Status> {
        let line = self.books.register().any_grant(id)?.lines.get(owner)?;
        Some(line.status(now_ms, &Unlogged))
    }

    /// Whether what was released before may be said again to this request: what it was asked under still holds, and no owner stopped it.
    pub(super) fn may_repeat(
        &self,
        earlier: &JobId,
        request: &Request,
        owners: &[(AgentId, String)],
        now_ms: u64,
    ) -> bool {
        let Some(analyst) = self.roster.analyst(&request.analyst) else {
            return false;
        };
        let asking = Subject::Organisation(analyst.organisation.clone());
        let stopped = owners
            .iter()
            .filter_map(|(agent, _)| self.organisation_of(agent))
            .any(|owner| self.books.register().suspension(&owner, &asking).is_some());
        !stopped && self.ended(self.books.grants_of(earlier), now_ms).is_none()
    }

    /// The grant that an owner says with its Accept that it admits a job by, and the owner. One that is not active admits nobody: it may have
    /// ended while the Accept was on its way, or never have been agreed. Then this owner has refused, and nobody else.
    pub(super) fn admission(
        &self,
        from: &AgentId,
        at: SlotId,
        grant: Option<ContentHash>,
        turn: &mut Turn,
    ) -> Result<Option<(ContentHash, String)>, Refused> {
        let (Some(admitted), Some(round)) = (grant.zip(self.organisation_of(from)), self.rounds.get(&at)) else {
            return Ok(None);
        };
        let (grant, owner) = &admitted;
        let requester = &round.head().request.analyst;
        let known = self.books.register().any_grant(grant);
        if !known.is_some_and(|known| known.requested.requester == *requester && known.lines.contains_key(owner)) {
            let refusal = Refusal::new(codes::ACT, "an Accept under a grant that is not the analyst's");
            turn.misbehaved(from, refusal.clone());
            return Err(refusal.into());
        }
        // Its own witness may have seen the agreement a moment before the quorum did.
        let agreement = known.and_then(|known| known.lines.get(owner)?.agreement());
        if agreement.is_some_and(|act| !self.books.log().act_is_witnessed(act)) {
            let text = format!(
                "the agreement of grant {} with `{owner}` waits for a quorum of witnesses",
                &grant.to_string()[..12]
            );
            return Err(Refusal::new(codes::UNWITNESSED, text)
                .remedy("ask again in a moment")
                .into());
        }
        match self.ended([&admitted], turn.now_ms) {
            Some(ended) => Err(ended.into()),
            None => Ok(Some(admitted)),
        }
    }

    /// Grants under which a release was made that were revoked since, with their owners: whoever uses it should know.
    pub fn revoked_under(&self, job: &JobId) -> Vec<(ContentHash, String)> {
        let revoked = |(id, owner): &&(ContentHash, String)| self.grant_status(id, owner, 0) == Some(Status::Revoked);
        self.books.grants_of(job).iter().filter(revoked).cloned().collect()
    }

    pub(super) fn organisation_of(&self, agent: &AgentId) -> Option<String> {
        Some(self.roster.agent(agent.as_str())?.organisation.clone())
    }

    fn connected(&self) -> Vec<AgentId> {
        self.catalogue.agents().map(|(agent, _)| agent.clone()).collect()
    }

    /// An organisation's list, brought up to date.
    fn list(&mut self, organisation: &str) -> &List {
        let list = self.feeds.lists.entry(organisation.to_owned()).or_default();
        let acts = self.books.acts();
        for (place, signed) in acts.iter().enumerate().skip(list.seen) {
            if signed
                .read()
                .is_ok_and(|act| self.books.register().concerns(&act, organisation))
            {
                list.acts.push((place, list.end));
                list.end = list.end.after(&signed.hash());
            }
        }
        list.seen = acts.len();
        list
    }
}
