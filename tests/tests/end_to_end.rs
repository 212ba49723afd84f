//! The real thing over real sockets: five processes, mutual TLS, SQLite, kill -9. The world is built anew for every story and
//! takes a second or two; each story asks real SQL over the four hospitals of the heart data.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sottovoce::local::{Analyst, Running, Site, Spec, State, start};
use sottovoce::{Client, Event, Problem, Question};
use tests::canary;

const SITES: [&str; 4] = ["cleveland", "hungary", "switzerland", "va-long-beach"];

struct World {
    running: Running,
    folder: tempfile::TempDir,
}

impl World {
    async fn of_hospitals(budget: f64) -> Self {
        Self::with(budget, |_, _| {}).await
    }

    async fn with(budget: f64, change: impl Fn(&str, &mut toml::Table)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = root().join("client/demo");
        let sites = SITES.iter().map(|name| {
            let contract = root().join("governance/contracts/heart.toml");
            let file = data.join(format!("{name}.csv"));
            let mut config: toml::Table = toml::from_str(&format!(
                "[[dataset]]\ncontract = {contract:?}\nfiles = [{file:?}]\npopulation = \"patients\"\nanalysts = [\"*\"]\n\
                 [[population]]\nid = \"patients\"\nepsilon = {budget:?}\ndelta = 1e-5\n"
            ))
            .unwrap();
            change(name, &mut config);
            Site { name: (*name).to_owned(), organisation: format!("{name} hospital"), config }
        });
        let spec = Spec {
            name: "Hearts".to_owned(),
            colluders: 1,
            min_cohort: 3,
            listen: free_address(),
            analyst: Analyst { name: "ana".to_owned(), organisation: "University".to_owned(), purpose: None },
            participants: sites.collect(),
        };
        let state = State::prepare(folder.path(), &spec).unwrap();
        let running = start(Path::new(env!("CARGO_BIN_EXE_party")), &spec, &state, &[], &mut |_| {}).await.unwrap();
        Self { running, folder }
    }

    async fn analyst(&self) -> Client {
        self.running.connect().await.unwrap()
    }

    async fn ask(&self, sql: &str, epsilon: f64) -> Result<serde_json::Value, Problem> {
        let mut analyst = self.analyst().await;
        let dataset = analyst.dataset("heart").await?;
        let question = Question {
            dataset: "heart".to_owned(),
            contract: dataset.contract.hash(),
            purpose: "research".to_owned(),
            kind: workload::query::KIND.to_owned(),
            task: workload::query::QueryTask::new(sql).to_json(),
            epsilon,
            delta: dataset.contract.delta,
            max_attempts: 3,
            valid_for: Duration::from_secs(60),
        };
        let request = analyst.sign(question)?;
        let submitted = analyst.submit(request).await?;
        if let Some(answer) = submitted.repeated {
            return Ok(answer.to_json());
        }
        let mut events = analyst.watch(&submitted.job).await?;
        loop {
            match events.next().await? {
                Some(Event::Answer(answer)) => return Ok(answer.to_json()),
                Some(Event::Failed(problem)) => return Err(problem),
                Some(Event::Progress(_)) => {}
                None => panic!("the coordinator closed the stream"),
            }
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A port that was free a moment ago: a coordinator that is killed must come back at the same address.
fn free_address() -> std::net::SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
