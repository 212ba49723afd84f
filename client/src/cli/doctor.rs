//! `sotto doctor`: everything that stands between this machine and an answer, checked in the order in which it would fail.

use std::collections::BTreeSet;
use std::path::Path;

use clap::Args;
use governance::request::MAX_SKEW_MS;
use proto::handshake::{PROTOCOL_MAX, PROTOCOL_MIN, SOFTWARE};
use proto::identity::{Identity, OTHER_COORDINATOR};
use proto::v1;
use serde_json::json;

use super::dataset::resting;
use super::remote::{Remote, load_identity};
use crate::client::now_ms;
use crate::datasets::Dataset;
use crate::grants::Suspended;
use crate::output::Paint;
use crate::profile::{self, Profile};
use crate::{Client, Exit, Problem};

const DAY_S: i64 = 86_400;
const NOT_CONNECTED: &str = "refused: is the coordinator running at this address? certificate: is its roster as new as yours, \
                             is your certificate from its authority? timed out: firewall, name";

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto doctor
  sotto doctor --json                  for a monitoring script; exit code 7 if something is wrong")]
pub struct Doctor {
    #[command(flatten)]
    remote: Remote,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fine,
    Soon,
    Wrong,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Soon => "soon",
            Self::Wrong => "WRONG",
        }
    }
}

struct Finding {
    check: &'static str,
    state: State,
    found: String,
    remedy: String,
}

impl Doctor {
    pub async fn run(self, json: bool) -> Result<(), Problem> {
        let findings = examine(&self.remote).await;
        let wrong = findings.iter().filter(|finding| finding.state == State::Wrong).count();
        let problem = (wrong > 0).then(|| {
            let text = format!("{wrong} of {} checks found something wrong", findings.len());
            Problem::new(Exit::Unwell, "SOTTO-7501", text)
                .remedy("the first line marked WRONG: what follows it often follows from it")
        });
        if json {
            let checks = findings.iter().map(|finding| {
                let Finding {
                    check,
                    state,
                    found,
                    remedy,
                } = finding;
                json!({ "check": check, "state": state.word(), "found": found, "remedy": remedy })
            });
            let checks: Vec<_> = checks.collect();
            let mut object = json!({ "well": wrong == 0, "checks": checks });
            if let Some(problem) = &problem {
                object["error"] = problem.to_json()["error"].take();
            }
            println!("{object:#}");
        } else {
            print!("{}", list(&findings, Paint::detect(&std::io::stdout())));
        }
        match problem {
            None => Ok(()),
            Some(problem) => Err(problem.told(json)),
        }
    }
}

/// One line a check, the remedy below it.
fn list(findings: &[Finding], paint: Paint) -> String {
    let mut text = String::new();
    for finding in findings {
        let word = format!("{:<6}", finding.state.word());
        let word = match finding.state {
            State::Fine => paint.green(&word),
            State::Soon => paint.bold(&word),
            State::Wrong => paint.red(&word),
        };
        text += &format!("{word} {:<12} {}\n", finding.check, finding.found);
        if !finding.remedy.is_empty() {
            text += &format!("{:<19} try: {}\n", "", finding.remedy);
        }
    }
    text
}

async fn examine(remote: &Remote) -> Vec<Finding> {
    let mut findings = Vec::new();
    let profile = match remote.resolve() {
        Ok(profile) => profile,
        Err(problem) => {
            findings.push(wrong("profile", problem));
            return findings;
        }
    };
    let path = profile::locate(remote.profile.as_deref()).unwrap_or_default();
    findings.push(fine("profile", describe_profile(&profile, &path)));
    let identity = match load_identity(&profile) {
        Ok(identity) => identity,
        Err(problem) => {
            findings.push(wrong("identity", problem));
            return findings;
        }
    };
    let member = &identity.member;
    findings.push(fine(
        "identity",
        format!("{} `{}` of {}", member.role, member.name, member.organisation),
    ));
    findings.push(certificate(&identity, (now_ms() / 1000) as i64));
    let (governance, version) = (identity.governance, identity.roster.version);
    let mut client = match Client::connect(&profile.coordinator, identity).await {
        Ok(client) => client,
        Err(problem) => {
            let problem = match problem.code == OTHER_COORDINATOR {
                true => problem,
                false => problem.remedy(NOT_CONNECTED),
            };
            findings.push(wrong("connection", problem));
            return findings;
        }
    };
    let before = now_ms();
    let status = match client.status().await {
        Ok(status) => status,
        Err(problem) => {
            findings.push(wrong("connection", problem));
            return findings;
        }
    };
    let after = now_ms();
    findings.push(fine(
        "connection",
        format!("{} in {} ms, mutual TLS", profile.coordinator, after - before),
    ));
    findings.push(protocol(&status));
    findings.push(clock(&status, before, after));
    findings.push(roster(&status, &governance, version));
    findings.push(cohort(&status));
    findings.extend(contracts(&mut client, &status).await);
    findings
}

