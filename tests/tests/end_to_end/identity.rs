//! Joining, rotating and leaving while everybody goes on: tokens over the coordinator's mailbox, certificates exchanged under open rounds.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use governance::join::Token;
use proto::identity::{Identity, Role};
use proto::v1;
use proto::v1::enrolment_server::{Enrolment, EnrolmentServer};
use sottovoce::enroll::{self, Asked, Serving};
use sottovoce::local::{Running, Site, Spec, State, start};
use sottovoce::train::{self, Trained};
use sottovoce::{Client, Problem};
use tokio::process::{Child, Command};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

use crate::half;
use crate::training::heart_task;
use crate::wire;
use crate::world::round_began;

const HOUR_MS: u64 = 3_600_000;

struct Consortium {
    folder: tempfile::TempDir,
    spec: Spec,
    state: State,
    running: Running,
    mailbox: String,
    /// The hospital that is not a member yet.
    fourth: Site,
}

fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

impl Consortium {
    /// Three hospitals run, or all four; the coordinator has a mailbox.
    async fn of(hospitals: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut spec = sottovoce::demo::consortium(folder.path()).unwrap();
        spec.listen = free_address();
        let fourth = spec.participants.last().unwrap().clone();
        spec.participants.truncate(hospitals);
        let state = State::prepare(&folder.path().join("state"), &spec).unwrap();
        let mailbox = free_address().to_string();
        let environment = [("SOTTO_LOG", "info"), ("SOTTO_COORDINATOR_ENROLL_LISTEN", &*mailbox)];
        let party = Path::new(env!("CARGO_BIN_EXE_party"));
        let running = start(party, &spec, &state, &environment, &mut |_| {}).await.unwrap();
        Self {
            folder,
            spec,
            state,
            running,
            mailbox,
            fourth,
        }
    }

    fn token(&self, role: Role, name: &str, organisation: &str) -> Token {
        enroll::token(&self.state.consortium(), role, name, organisation, HOUR_MS).unwrap()
    }

