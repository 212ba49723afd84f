//! How fast a revocation is everywhere, over real processes and mutual TLS: from the moment at which `sotto grant revoke` returns until
//! every agent has it in force. And that there is nothing to wait for where it is made: while a training run goes on under a grant, one
//! hospital's operator revokes, and what leaves that agent under the grant after "done" is counted.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use governance::canonical::Real;
use governance::grant::{Action, Extent, Terms};
use proto::identity::Identity;
use serde_json::{Map, Value, json};
use sotto_participant::socket;
use sotto_participant::status::Command;
use sottovoce::client::now_ms;
use sottovoce::grants::Stop;
use sottovoce::{Client, Event, Problem, Question};

use crate::consortium::Consortium;
use crate::measure::median_of;

/// Between two looks at an agent.
const LOOK: Duration = Duration::from_millis(1);
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// An agreement counts once the log holds it; agents answer so many trials a minute.
const WITNESSED: Duration = Duration::from_secs(2);
/// Rounds of the run before the revocation, and more than it will ever see.
const GOING_ON: u32 = 20;
const ROUNDS: u32 = 5_000;
/// After the run's end: what is late would still leave.
const QUIET: Duration = Duration::from_millis(300);

/// One repetition.
struct Once {
    /// From the return of the analyst's own revocation until all agents have it.
    everywhere_ms: f64,
    /// From the operator's order to "done".
    returned_ms: f64,
    /// From "done" until the analyst hears that the run under the grant has ended.
    ended_ms: f64,
    vectors_before: u64,
    vectors_after: u64,
    rounds: u32,
}

pub(super) fn measure(participants: usize, runs: usize) -> Map<String, Value> {
    let consortium = Consortium::plain_by_grant(participants, 1);
    let measured = consortium.runtime.block_on(async {
        let mut once = Vec::new();
        for _ in 0..runs {
            once.push(Bench::of(&consortium).await?.once().await?);
        }
        Ok::<_, Problem>(once)
    });
    consortium.stop();
    let measured = measured.unwrap_or_else(|error| panic!("{error}"));
    let all = |of: fn(&Once) -> f64| measured.iter().map(of).collect::<Vec<f64>>();
    let worst = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let everywhere = all(|once| once.everywhere_ms);
    let sum = |of: fn(&Once) -> u64| measured.iter().map(of).sum::<u64>();
    json!({
        "revocation_propagation_ms": median_of(&everywhere),
        "revocation_propagation_ms_worst": worst(&everywhere),
        "revocation_agents": participants,
        "revocation_runs": runs,
        "revocation_returned_ms": median_of(&all(|once| once.returned_ms)),
        "revocation_run_ended_ms": median_of(&all(|once| once.ended_ms)),
        "revocation_vectors_before": sum(|once| once.vectors_before),
        "revocation_vectors_after": sum(|once| once.vectors_after),
        "revocation_rounds_before": measured.iter().map(|once| u64::from(once.rounds)).sum::<u64>(),
    })
    .as_object()
    .cloned()
    .unwrap_or_default()
}

struct Bench<'a> {
    consortium: &'a Consortium,
    analyst: Client,
    sockets: Vec<PathBuf>,
}

impl<'a> Bench<'a> {
    async fn of(consortium: &'a Consortium) -> Result<Self, Problem> {
        Ok(Self {
            analyst: consortium.running.connect().await?,
            sockets: consortium.sockets(),
            consortium,
        })
    }

    async fn once(mut self) -> Result<Once, Problem> {
        let grant = self.granted().await?;
        self.analyst.stop_grant(&grant, Stop::Revoke, "measured").await?;
        let returned = Instant::now();
        let mut waits = tokio::task::JoinSet::new();
        for socket in self.sockets.clone() {
            let grant = grant.clone();
            waits.spawn(async move { is_at(&socket, &grant, "revoked").await.map(|()| Instant::now()) });
        }
        let mut everywhere_ms: f64 = 0.0;
        // Each is waited for at its own pace: the last one counts.
        for at in waits.join_all().await {
            everywhere_ms = everywhere_ms.max((at? - returned).as_secs_f64() * 1e3);
        }

        let grant = self.granted().await?;
        let request = self.analyst.sign(run())?;
        let job = self.analyst.submit(request).await?.job;
        let mut events = self.analyst.watch(&job).await?;
        let mut rounds = 0;
        while rounds < GOING_ON {
            match events.next().await? {
                Some(Event::Progress(news)) => rounds = news.round,
                Some(Event::Failed(problem)) => return Err(problem),
                other => {
                    return Err(Problem::local(
                        "the run",
                        format!("ended before it was revoked: {other:?}"),
                    ));
                }
            }
        }
        let owner = &self.sockets[0];
        let order = Command::Revoke {
            grant,
            note: "measured".to_owned(),
        };
        let vectors_before = sent(owner).await?;
        let began = Instant::now();
        let told = ask(owner, &order).await?;
        let done = Instant::now();
        let at_done = sent(owner).await?;
        if told != json!({ "done": true }) {
            return Err(Problem::local("the operator's order", told));
        }
        while let Some(event) = events.next().await? {
            match event {
                Event::Progress(_) => {}
                Event::Failed(problem) if problem.code == engine::codes::GRANT_ENDED => break,
                Event::Failed(problem) => return Err(problem),
                Event::Released(_) => return Err(Problem::local("the run", "it was released under a revoked grant")),
            }
        }
        let ended_ms = done.elapsed().as_secs_f64() * 1e3;
        tokio::time::sleep(QUIET).await;
        Ok(Once {
            everywhere_ms,
            returned_ms: (done - began).as_secs_f64() * 1e3,
            ended_ms,
            vectors_before,
            vectors_after: sent(owner).await? - at_done,
            rounds,
        })
    }