fn describe_profile(profile: &Profile, path: &Path) -> String {
    let purpose = profile.purpose.as_deref().unwrap_or("none");
    format!("{} -> {}, purpose {purpose}", path.display(), profile.coordinator)
}

fn certificate(identity: &Identity, now_s: i64) -> Finding {
    let renew = "`sotto enroll request` under the same name, `sotto enroll approve --replace`, `sotto enroll install`";
    let days = (identity.certificate_until_s - now_s).div_euclid(DAY_S);
    if now_s < identity.certificate_from_s {
        finding(
            "certificate",
            State::Wrong,
            "it is not valid yet".into(),
            "set this machine's clock",
        )
    } else if now_s >= identity.certificate_until_s {
        finding(
            "certificate",
            State::Wrong,
            format!("expired {} days ago", -days),
            renew,
        )
    } else if days < 30 {
        finding("certificate", State::Soon, format!("expires in {days} days"), renew)
    } else {
        fine("certificate", format!("valid for {days} days"))
    }
}

fn protocol(status: &v1::Status) -> Finding {
    let found = format!(
        "coordinator {} speaks {}..{}, this is {SOFTWARE} and speaks {PROTOCOL_MIN}..{PROTOCOL_MAX}",
        status.software, status.protocol_min, status.protocol_max
    );
    let common = status.protocol_min <= PROTOCOL_MAX && PROTOCOL_MIN <= status.protocol_max;
    let older = if status.protocol_max < PROTOCOL_MIN {
        "upgrade the coordinator"
    } else {
        "upgrade this `sotto`"
    };
    if common {
        fine("protocol", found)
    } else {
        finding("protocol", State::Wrong, found, older)
    }
}

/// The coordinator answered between `before` and `after` by our clock.
fn clock(status: &v1::Status, before: u64, after: u64) -> Finding {
    let middle = i128::from(before + (after - before) / 2);
    let ahead = middle - i128::from(status.now_ms);
    let found = format!(
        "{} ms {} the coordinator's",
        ahead.abs(),
        if ahead < 0 { "behind" } else { "ahead of" }
    );
    let limit = i128::from(MAX_SKEW_MS);
    let remedy = "synchronise this machine's clock (chrony, systemd-timesyncd), then the coordinator's";
    match ahead.abs() {
        skew if skew > limit => finding("clock", State::Wrong, found, remedy),
        skew if skew > limit / 4 => finding("clock", State::Soon, found, remedy),
        _ => fine("clock", found),
    }
}

fn roster(status: &v1::Status, governance: &governance::VerifyingKey, ours: u64) -> Finding {
    let Some(signed) = status.roster.clone() else {
        return finding(
            "roster",
            State::Wrong,
            "the coordinator shows none".into(),
            "ask its operator to set `roster`",
        );
    };
    let verified = governance::SignedRoster::try_from(signed).map_err(|error| error.to_string());
    match verified.and_then(|signed| signed.verify(governance).map_err(|error| error.to_string())) {
        Err(error) => finding(
            "roster",
            State::Wrong,
            error,
            "ask the governance holder which governance key is right",
        ),
        Ok(roster) => {
            let agents = roster.agents.len();
            let found = format!(
                "`{}` version {}, signed by governance, {agents} agents",
                roster.consortium, roster.version
            );
            match roster.version.cmp(&ours) {
                std::cmp::Ordering::Less => finding(
                    "roster",
                    State::Wrong,
                    format!("{found}; yours is version {ours}"),
                    "the coordinator's roster is old: give its operator the newest roster.json",
                ),
                _ => fine("roster", found),
            }
        }
    }
}

fn cohort(status: &v1::Status) -> Finding {
    let needed = status.threshold.max(status.min_cohort);
    let found = format!(
        "{} participants online, {} in the epoch, {needed} needed, {} tolerated colluders",
        status.agents_online, status.epoch_present, status.colluders
    );
    let live = status.epoch_present >= needed;
    let remedy = "`sotto participant` says who is missing; their operators read `sotto-participant status`";
    if live {
        fine("cohort", found)
    } else {
        finding("cohort", State::Wrong, found, remedy)
    }
}