    /// What the fourth hospital's agent logged since it was started.
    fn said(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("fourth.log")).unwrap()
    }

    /// Does something at a member while governance is on duty.
    async fn while_serving<T>(&self, doing: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
        self.while_serving_for(enroll::OVERLAP_MS, doing).await
    }

    /// The same, with an overlap of the story's own.
    async fn while_serving_for<T>(
        &self,
        overlap_ms: u64,
        doing: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        let folder = self.state.consortium();
        let mut serving = Serving::connect(&folder, &self.mailbox, overlap_ms).await.unwrap();
        let duty = async {
            loop {
                serving.look().await.unwrap();
                tokio::time::sleep(Duration::from_millis(200)).await; // as `sotto enroll serve`, only oftener
            }
        };
        let done = async {
            tokio::time::timeout(Duration::from_secs(60), doing)
                .await
                .expect("in time")
        };
        tokio::select! {
            never = duty => never,
            done = done => done,
        }
    }

    async fn agents_in_epoch(&self, agents: u32) {
        for _ in 0..600 {
            if let Ok(mut analyst) = self.running.connect().await
                && let Ok(status) = analyst.status().await
                && status.epoch_present == agents
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await; // polls a condition, for at most a minute
        }
        panic!("no live epoch of {agents} agents");
    }

    /// Starts the fourth hospital's agent, as its operator would.
    fn starts(&self) -> Child {
        self.starts_at(&self.running.profile.coordinator)
    }

    /// The same, with another address for the coordinator; what it logs is in [`Self::said`].
    fn starts_at(&self, coordinator: &str) -> Child {
        let config = self
            .state
            .write_participant(&self.spec, &self.fourth, coordinator)
            .unwrap();
        let log = std::fs::File::create(self.folder.path().join("fourth.log")).unwrap();
        Command::new(env!("CARGO_BIN_EXE_party"))
            .args(["__participant", "--config"])
            .arg(config)
            .arg("--announce")
            .env("SOTTO_LOG", "info")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    /// Identities and configurations of those who run: what nobody may touch when somebody joins.
    fn kept(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![
            self.folder.path().join("state/participants"),
            self.folder.path().join("state/analyst"),
            self.folder.path().join("state/coordinator"),
        ];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                let path = entry.path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                if path.is_dir() {
                    folders.push(path);
                } else if !name.contains("sqlite") && !name.ends_with(".sock") {
                    found.push((path.clone(), std::fs::read(path).unwrap()));
                }
            }
        }
        found.sort();
        found
    }

    async fn logged(&self, name: &str, text: &str) {
        for _ in 0..300 {
            if std::fs::read_to_string(self.state.log(name)).unwrap().contains(text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await; // polls a condition, for half a minute
        }
        panic!("{name} never logged `{text}`");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fourth_hospital_joins_by_token_while_three_run_and_the_next_question_is_answered_by_four() {
    let world = Consortium::of(3).await;
    let before = world.kept();
    let mut analyst = world.running.connect().await.unwrap();
    let sql = "SELECT COUNT(*) FROM heart";
    let three = sottovoce::ask::ask(&mut analyst, sql, 0.5, "research").await.unwrap();
    assert_eq!(three.receipt().contributors, 3);

    let name = world.fourth.name.clone();
    let token = world.token(Role::Agent, &name, &world.fourth.organisation);
    let folder = world.state.identity(Role::Agent, &name);
    let (asked, mut quiet) = (Asked::default(), |_: &str| {});
    let joining = enroll::join(&token, &asked, &folder, &world.mailbox, &mut quiet);
    let installed = world.while_serving(joining).await.unwrap();
    assert_eq!(installed.roster_version, 2);
    let mut newcomer = world.starts();
    world.agents_in_epoch(4).await;
    let fresh = world.running.connect().await;
    let four = sottovoce::ask::ask(&mut fresh.unwrap(), sql, 1.0, "research")
        .await
        .unwrap();
    assert_eq!(four.receipt().contributors, 4);

    let theirs = folder.parent().unwrap().to_owned();
    let mut after = world.kept();
    after.retain(|(path, _)| !path.starts_with(&theirs));
    assert_eq!(after, before, "nobody else's file was touched");

    // The token is used; with other keys it joins nobody.
    let elsewhere = world.folder.path().join("elsewhere");
    let again = enroll::join(&token, &asked, &elsewhere, &world.mailbox, &mut quiet);
    let refused = world.while_serving(again).await.unwrap_err();
    assert_eq!(refused.code, "SOTTO-7111");
    assert!(!elsewhere.join("certificate.pem").exists());
    newcomer.kill().await.unwrap();
    world.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_analyst_and_coordinator_rotate_under_a_run_and_no_call_fails() {
    let world = Consortium::of(4).await;
    let mut analyst = world.running.connect().await.unwrap();
    let dataset = analyst.dataset("heart").await.unwrap();
    let question = train::question(&dataset, &heart_task(400), 2.0, "research", 40);
    let request = analyst.sign(question).unwrap();
    let job = analyst.submit(request).await.unwrap().job;
    round_began(&mut analyst, &job).await;
    let agent = &world.fourth.name;
    for (role, name) in [
        (Role::Agent, agent.as_str()),
        (Role::Analyst, ""),
        (Role::Coordinator, ""),
    ] {
        let folder = world.state.identity(role, name);
        let old = Identity::load(&folder).unwrap().tls_key;
        let mut quiet = |_: &str| {};
        let rotating = enroll::rotate_with(&folder, &world.mailbox, &mut quiet);
        world.while_serving(rotating).await.unwrap();
        assert_ne!(Identity::load(&folder).unwrap().tls_key, old);
        // The open connection goes on with the old key, and a new one with the new.
        analyst.status().await.unwrap();
        world.running.connect().await.unwrap().status().await.unwrap();
    }
    world
        .logged(agent, "the connection goes on with the new certificate")
        .await;
    world.logged("coordinator", "a new certificate is shown").await;
    let released = tokio::time::timeout(Duration::from_secs(120), analyst.released(&job)).await;
    let trained = Trained::of(*released.expect("a run that ends").unwrap()).unwrap();
    assert_eq!(trained.run.rounds, 400);
    assert_eq!(trained.released.receipt().contributors, 4);
    let mut fresh = world.running.connect().await.unwrap();
    assert_eq!(fresh.status().await.unwrap().agents_online, 4);
    let log = std::fs::read_to_string(world.state.log(agent)).unwrap();
    assert!(!log.contains("not connected"), "the agent's session never ended");
    world.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_analyst_loses_its_open_streams_and_is_refused_by_name() {
    let world = Consortium::of(4).await;
    let token = world.token(Role::Analyst, "bob", "Institute of Cardiology");
    let folder = world.folder.path().join("bob");
    let (asked, mut quiet) = (Asked::default(), |_: &str| {});
    let joining = enroll::join(&token, &asked, &folder, &world.mailbox, &mut quiet);
    world.while_serving(joining).await.unwrap();
    let address = &world.running.profile.coordinator;
    let mut bob = Client::connect(address, Identity::load(&folder).unwrap())
        .await
        .unwrap();
    bob.status().await.unwrap();
    enroll::remove(&world.state.consortium(), Role::Analyst, "bob").unwrap();
    let refused = async {
        loop {
            if let Err(refused) = bob.status().await {
                return Ok(refused);
            }
            tokio::time::sleep(Duration::from_millis(100)).await; // until the roster is handed in
        }
    };
    let refused = world.while_serving(refused).await.unwrap();
    assert!(refused.message.contains("unknown analyst `bob`"), "{refused}");
    world.running.connect().await.unwrap().status().await.unwrap();
    world.running.stop().await;
}

/// Whoever has the coordinator's old key and certificate is nobody any more: for the agent and the analyst who heard that it was replaced. One
/// that was away hears of it from the coordinator itself, by a roster that governance signed.
#[tokio::test(flavor = "multi_thread")]
async fn the_coordinators_old_key_is_refused_after_it_was_replaced_and_whoever_was_away_goes_on() {
    let world = Consortium::of(3).await;
    let name = world.fourth.name.clone();
    let token = world.token(Role::Agent, &name, &world.fourth.organisation);
    let folder = world.state.identity(Role::Agent, &name);
    let (asked, mut quiet) = (Asked::default(), |_: &str| {});
    let joining = enroll::join(&token, &asked, &folder, &world.mailbox, &mut quiet);
    world.while_serving(joining).await.unwrap();
    let mut agent = world.starts();
    world.agents_in_epoch(4).await;
    agent.kill().await.unwrap();
    world.agents_in_epoch(3).await;

    // The key is replaced while the agent is away, with an overlap of a moment.
    let hub = world.state.identity(Role::Coordinator, "");
    let stolen = Identity::load(&hub).unwrap();
    let rotating = enroll::rotate_with(&hub, &world.mailbox, &mut quiet);
    world.while_serving_for(1_000, rotating).await.unwrap();
    world.logged("coordinator", "a new certificate is shown").await;
    tokio::time::sleep(Duration::from_millis(1_500)).await; // the overlap ends

    // The analyst knew the old key alone. It is brought the new roster, and keeps it.
    let analyst = world.state.identity(Role::Analyst, "");
    let version = || Identity::load(&analyst).unwrap().roster.version;
    assert_eq!(version(), 1);
    world.running.connect().await.unwrap().status().await.unwrap();
    assert_eq!(version(), 3);

    // The agent is, too, by its first stream, and remembers it.
    let mut agent = world.starts();
    world.agents_in_epoch(4).await;
    agent.kill().await.unwrap();

    let thief = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = thief.local_addr().unwrap().to_string();
    let onward = Identity::load(&folder).unwrap();
    let seen = wire::tap(thief, &stolen, onward, world.running.profile.coordinator.clone());
    let refused = Client::connect(&address, Identity::load(&analyst).unwrap())
        .await
        .err()
        .unwrap();
    assert_eq!(refused.code, "SOTTO-7208", "{refused}");
    assert!(refused.message.contains("brings no newer roster"), "{refused}");
    let mut agent = world.starts_at(&address);
    for _ in 0..300 {
        if world.said().contains("SOTTO-7208") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await; // polls a condition, for half a minute
    }
    assert!(world.said().contains("SOTTO-7208"), "{}", world.said());
    assert!(!world.said().contains("connected coordinator"), "{}", world.said());
    assert_eq!(
        world
            .running
            .connect()
            .await
            .unwrap()
            .status()
            .await
            .unwrap()
            .agents_online,
        3
    );
    let seen = seen.lock().unwrap().len();
    assert!(seen < 2_000, "greetings, and nothing else: {seen} bytes");
    agent.kill().await.unwrap();
    world.running.stop().await;
}

/// A mailbox that answers everybody with one approval.
struct Stale(String);

#[tonic::async_trait]
impl Enrolment for Stale {
    async fn park(&self, _: Request<v1::Application>) -> Result<Response<v1::Parked>, Status> {
        Ok(Response::new(v1::Parked::default()))
    }

    async fn collect(&self, _: Request<v1::CollectRequest>) -> Result<Response<v1::Collected>, Status> {
        let answer = Some(v1::collected::Answer::Approval(self.0.clone()));
        Ok(Response::new(v1::Collected { answer }))
    }

    async fn call(&self, _: Request<v1::SignedCall>) -> Result<Response<v1::CallAnswer>, Status> {
        Err(Status::unimplemented("not governance's"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_that_shows_an_approval_of_before_rotates_nothing() {
    proto::identity::install_crypto_provider();
    let world = Consortium::of(4).await;
    let hub = world.state.identity(Role::Coordinator, "");
    let read = |folder: &Path, name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let folder = world.state.identity(Role::Analyst, "");
    let before = Identity::load(&folder).unwrap();
    let approval = enroll::Approval {
        role: Role::Analyst,
        name: before.member.name.clone(),
        organisation: before.member.organisation.clone(),
        certificate: read(&folder, "certificate.pem"),
        ca: read(&folder, "ca.pem"),
        governance: read(&folder, "governance.pub"),
        roster: Some(before.signed_roster.clone()),
    };
    let certificates = read(&hub, "certificate.pem") + &read(&hub, "ca.pem");
    let tls = ServerTlsConfig::new().identity(tonic::transport::Identity::from_pem(
        certificates,
        read(&hub, "tls.key"),
    ));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let stale = Stale(serde_json::to_string(&approval).unwrap());
    let serving = Server::builder()
        .tls_config(tls)
        .unwrap()
        .add_service(EnrolmentServer::new(stale))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(serving);

    let mut quiet = |_: &str| {};
    let refused = enroll::rotate_with(&folder, &address, &mut quiet).await.unwrap_err();
    assert_eq!(refused.code, "SOTTO-7106", "{refused}");
    assert_eq!(Identity::load(&folder).unwrap().tls_key, before.tls_key);
    // The key that was made waits for its own approval.
    let waiting = read(&folder, "tls.key.next");
    let rotating = enroll::rotate_with(&folder, &world.mailbox, &mut quiet);
    world.while_serving(rotating).await.unwrap();
    assert_ne!(Identity::load(&folder).unwrap().tls_key, before.tls_key);
    assert_eq!(read(&folder, "tls.key"), waiting);
    world.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_when_the_coordinator_ends_its_half_of_a_connection_never_leaves() {
    let world = Consortium::of(3).await;
    let name = world.fourth.name.clone();
    let token = world.token(Role::Agent, &name, &world.fourth.organisation);
    let folder = world.state.identity(Role::Agent, &name);
    let (asked, mut quiet) = (Asked::default(), |_: &str| {});
    let joining = enroll::join(&token, &asked, &folder, &world.mailbox, &mut quiet);
    world.while_serving(joining).await.unwrap();
    let hub = Identity::load(&world.state.identity(Role::Coordinator, "")).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let came = half::listens(listener, &hub);
    let mut agent = world.starts_at(&address);
    for _ in 0..400 {
        if came.lock().unwrap().len() >= 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await; // polls a condition, for at most forty seconds
    }
    let came = came.lock().unwrap().clone();
    assert!(
        came[0].contains(&"join"),
        "it waits behind the window: {came:?}\n{}",
        world.said()
    );
    for after in &came[1..3] {
        assert_eq!(after, &["greeting"], "{came:?}\n{}", world.said());
    }
    agent.kill().await.unwrap();
    world.running.stop().await;
}