    /// A grant of all owners, witnessed by all of them.
    async fn granted(&mut self) -> Result<String, Problem> {
        let participants = self.analyst.participants().await?;
        let owners = participants.iter().map(|participant| participant.organisation.clone());
        let (by, from_ms) = (self.analyst.by(), now_ms());
        let real = |x: f64| Real::new(x).ok_or_else(|| Problem::usage("not a number"));
        let terms = Terms {
            requester: by.id,
            organisation: by.organisation,
            dataset: tests::plain::contract().name.clone(),
            owners: owners.collect(),
            columns: Extent::All,
            aggregates: Extent::All,
            purposes: ["research".to_owned()].into(),
            actions: Action::ALL.into(),
            epsilon: real(1e5)?,
            delta: real(1e-4)?,
            from_ms,
            until_ms: from_ms + 86_400_000,
        };
        let grant = self.analyst.request_grant(terms, "measured").await?.to_string();
        for participant in &participants {
            let folder = self.consortium.steward(&participant.id);
            let identity = Identity::load(&folder).map_err(|error| Problem::local(folder.display(), error))?;
            let mut steward = Client::connect(&self.consortium.running.profile.coordinator, identity).await?;
            steward.approve_grant(&grant, "", |_| {}).await?;
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            tokio::time::sleep(WITNESSED).await; // polls, for at most a minute
            let said = self.analyst.explain(run()).await?;
            if said.iter().all(|owner| owner.verdict() == "allow") {
                return Ok(grant);
            }
            if Instant::now() > deadline {
                let words: String = said.iter().map(sottovoce::explained::OwnerPath::words).collect();
                return Err(Problem::local("the grant", words));
            }
        }
    }
}

/// A run of many rounds, as training is.
fn run() -> Question {
    let contract = tests::plain::contract();
    let task = tests::plain::Task {
        dim: 256,
        ring: "z64".to_owned(),
        rounds: ROUNDS,
        variance: 1_000_000,
    };
    Question {
        dataset: contract.name.clone(),
        contract: contract.hash(),
        purpose: "research".to_owned(),
        kind: tests::plain::KIND.to_owned(),
        task: task.to_json(),
        epsilon: 1.0,
        delta: 1e-6,
        max_attempts: 3,
        valid_for: Duration::from_secs(600),
    }
}

/// Waits until every line of a grant that this agent knows is at `status`.
async fn is_at(socket: &std::path::Path, grant: &str, status: &str) -> Result<(), Problem> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let listed = ask(socket, &Command::Grants).await?;
        if stands_at(&listed, grant, status) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Problem::local(
                socket.display(),
                format!("grant {grant} is not {status}: {listed}"),
            ));
        }
        tokio::time::sleep(LOOK).await; // polls, for at most a minute
    }
}

/// Whether an agent's list has the grant, with every line of it at `status`.
fn stands_at(listed: &Value, grant: &str, status: &str) -> bool {
    let mut lines = Vec::new();
    for known in listed["grants"].as_array().into_iter().flatten() {
        if known["grant"] == grant {
            lines.extend(known["lines"].as_array().into_iter().flatten());
        }
    }
    !lines.is_empty() && lines.iter().all(|line| line["status"] == status)
}

/// Vectors that this agent has sent since it started.
async fn sent(socket: &std::path::Path) -> Result<u64, Problem> {
    let status = ask(socket, &Command::Status).await?;
    let sent = status["rounds_sent"].as_u64();
    sent.ok_or_else(|| Problem::local(socket.display(), "a status without a count of vectors"))
}

async fn ask(socket: &std::path::Path, command: &Command) -> Result<Value, Problem> {
    let answer = socket::ask(socket, command).await;
    answer.map_err(|error| Problem::local(socket.display(), error))
}
