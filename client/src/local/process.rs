//! Starting, watching and stopping the children of a local consortium.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use proto::identity::Identity;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::spec::Spec;
use super::state::State;
use crate::profile::Profile;
use crate::{Client, Exit, Problem};

/// From start to announcement; a debug build on a busy machine needs seconds.
const READY: Duration = Duration::from_secs(60);
/// From the last announcement until all are in one epoch.
const EPOCH: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(5);

/// A running consortium. Dropping it closes the children's standard input, at which they stop.
pub struct Running {
    pub profile: Profile,
    pub participants: usize,
    children: Vec<Party>,
}

struct Party {
    name: String,
    log: PathBuf,
    process: Child,
    stdin: Option<ChildStdin>,
    /// Kept open: a closed pipe would be an error to whoever prints.
    announcements: Lines<BufReader<ChildStdout>>,
    command: Command,
    /// Its end was reported.
    told: bool,
}

/// Starts coordinator and participants with `executable` and waits until all are in one live epoch; `tell` hears of each
/// step.
pub async fn start(
    executable: &Path,
    spec: &Spec,
    state: &State,
    environment: &[(&str, &str)],
    tell: &mut dyn FnMut(&str),
) -> Result<Running, Problem> {
    tell("starting the coordinator");
    let config = state.write_coordinator(spec)?;
    let mut coordinator = Party::spawn(executable, "__coordinator", &config, "coordinator", state, environment)?;
    let address = coordinator.ready().await?;

    let mut children = vec![coordinator];
    for site in &spec.participants {
        let config = state.write_participant(spec, site, &address)?;
        children.push(Party::spawn(
            executable,
            "__participant",
            &config,
            &site.name,
            state,
            environment,
        )?);
    }
    for child in &mut children[1..] {
        tell(&format!("starting {}", child.name));
        child.ready().await?;
    }
    let profile = state.write_profile(spec, &address)?;
    let mut running = Running {
        profile,
        participants: spec.participants.len(),
        children,
    };
    running.wait_for_epoch(tell).await?;
    Ok(running)
}

impl Running {
    /// A connection as the consortium's analyst.
    pub async fn connect(&self) -> Result<Client, Problem> {
        let identity = Identity::load(&self.profile.identity)
            .map_err(|error| Problem::new(Exit::Local, "SOTTO-7109", error.to_string()))?;
        Client::connect(&self.profile.coordinator, identity).await
    }

    /// Operating-system ids of the parties: the coordinator's, then the participants'. Measurements read their counters.
    pub fn process_ids(&self) -> Vec<u32> {
        self.children.iter().filter_map(|child| child.process.id()).collect()
    }

    /// Kills a party as `kill -9` does: nothing is flushed, nobody is told.
    pub async fn kill(&mut self, name: &str) -> Result<(), Problem> {
        let child = self.child(name)?;
        child.process.kill().await.map_err(|error| Problem::local(name, error))
    }

    /// Starts a killed party again, with the configuration and the store that it had.
    pub async fn restart(&mut self, name: &str) -> Result<(), Problem> {
        let child = self.child(name)?;
        let (process, stdin, announcements) = launch(&mut child.command, name)?;
        (child.process, child.stdin, child.announcements) = (process, stdin, announcements);
        child.ready().await.map(drop)
    }

    fn child(&mut self, name: &str) -> Result<&mut Party, Problem> {
        let unknown = || Problem::local(name, "no party of this name");
        self.children
            .iter_mut()
            .find(|child| child.name == name)
            .ok_or_else(unknown)
    }

