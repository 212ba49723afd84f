//! A consortium to measure: real processes, real mutual TLS, real databases, on this machine. The parties are this same
//! executable under hidden subcommands. Two kinds: plain ones, whose rounds carry a vector of a given length over no data (so
//! that a round is measured and not a query), and ones that answer SQL over small files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use engine::participant::{self, ComputeFailed};
use engine::step::Compute;
use governance::decision::LocalRules;
use privacy::{Clipped, ExactSampler, NoiseBatch, Noised};
use proto::identity::Role;
use sotto_participant::Process;
use sotto_participant::config::Config;
use sotto_participant::driver::Executor;
use sotto_participant::serving::Serving;
use sotto_participant::status::Command;
use sottovoce::Question;
use sottovoce::local::child::{log_to_stderr, parent_gone, runtime};
use sottovoce::local::{Analyst, Running, Site, Spec, State, Steward, start};

use crate::watched::Watched;

/// Agents with this prefix accept every round and then fail to compute: dropouts at the worst moment.
const DROPPING: &str = "drop-";
/// Tells the children that they serve the plain workload.
const PLAIN: &str = "SOTTO_EXPERIMENT_PLAIN";
/// And that they list nobody: whoever asks needs a grant.
const BY_GRANT: &str = "SOTTO_EXPERIMENT_BY_GRANT";

#[derive(clap::Args)]
pub struct Child {
    #[arg(long)]
    config: PathBuf,
    #[arg(long)]
    announce: bool,
}

impl Child {
    pub fn coordinator(self) {
        log_to_stderr();
        let workloads = if is_plain() {
            tests::plain::workloads()
        } else {
            workload::workloads()
        };
        let run = sotto_coordinator::run_with(&self.config, workloads, self.announce, parent_gone());
        finish(runtime().map(|runtime| runtime.block_on(run)));
    }

    pub fn participant(self) {
        log_to_stderr();
        let run = async {
            if !is_plain() {
                return sotto_participant::run(&self.config, self.announce, parent_gone()).await;
            }
            let config = Config::load(&self.config)?;
            let drops = self.config.to_string_lossy().contains(DROPPING);
            let process = Process::from(&config);
            let serving = plain_serving(drops, config.stewards.clone());
            sotto_participant::serve(
                &process,
                tests::plain::workloads(),
                serving,
                self.announce,
                parent_gone(),
            )
            .await
        };
        finish(runtime().map(|runtime| runtime.block_on(run)));
    }
}

fn is_plain() -> bool {
    std::env::var_os(PLAIN).is_some()
}