async fn contracts(client: &mut Client, status: &v1::Status) -> Vec<Finding> {
    let catalogue = match client.catalogue().await {
        Ok(catalogue) => catalogue,
        Err(problem) => return vec![wrong("contract", problem)],
    };
    // Of several versions the one that the name means: the others may well be on their way in or out.
    let names: BTreeSet<&str> = catalogue.datasets.iter().map(|dataset| dataset.name.as_str()).collect();
    let datasets: Vec<&Dataset> = names.into_iter().filter_map(|name| catalogue.find(name).ok()).collect();
    if datasets.is_empty() {
        let remedy = "owners list datasets in participant.toml; `sotto-participant check` says why one is not served";
        return vec![finding(
            "contract",
            State::Wrong,
            "nobody offers a dataset".into(),
            remedy,
        )];
    }
    let decided = match client.decided().await {
        Ok(decided) => decided,
        Err(problem) => return vec![wrong("contract", problem)],
    };
    let mut findings = Vec::new();
    for dataset in datasets {
        let serving = dataset.serving().count();
        let owners = dataset
            .sites
            .iter()
            .map(|site| site.min_cohort)
            .max()
            .unwrap_or_default();
        let needed = owners.max(status.min_cohort).max(status.threshold) as usize;
        let mut found = format!(
            "`{}` {}: {serving} serve it, {needed} needed",
            dataset.name, dataset.contract.version
        );
        if let paused @ [_, ..] = dataset.paused().as_slice() {
            found += &format!("; {}", resting(paused));
        }
        let stopped = decided.suspensions(dataset);
        for stopped in &stopped {
            found += &format!("; {}", stopped.words);
        }
        let stops = |stopped: &Suspended| stopped.all || serving < needed;
        findings.push(if stopped.iter().any(stops) {
            let remedy = "ask whoever suspended it: `sotto reinstate` lifts it";
            finding("contract", State::Wrong, found, remedy)
        } else if serving >= needed {
            fine("contract", found)
        } else {
            finding(
                "contract",
                State::Wrong,
                found,
                "`sotto participant` says who is missing or serves another contract",
            )
        });
    }
    findings
}

fn fine(check: &'static str, found: String) -> Finding {
    finding(check, State::Fine, found, "")
}

fn wrong(check: &'static str, problem: Problem) -> Finding {
    let remedy = problem.remedy.unwrap_or_default();
    finding(
        check,
        State::Wrong,
        format!("{}: {}", problem.code, problem.message),
        &remedy,
    )
}

fn finding(check: &'static str, state: State, found: String, remedy: &str) -> Finding {
    Finding {
        check,
        state,
        found,
        remedy: remedy.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_judged_against_the_middle_of_the_call() {
        let status = |now_ms| v1::Status {
            now_ms,
            ..Default::default()
        };
        assert_eq!(clock(&status(1_000_050), 1_000_000, 1_000_100).state, State::Fine);
        assert_eq!(clock(&status(1_000_000), 1_040_000, 1_040_000).state, State::Soon);
        let behind = clock(&status(2_000_000), 1_000_000, 1_000_100);
        assert_eq!(behind.state, State::Wrong);
        assert!(behind.found.contains("behind") && !behind.remedy.is_empty());
    }

    #[test]
    fn an_epoch_below_the_threshold_and_a_foreign_protocol_are_wrong() {
        let mut status = v1::Status {
            epoch_live: true,
            epoch_members: 4,
            epoch_present: 4,
            agents_online: 4,
            threshold: 3,
            min_cohort: 3,
            ..Default::default()
        };
        assert_eq!(cohort(&status).state, State::Fine);
        status.epoch_present = 2;
        assert_eq!(cohort(&status).state, State::Wrong);
        (status.protocol_min, status.protocol_max) = (7, 9);
        assert!(protocol(&status).remedy.contains("upgrade this"));
    }

    #[test]
    fn no_profile_is_a_finding_with_a_remedy_and_not_a_crash() {
        let remote = Remote {
            profile: Some("/nonexistent/profile.toml".into()),
            coordinator: None,
            identity: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let findings = runtime.block_on(examine(&remote));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].state, State::Wrong);
        assert!(!findings[0].remedy.is_empty());
    }
}