    /// Waits until a child ends that has not been told of: whether the consortium ended with it, and why.
    pub async fn ended(&mut self) -> (bool, Problem) {
        loop {
            for (i, child) in self.children.iter_mut().enumerate().filter(|(_, child)| !child.told) {
                if let Ok(Some(status)) = child.process.try_wait() {
                    child.told = true;
                    return (i == 0, child.problem(&format!("ended: {status}")));
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await; // looks at every child without owning its end
        }
    }

    /// Asks all to stop, in order, and takes the stubborn by force.
    pub async fn stop(mut self) {
        for child in self.children.iter_mut().rev() {
            child.stdin.take();
        }
        let deadline = Instant::now() + STOP;
        for child in &mut self.children {
            let left = deadline.saturating_duration_since(Instant::now());
            if timeout(left, child.process.wait()).await.is_err() {
                let _ = child.process.kill().await;
            }
        }
    }

    async fn wait_for_epoch(&mut self, tell: &mut dyn FnMut(&str)) -> Result<(), Problem> {
        let mut client = self.connect().await?;
        let deadline = Instant::now() + EPOCH;
        loop {
            let status = client.status().await?;
            let members = status.epoch_present as usize;
            if members >= self.participants {
                return Ok(());
            }
            tell(&format!(
                "agreeing on keys: {members} of {} participants",
                self.participants
            ));
            for child in &mut self.children {
                if let Ok(Some(status)) = child.process.try_wait() {
                    return Err(child.problem(&format!("ended: {status}")));
                }
            }
            if Instant::now() > deadline {
                let online = status.agents_online;
                return Err(Problem::new(
                    Exit::Failed,
                    "SOTTO-7402",
                    format!("no live epoch: {online} of {} participants online", self.participants),
                )
                .remedy(format!("read {}", self.children[0].log.display())));
            }
            tokio::time::sleep(Duration::from_millis(50)).await; // between two looks, until the deadline above
        }
    }
}

type Launched = (Child, Option<ChildStdin>, Lines<BufReader<ChildStdout>>);

fn launch(command: &mut Command, name: &str) -> Result<Launched, Problem> {
    let mut process = command
        .spawn()
        .map_err(|error| Problem::local(format!("cannot start {name}"), error))?;
    let stdin = process.stdin.take();
    let stdout = process
        .stdout
        .take()
        .ok_or_else(|| Problem::local(name, "no standard output"))?;
    Ok((process, stdin, BufReader::new(stdout).lines()))
}

impl Party {
    fn spawn(
        executable: &Path,
        role: &str,
        config: &Path,
        name: &str,
        state: &State,
        environment: &[(&str, &str)],
    ) -> Result<Self, Problem> {
        let log = state.log(name);
        let fail = |error| Problem::local(format!("cannot start {name}"), error);
        let file = OpenOptions::new().create(true).append(true).open(&log).map_err(fail)?;
        let mut command = Command::new(executable);
        command
            .arg(role)
            .arg("--config")
            .arg(config)
            .arg("--announce")
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            // Ctrl-C is for the parent, which stops its children in order.
            .process_group(0)
            .kill_on_drop(true);
        let (process, stdin, announcements) = launch(&mut command, name)?;
        Ok(Self {
            name: name.to_owned(),
            log,
            process,
            stdin,
            announcements,
            command,
            told: false,
        })
    }

    /// Waits for the announcement; answers the address in it, empty for a party that listens nowhere.
    async fn ready(&mut self) -> Result<String, Problem> {
        match timeout(READY, self.announcements.next_line()).await {
            Err(_) => Err(self.problem(&format!("not ready after {} s", READY.as_secs()))),
            Ok(Ok(Some(line))) => {
                let line: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
                if line["ready"] != true {
                    return Err(self.problem("announced something else than readiness"));
                }
                Ok(line["address"].as_str().unwrap_or_default().to_owned())
            }
            Ok(_) => {
                let status = self
                    .process
                    .wait()
                    .await
                    .map(|status| status.to_string())
                    .unwrap_or_default();
                Err(self.problem(&format!("ended before it was ready: {status}")))
            }
        }
    }

    /// What went wrong with a child, with the last line of its log that says so.
    fn problem(&self, what: &str) -> Problem {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last = log
            .lines()
            .rev()
            .find(|line| !line.trim().is_empty())
            .unwrap_or("(its log is empty)");
        Problem::new(Exit::Failed, "SOTTO-7401", format!("{} {what}\n  {last}", self.name))
            .remedy(format!("read {}", self.log.display()))
    }
}