fn finish<E: std::fmt::Display, F: std::fmt::Display>(result: Result<Result<(), E>, F>) {
    let error = match result {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    eprintln!("{error}");
    std::process::exit(1);
}

/// What an agent over no data offers: the plain workload's dataset, with and without noise.
fn plain_serving(drops: bool, stewards: BTreeSet<governance::VerifyingKey>) -> Serving {
    let contract = Arc::new(tests::plain::contract());
    let mut rules = LocalRules::default();
    if std::env::var_os(BY_GRANT).is_none() {
        rules.analysts.insert(contract.name.clone(), ["*".to_owned()].into());
    }
    let dataset = participant::Dataset {
        contract,
        snapshot: "none".to_owned(),
        population: "nobody".to_owned(),
        min_cohort: 0,
        paused: false,
        without_noise: approvals(),
        show_budget: false,
    };
    let cap = privacy::Cap::new(1e6, 1e-3, privacy::Renewal::Never).expect("a cap within range");
    let budget = participant::Budget {
        cap,
        analysts: [("*".to_owned(), cap)].into(),
        approvals: approvals(),
    };
    Serving {
        limits: engine::participant::Limits::default(),
        datasets: vec![dataset],
        refused: BTreeMap::new(),
        rules: rules.into(),
        stewards,
        budgets: [("nobody".to_owned(), budget)].into(),
        approvers: BTreeMap::new(),
        approvals: Vec::new(),
        executor: Arc::new(PlainExecutor { drops }),
        consents: None,
        watch: None,
    }
}

fn steward_of(participant: &str) -> String {
    format!("steward-{participant}")
}

fn approvals() -> Vec<String> {
    vec!["first".to_owned(), "second".to_owned()]
}

/// A vector of ones, clipped and noised as a real one: what a round costs without what a query costs.
struct PlainExecutor {
    drops: bool,
}

impl Executor for PlainExecutor {
    fn run(&self, job: &Compute) -> Result<Noised, ComputeFailed> {
        if self.drops {
            return Err(ComputeFailed("this agent drops out of every round".to_owned()));
        }
        let fail = |error: privacy::ClipError| ComputeFailed(error.to_string());
        let plan = &job.plan;
        let noise = match plan.variance {
            0 => NoiseBatch::none(plan.dim),
            variance => NoiseBatch::draw(plan.dim, variance, &mut ExactSampler::new(rand::random())).map_err(fail)?,
        };
        Clipped::clamp(vec![1; plan.dim], &plan.bounds)
            .and_then(|clipped| clipped.add(noise))
            .map_err(fail)
    }
}

/// A running consortium of `participants`, of which `dropping` drop out of every round.
pub struct Consortium {
    pub running: Running,
    pub runtime: tokio::runtime::Runtime,
    folder: tempfile::TempDir,
    state: State,
}

impl Consortium {
    pub fn plain(participants: usize, colluders: u32, dropping: usize) -> Self {
        let sites = (0..participants).map(|i| {
            let prefix = if i < dropping { DROPPING } else { "agent-" };
            Site {
                name: format!("{prefix}{i:03}"),
                organisation: format!("Site {i}"),
                config: toml::Table::new(),
            }
        });
        Self::start(colluders, sites.collect(), &[(PLAIN, "1")])
    }

    /// Plain agents that list nobody, each with a steward of its organisation.
    pub fn plain_by_grant(participants: usize, colluders: u32) -> Self {
        let sites = (0..participants).map(|i| Site {
            name: format!("agent-{i:03}"),
            organisation: format!("Site {i}"),
            config: toml::Table::new(),
        });
        let mut spec = Self::spec(colluders, sites.collect());
        let steward = |site: &Site| Steward {
            name: steward_of(&site.name),
            organisation: site.organisation.clone(),
        };
        spec.stewards = spec.participants.iter().map(steward).collect();
        Self::started(&spec, &[(PLAIN, "1"), (BY_GRANT, "1")])
    }

    pub fn start(colluders: u32, participants: Vec<Site>, environment: &[(&str, &str)]) -> Self {
        Self::started(&Self::spec(colluders, participants), environment)
    }

    fn spec(colluders: u32, participants: Vec<Site>) -> Spec {
        let n = participants.len() as u32;
        Spec {
            name: "Experiment".to_owned(),
            colluders,
            min_cohort: (n + colluders) / 2 + 1,
            listen: ([127, 0, 0, 1], 0).into(),
            analyst: Analyst {
                name: "experimenter".to_owned(),
                organisation: "Bench".to_owned(),
                purpose: Some("research".to_owned()),
            },
            stewards: Vec::new(),
            participants,
        }
    }

    fn started(spec: &Spec, environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let runtime = runtime().unwrap_or_else(|error| panic!("{error}"));
        let state = State::prepare(folder.path(), spec).unwrap_or_else(|error| panic!("{error}"));
        let executable = std::env::current_exe().expect("this executable has a path");
        let tell = &mut |line: &str| eprintln!("{line}");
        let running = runtime
            .block_on(start(&executable, spec, &state, environment, tell))
            .unwrap_or_else(|error| panic!("{error}"));
        Self {
            running,
            runtime,
            folder,
            state,
        }
    }

    /// Where the agents' operators speak to them, in order of name.
    pub fn sockets(&self) -> Vec<PathBuf> {
        let folders = std::fs::read_dir(self.folder.path().join("participants")).expect("the participants' folder");
        let mut sockets: Vec<PathBuf> = folders
            .flatten()
            .map(|folder| folder.path().join("participant.sock"))
            .collect();
        sockets.sort();
        sockets
    }

    /// The identity of the steward for one participant's organisation.
    pub fn steward(&self, participant: &str) -> PathBuf {
        self.state.identity(Role::Steward, &steward_of(participant))
    }

    pub fn stop(self) {
        self.runtime.block_on(self.running.stop());
    }

    /// What the parties used so far.
    pub fn counters(&self) -> Counters {
        self.runtime.block_on(self.count())
    }

    /// The same from within the runtime. CPU is read first, as asking the agents takes milliseconds.
    pub async fn count(&self) -> Counters {
        let ids = self.running.process_ids();
        let (coordinator_cpu, participants_cpu) = self.cpu();
        Counters {
            coordinator_cpu,
            participants_cpu,
            bytes_up: self.bytes_up().await as f64,
            coordinator_peak_mib: peak_mib(ids[0]),
            agent_peak_mib: ids[1..].iter().map(|id| peak_mib(*id)).fold(0.0, f64::max),
        }
    }

    /// Peak memory counts from now on: 5 to `clear_refs` resets it, proc_pid_clear_refs(5).
    pub fn reset_peaks(&self) {
        for id in self.running.process_ids() {
            let path = format!("/proc/{id}/clear_refs");
            std::fs::write(&path, "5").unwrap_or_else(|error| panic!("{path}: {error}"));
        }
    }

    /// Sums vectors of `dim` values, `rounds` times, and answers when the rounds began. `variance` is that of an agent's
    /// noise share; 0 draws none.
    pub fn sum_vectors(&self, dim: usize, rounds: u32, variance: u64) -> Watched {
        let contract = tests::plain::contract();
        let task = tests::plain::Task {
            dim,
            ring: "z32".to_owned(),
            rounds,
            variance,
        };
        let question = Question {
            dataset: contract.name.clone(),
            contract: contract.hash(),
            purpose: "research".to_owned(),
            kind: tests::plain::KIND.to_owned(),
            task: task.to_json(),
            epsilon: 1.0,
            delta: 1e-6,
            max_attempts: 3,
            valid_for: std::time::Duration::from_secs(3600),
        };
        let run = async {
            let mut client = self.running.connect().await?;
            Watched::job(self, &mut client, question).await
        };
        self.runtime.block_on(run).unwrap_or_else(|error| panic!("{error}"))
    }

    /// CPU of the coordinator and of all participants so far, in seconds.
    fn cpu(&self) -> (f64, f64) {
        let ids = self.running.process_ids();
        let cpu: Vec<f64> = ids.iter().map(|id| cpu_seconds(*id)).collect();
        (cpu[0], cpu[1..].iter().sum())
    }

    /// What every agent says of itself over its local socket. All are asked at once: a round goes on meanwhile.
    async fn bytes_up(&self) -> u64 {
        let asked: tokio::task::JoinSet<u64> = self
            .sockets()
            .into_iter()
            .map(|socket| async move {
                let status = sotto_participant::socket::ask(&socket, &Command::Status)
                    .await
                    .unwrap_or_else(|error| panic!("{}: {error}", socket.display()));
                status["bytes_sent"].as_u64().unwrap_or_default()
            })
            .collect();
        asked.join_all().await.into_iter().sum()
    }

    /// Asks one question in SQL at epsilon 1 and waits for the answer.
    pub fn query(&self, sql: &str) {
        self.runtime.block_on(async {
            let mut client = self.running.connect().await.unwrap_or_else(|error| panic!("{error}"));
            sottovoce::ask::ask(&mut client, sql, 1.0, "research")
                .await
                .unwrap_or_else(|error| panic!("{error}"));
        });
    }
}

/// CPU in seconds (user and system), bytes that agents handed to TLS, memory in MiB.
#[derive(Clone, Copy)]
pub struct Counters {
    pub coordinator_cpu: f64,
    pub participants_cpu: f64,
    pub bytes_up: f64,
    pub coordinator_peak_mib: f64,
    /// Of the agent that used most.
    pub agent_peak_mib: f64,
}

impl Counters {
    /// What each of `rounds` rounds used since `earlier`; peaks stay peaks.
    pub fn per_round(&self, earlier: &Self, rounds: u32) -> Self {
        let each = |now: f64, then: f64| (now - then) / f64::from(rounds.max(1));
        Self {
            coordinator_cpu: each(self.coordinator_cpu, earlier.coordinator_cpu),
            participants_cpu: each(self.participants_cpu, earlier.participants_cpu),
            bytes_up: each(self.bytes_up, earlier.bytes_up),
            ..*self
        }
    }
}

fn cpu_seconds(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // Fields 14 and 15 of proc(5), counted after the command's closing parenthesis; a tick is 10 ms on Linux.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |i: usize| fields.get(i).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

pub fn peak_mib(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap_or_default();
    line.split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse::<f64>().ok())
        .unwrap_or(0.0)
        / 1024.0
}
