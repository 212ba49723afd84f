//! A consortium of real processes, and what stories wait for in it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sottovoce::client::Event;
use sottovoce::local::{Running, Spec, State, Steward, start};
use sottovoce::{Answer, Client, Problem};

pub struct World {
    pub running: Running,
    pub folder: tempfile::TempDir,
}

impl World {
    pub async fn of_hospitals() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Spec)) -> Self {
        Self::placed(|_, spec| change(spec)).await
    }

    /// The same, with files of the story's own in the world's folder.
    pub async fn placed(change: impl FnOnce(&Path, &mut Spec)) -> Self {
        Self::told(&[], change).await
    }

    /// The same, with more in every process's environment.
    pub async fn told(environment: &[(&str, &str)], change: impl FnOnce(&Path, &mut Spec)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut spec = sottovoce::demo::consortium(folder.path()).unwrap();
        // A coordinator that is killed must come back at the same address.
        spec.listen = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        change(folder.path(), &mut spec);
        let state = State::prepare(&folder.path().join("state"), &spec).unwrap();
        let party = Path::new(env!("CARGO_BIN_EXE_party"));
        let environment = [&[("SOTTO_LOG", "debug")], environment].concat();
        let running = start(party, &spec, &state, &environment, &mut |_| {}).await.unwrap();
        Self { running, folder }
    }

    pub async fn analyst(&self) -> Client {
        self.running.connect().await.unwrap()
    }

    pub async fn ask(&self, sql: &str, epsilon: f64) -> Result<Box<Answer>, Problem> {
        let mut analyst = self.analyst().await;
        let asked = sottovoce::ask::ask(&mut analyst, sql, epsilon, "research");
        tokio::time::timeout(Duration::from_secs(90), asked)
            .await
            .expect("an answer or a clear failure in time")
    }

    /// Waits until every owner's agent would answer a question: an act that a quorum has seen may be on its way to one of them.
    pub async fn everybody_allows(&self, sql: &str, epsilon: f64) {
        let mut analyst = self.analyst().await;
        for _ in 0..20 {
            let dataset = analyst.dataset("heart").await.unwrap();
            let question = sottovoce::ask::question(&dataset, sql, epsilon, "research", 1);
            let said = analyst.explain(question).await.unwrap();
            if said.len() == 4 && said.iter().all(|owner| owner.verdict() != "refuse") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(500)).await; // polls a condition, for at most ten seconds
        }
        panic!("some owner still refuses");
    }

    /// Waits until so many agents share a live epoch.
    pub async fn agents_in_epoch(&self, agents: u32) {
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

    /// Waits until so many hospitals offer the heart data.
    pub async fn sites_of_heart(&self, sites: usize) {
        let mut analyst = self.analyst().await;
        for _ in 0..600 {
            if analyst.dataset("heart").await.unwrap().sites.len() == sites {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await; // polls a condition, for at most a minute
        }
        panic!("never offered by {sites}");
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub async fn left(&self, site: &str) -> f64 {
        let dataset = self.analyst().await.dataset("heart").await.unwrap();
        let site = dataset
            .sites
            .iter()
            .find(|known| known.participant == site)
            .expect("the site is listed");
        site.budget.as_ref().expect("the owner shows its budget").epsilon_left
    }
}

/// Waits until owners were asked, so that what is killed now is killed in the middle.
pub async fn round_began(analyst: &mut Client, job: &str) {
    let mut events = analyst.watch(job).await.unwrap();
    loop {
        match events.next().await.unwrap().expect("the job has not ended") {
            Event::Progress(progress) if matches!(&*progress.phase, "queued" | "waiting") => {}
            _ => return,
        }
    }
}

/// A steward for every participant's organisation.
pub fn enrol_stewards(spec: &mut Spec) {
    for site in &spec.participants {
        spec.stewards.push(Steward {
            name: format!("steward-{}", site.name),
            organisation: site.organisation.clone(),
        });
    }
}

/// What an analyst asks every owner for: two columns, for an hour.
pub async fn terms(analyst: &mut Client) -> governance::grant::Terms {
    let dataset = analyst.dataset("heart").await.unwrap();
    let owners = analyst.participants().await.unwrap();
    let now_ms = sottovoce::client::now_ms();
    governance::grant::Terms {
        requester: analyst.by().id,
        organisation: analyst.by().organisation,
        dataset: "heart".to_owned(),
        owners: owners.into_iter().map(|owner| owner.organisation).collect(),
        columns: governance::grant::Extent::Only(["sex", "age"].map(str::to_owned).into()),
        aggregates: governance::grant::Extent::All,
        purposes: ["research".to_owned()].into(),
        actions: [governance::Action::Query].into(),
        epsilon: governance::canonical::Real::new(3.0).unwrap(),
        delta: dataset.contract.delta,
        from_ms: now_ms,
        until_ms: now_ms + 3_600_000,
    }
}
