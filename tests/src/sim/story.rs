//! Words for tests that read like stories: `w.participant(3).crash(); w.submit(q); w.run(); w.expect_released(job)`. A quiet world, no
//! dice: what happens is what the story says.

use engine::approval::{Approval, Proposal};
use engine::coordinator::{self, Explained};
use engine::message::{RoundStart, ToAgent};
use engine::participant::{Input, to_be_signed};
use engine::{JobId, Refusal, Release};
use governance::Request;

use super::world::START_MS;
use super::{Options, World};

/// How long a story may take.
const PATIENCE_MS: u64 = 1_200_000;

/// A world that is told what happens.
pub struct Story {
    pub world: World,
    mark: usize,
}

/// One participant in a story.
pub struct Site<'a> {
    world: &'a mut World,
    place: usize,
}

impl Story {
    /// A consortium of `agents` that tolerates `c` colluders, its first epoch live.
    pub fn of(agents: usize, c: u32) -> Self {
        Self::with(Options::quiet(agents, c))
    }

    /// The same with other settings.
    pub fn with(options: Options) -> Self {
        Self::told(World::new(7, options))
    }

    /// The story of a world.
    pub fn told(mut world: World) -> Self {
        world.overheard = Some(Vec::new());
        let mut story = Self { world, mark: 0 };
        story.until("EpochLive");
        story.wait(5_000);
        story
    }

    /// A participant by its number, from 0.
    pub fn participant(&mut self, place: usize) -> Site<'_> {
        Site {
            world: &mut self.world,
            place,
        }
    }

    /// A question of one round.
    pub fn question(&mut self) -> Request {
        self.world.question(1)
    }

    pub fn submit(&mut self, request: Request) -> JobId {
        self.world.ask(0, request)
    }

    /// The analyst takes a question back.
    pub fn cancel(&mut self, job: JobId) {
        let analyst = super::ANALYST.to_owned();
        let cancelled = self.world.tell_coordinator(coordinator::Input::Cancel { job, analyst });
        cancelled.expect("the coordinator is up").expect("it is open");
    }

    /// One question asked twice: the answer, and its repetition for nothing.
    pub fn answered_twice(&mut self) -> (JobId, JobId) {
        let ask = |story: &mut Self| {
            let question = story.question();
            let job = story.submit(question);
            story.run();
            job
        };
        let (first, second) = (ask(self), ask(self));
        assert_eq!(self.expect_released(second).receipt.repeated, Some(first));
        (first, second)
    }

    /// The analyst tries a question: how every owner would decide it.
    pub fn explain(&mut self, request: &Request) -> Result<Explained, Refusal> {
        let trial = self.world.consortium.trial(request);
        let id = self.world.tell_coordinator(coordinator::Input::Explain(trial));
        let id = id.expect("the coordinator is up")?;
        self.wait(12_000);
        let found = self.world.explained.iter().find(|explained| explained.id == id);
        Ok(found.expect("every trial is answered in time").clone())
    }

    /// Runs until every job has ended.
    pub fn run(&mut self) {
        let deadline_ms = self.world.now_ms + PATIENCE_MS;
        let ended = self
            .world
            .run_until(deadline_ms, World::every_job_ended)
            .unwrap_or_else(|broken| panic!("{broken}"));
        assert!(ended, "every job ends; the last of the story:\n{}", self.last());
        self.wait(1_000);
    }

    /// Runs on for a while.
    pub fn wait(&mut self, for_ms: u64) {
        let until_ms = self.world.now_ms + for_ms;
        self.world
            .run_until(until_ms, |_| false)
            .unwrap_or_else(|broken| panic!("{broken}"));
        self.world.now_ms = until_ms;
    }

    /// Runs until something that reads like `text` happened, after what was waited for before.
    pub fn until(&mut self, text: &str) {
        let deadline_ms = self.world.now_ms + PATIENCE_MS;
        let mut from = self.mark;
        let found = self.world.run_until(deadline_ms, |world| {
            world.trace[from..].iter().any(|line| line.contains(text))
        });
        assert!(
            found.unwrap_or_else(|broken| panic!("{broken}")),
            "never happened: {text}\n{}",
            self.last()
        );
        from += self.world.trace[from..]
            .iter()
            .position(|line| line.contains(text))
            .unwrap_or(0)
            + 1;
        self.mark = from;
    }

    /// What is heard counts from here.
    pub fn mark(&mut self) {
        self.mark = self.world.trace.len();
    }

    /// Whether something that reads like `text` happened since the mark.
    pub fn heard(&self, text: &str) -> bool {
        self.world.trace[self.mark..].iter().any(|line| line.contains(text))
    }

    /// The analyst's answer.
    pub fn expect_released(&self, job: JobId) -> Release {
        let release = self.world.checks.releases.get(&job);
        let release = release.unwrap_or_else(|| panic!("expected a release; the last of the story:\n{}", self.last()));
        assert!(
            release.verify(&self.world.consortium.coordinator_key.verifying_key()),
            "the coordinator signed it"
        );
        release.release.clone()
    }

    /// The job ended without an answer, for this reason.
    pub fn expect_failed(&self, job: JobId, code: &str) -> String {
        let engine = self.world.coordinator.engine.as_ref().expect("the coordinator is up");
        let books = engine.books();
        match books.job(&job).map(|job| &job.state) {
            Some(engine::coordinator::JobState::Failed { refused, .. }) => {
                assert_eq!(refused.code, code, "{}", refused.message);
                refused.message.clone()
            }
            other => panic!(
                "expected failure {code}, got {other:?}; the last of the story:\n{}",
                self.last()
            ),
        }
    }

    /// Tokens that a participant committed for a job.
    pub fn tokens(&self, place: usize, job: JobId) -> u32 {
        let hash = self.world.requests[&job].hash();
        let node = &self.world.participants[place];
        node.engine
            .as_ref()
            .map_or(0, |engine| engine.books().tokens(&hash).used)
    }

    /// The newest round start that a participant was sent.
    pub fn last_start(&self, place: usize) -> RoundStart {
        let said = self
            .world
            .overheard
            .iter()
            .flatten()
            .rev()
            .filter(|(to, _)| *to == place);
        let mut starts = said.filter_map(|(_, message)| match message {
            ToAgent::RoundStart(start) => Some(start.clone()),
            ToAgent::RoundEnded { next, .. } => next.as_deref().cloned(),
            _ => None,
        });
        starts.next().expect("a round was started")
    }

    /// The newest message of a kind that a participant was sent.
    pub fn last_message(&self, place: usize, wanted: impl Fn(&ToAgent) -> bool) -> ToAgent {
        let said = self.world.overheard.iter().flatten().rev();
        let found = said
            .filter(|(to, _)| *to == place)
            .map(|(_, message)| message)
            .find(|message| wanted(message));
        found.expect("such a message was sent").clone()
    }

    /// The coordinator says this to a participant, true or not.
    pub fn say(&mut self, place: usize, message: ToAgent) {
        self.mark();
        self.world.inject(place, message);
        if let Some(broken) = self.world.checks.broken.take() {
            panic!("{broken}");
        }
    }

    fn last(&self) -> String {
        let from = self.world.trace.len().saturating_sub(40);
        format!(
            "{}\n(now {})",
            self.world.trace[from..].join("\n"),
            self.world.now_ms - START_MS
        )
    }
}

impl Site<'_> {
    /// Its machine dies and stays down.
    pub fn crash(self) {
        self.world.crash_agent(self.place, None);
    }

    /// Its machine dies and is back soon.
    pub fn restart(self) {
        self.world.crash_agent(self.place, Some(500));
    }

    /// Its connection breaks and stays broken.
    pub fn leave(self) {
        self.world.partition(self.place, None);
    }

    /// Its connection breaks for so long.
    pub fn blink(self, for_ms: u64) {
        self.world.partition(self.place, Some(for_ms));
    }

    /// It keeps its connection and says nothing more.
    pub fn hang(self) {
        self.world.hung.insert(self.place);
    }

    /// From now on it takes 50 seconds for every vector.
    pub fn slow_down(self) {
        self.world.slow.insert(self.place);
    }

    /// What its disk holds now, to be put back later.
    pub fn backup(self) -> usize {
        self.world.participants[self.place].disk.rows().len()
    }

    /// Its machine dies and is back soon, with a disk as it was.
    pub fn restore(self, rows: usize) {
        self.world.crash_agent(self.place, Some(500));
        self.world.participants[self.place].disk.restore(rows);
    }

    /// Its machine burns down: governance lists another key for it, and it comes back with that and an empty store.
    pub fn gets_another_key(self, seed: [u8; 32]) {
        self.world.crash_agent(self.place, Some(500));
        self.world.participants[self.place].disk.restore(0);
        let actor = governance::SigningKey::from_seed(&seed).expect("a seed is a key");
        let (place, public) = (self.place, actor.public());
        self.world.consortium.agent_keys[place] = engine::SigningKey::from_seed(&seed).into();
        self.world.consortium.actor_keys[place] = actor.into();
        self.world.govern(|roster| roster.agents[place].signing_key = public);
    }

    /// Two of its people sign what its ledger forgot, and it is replayed.
    pub fn replay(self) {
        let approval = self.to_be_replayed(&[0, 1]);
        self.world.tell_participant(self.place, Input::Replay { approval });
    }

    /// What its ledger forgot, signed by some of its people.
    pub fn to_be_replayed(&self, people: &[usize]) -> Approval {
        let engine = self.world.participants[self.place].engine.as_ref();
        let proposal = engine.and_then(|engine| engine.to_be_replayed().ok());
        self.signed(proposal.expect("something to replay"), people)
    }

    /// What its configuration wants of its caps and its ledger does not allow yet, signed by some of its people.
    pub fn to_be_approved(&self, people: &[usize]) -> Approval {
        let config = self.world.consortium.participant(self.place, &self.world.options);
        let engine = self.world.participants[self.place].engine.as_ref();
        let books = engine.expect("it runs").books();
        let proposal = Proposal {
            agent: config.agent.to_string(),
            key: config.actor_key.public(),
            changes: to_be_signed(books, &config.budgets, &config.approvers),
        };
        self.signed(proposal, people)
    }

    fn signed(&self, proposal: Proposal, people: &[usize]) -> Approval {
        let signatures = Vec::new();
        let mut approval = Approval { proposal, signatures };
        for person in people {
            let (_, key) = &self.world.consortium.approvers[*person];
            approval.sign(key).expect("a proposal is JSON");
        }
        approval
    }

    /// Its owner pauses the dataset.
    pub fn pause(self) {
        let dataset = self.world.consortium.contract.name.clone();
        self.world
            .tell_participant(self.place, Input::Pause { dataset, paused: true });
        self.world.checks.paused(self.place);
    }

    /// Its files changed: nothing can be served for now.
    pub fn serve_nothing(self) {
        self.world.tell_participant(self.place, Input::Datasets(Vec::new()));
    }
}
