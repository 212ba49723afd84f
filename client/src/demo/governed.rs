//! The tour's last three acts: a question that every owner refuses, a grant that one hospital's operator takes back, and the log, verified
//! by somebody who was never there. Each goes the way of the command that people type; about three seconds, most of it witnesses.

use std::path::Path;
use std::time::{Duration, Instant};

use governance::canonical::Real;
use governance::grant::{Action, Extent, Terms};
use governance::log::{Bundle, TrustFile, scan};
use proto::identity::{Identity, Role};
use serde_json::{Value, json};
use sotto_participant::socket;
use sotto_participant::status::Command;
use toml::Value as Setting;

use super::BUDGET;
use crate::audit::{self, AuditLog};
use crate::client::now_ms;
use crate::explained::OwnerPath;
use crate::local::{Running, Spec, State, Steward};
use crate::{Client, Problem, ask};

/// The hospital that lists nobody: it admits by grant.
pub const BY_GRANT: &str = "long-beach";
const STEWARD: &str = "steward-long-beach";
const DATASET: &str = "heart";
/// Of which the contract says nothing.
const UNWANTED: &str = "marketing";
const SQL: &str = "SELECT sex, COUNT(*) AS patients FROM heart GROUP BY sex";
/// Differs from every question before it: an answer that is there already is not asked again.
const AFTERWARDS: &str = "SELECT cp, COUNT(*) AS patients FROM heart GROUP BY cp";
const EPSILON: f64 = 0.1;
/// How long an agreed grant may take to be witnessed, and how often owners are asked meanwhile: they answer so many trials a minute.
const WITNESSED: Duration = Duration::from_secs(12);
const AGAIN: Duration = Duration::from_millis(800);
const DAY_MS: u64 = 86_400_000;

/// What the three acts showed.
pub struct Governed {
    pub refusal: Refusal,
    pub revocation: Revocation,
    pub log: Verified,
}

pub struct Refusal {
    /// As the person who asked reads it.
    pub problem: Problem,
    /// How each owner had said it would decide.
    pub owners: Vec<OwnerPath>,
}

pub struct Revocation {
    pub grant: String,
    /// From the operator's order to "done".
    pub returned_ms: f64,
    pub before: u32,
    pub after: u32,
    pub owner: OwnerPath,
    /// Organisations whose revoked grant the first answer of the tour now carries as a flag.
    pub flagged: Vec<String>,
}

pub struct Verified {
    pub entries: u64,
    pub witnesses: Vec<String>,
    /// Accesses that no permission covers.
    pub uncovered: usize,
    pub flipped: u64,
    /// What verification says of the flipped byte.
    pub found: String,
}

/// One hospital lists nobody and has a steward who may grant.
pub fn by_grant(spec: &mut Spec) -> Result<(), Problem> {
    let missing = || Problem::local("the tour's consortium", format!("no hospital `{BY_GRANT}`"));
    let site = spec
        .participants
        .iter_mut()
        .find(|site| site.name == BY_GRANT)
        .ok_or_else(missing)?;
    let datasets = site
        .config
        .get_mut("dataset")
        .and_then(Setting::as_array_mut)
        .ok_or_else(missing)?;
    for dataset in datasets.iter_mut().filter_map(Setting::as_table_mut) {
        dataset.insert("analysts".to_owned(), Setting::Array(Vec::new()));
    }
    spec.stewards.push(Steward {
        name: STEWARD.to_owned(),
        organisation: site.organisation.clone(),
    });
    Ok(())
}

/// The analyst asks for the grant, the hospital's steward approves, and every owner would answer. The grant's id.
pub async fn granted(client: &mut Client, running: &Running, state: &State) -> Result<String, Problem> {
    let dataset = client.dataset(DATASET).await?;
    let owner = organisation(client).await?;
    let (real, from_ms) = (
        |x: f64| Real::new(x).ok_or_else(|| Problem::usage("not a number")),
        now_ms(),
    );
    let terms = Terms {
        requester: client.by().id,
        organisation: client.by().organisation,
        dataset: DATASET.to_owned(),
        owners: [owner].into(),
        columns: Extent::All,
        aggregates: Extent::All,
        purposes: ["research".to_owned()].into(),
        actions: Action::ALL.into(),
        epsilon: real(BUDGET)?,
        delta: dataset.contract.delta,
        from_ms,
        until_ms: from_ms + DAY_MS,
    };
    let grant = client.request_grant(terms, "the tour").await?.to_string();
    let identity = Identity::load(&state.identity(Role::Steward, STEWARD))
        .map_err(|error| Problem::local("the steward's identity", error))?;
    let mut steward = Client::connect(&running.profile.coordinator, identity).await?;
    steward.approve_grant(&grant, "for the tour", |_| {}).await?;
    let deadline = Instant::now() + WITNESSED;
    loop {
        let said = client
            .explain(ask::question(&dataset, SQL, EPSILON, "research", ask::ATTEMPTS))
            .await?;
        if said.iter().all(|owner| owner.verdict() == "allow") {
            return Ok(grant);
        }
        if Instant::now() > deadline {
            let words: String = said.iter().map(OwnerPath::words).collect();
            return Err(Problem::local("the grant", format!("it admits nobody yet:\n{words}")));
        }
        tokio::time::sleep(AGAIN).await; // polls, for at most twelve seconds
    }
}

/// All three acts. `first` is an answer that was given under the grant.
pub async fn governed(
    client: &mut Client,
    state: &State,
    folder: &Path,
    grant: &str,
    first: &str,
) -> Result<Governed, Problem> {
    Ok(Governed {
        refusal: refusal(client).await?,
        revocation: revocation(client, state, grant, first).await?,
        log: verified(client, folder).await?,
    })
}

async fn refusal(client: &mut Client) -> Result<Refusal, Problem> {
    let dataset = client.dataset(DATASET).await?;
    let question = ask::question(&dataset, SQL, EPSILON, UNWANTED, ask::ATTEMPTS);
    let owners = client.explain(question).await?;
    match ask::ask(client, SQL, EPSILON, UNWANTED).await {
        Err(problem) => Ok(Refusal { problem, owners }),
        Ok(_) => Err(Problem::local(
            "the tour",
            format!("a question for {UNWANTED} was answered: please report this"),
        )),
    }
}

async fn revocation(client: &mut Client, state: &State, grant: &str, first: &str) -> Result<Revocation, Problem> {
    let before = ask::ask(client, SQL, EPSILON, "research").await?.receipt().contributors;
    let order = Command::Revoke {
        grant: grant.to_owned(),
        note: "the study ended".to_owned(),
    };
    let began = Instant::now();
    let told = socket::ask(&state.socket(BY_GRANT), &order).await;
    let told = told.map_err(|error| Problem::local("the hospital's socket", error))?;
    let returned_ms = began.elapsed().as_secs_f64() * 1e3;
    if told != json!({ "done": true }) {
        return Err(Problem::local("the hospital's operator", told));
    }
    let after = ask::ask(client, AFTERWARDS, EPSILON, "research")
        .await?
        .receipt()
        .contributors;
    let dataset = client.dataset(DATASET).await?;
    let question = ask::question(&dataset, AFTERWARDS, EPSILON, "research", ask::ATTEMPTS);
    let owners = client.explain(question).await?;
    let owner = owners.into_iter().find(|owner| owner.participant == BY_GRANT);
    let owner = owner.ok_or_else(|| Problem::local("the tour", format!("`{BY_GRANT}` is not there any more")))?;
    let released = client.release(first).await?;
    Ok(Revocation {
        grant: grant.to_owned(),
        returned_ms,
        before,
        after,
        owner,
        flagged: released.revoked().iter().map(|(_, owner)| owner.clone()).collect(),
    })
}

/// Writes the log and the trust file as `sotto audit export` and `sotto audit trust` do, and goes on with these two files alone.
async fn verified(client: &mut Client, folder: &Path) -> Result<Verified, Problem> {
    let roster = &client.identity().roster;
    let trusted = TrustFile::of(roster).map_err(|error| Problem::local("trust file", error))?;
    let governance = Some(client.identity().governance);
    let trusted = TrustFile { governance, ..trusted };
    let text = toml::to_string(&trusted).map_err(|error| Problem::local("trust file", error))?;
    let (bundle, trust) = (folder.join("log.json"), folder.join("trust.toml"));
    let write =
        |file: &Path, text: &str| std::fs::write(file, text).map_err(|error| Problem::local(file.display(), error));
    write(&trust, &text)?;
    let trusted = audit::trust_of(roster)?;
    let log = AuditLog::open(client.read_log().await?, &trusted)?;
    let exported = log.export(0, log.size())?;
    let as_text = |bundle: &Bundle| serde_json::to_string(bundle).map_err(|error| Problem::local("bundle", error));
    write(&bundle, &as_text(&exported)?)?;

    let trust = audit::trust_file(&trust)?;
    let whole = audit::verify(&bundle, &trust)?;
    let events: Vec<_> = whole.events.iter().map(|event| event.event().clone()).collect();
    // One bit of one byte in the middle: a digit of the time at which something happened becomes its neighbour.
    let mut changed = exported;
    let flipped = changed.entries.len() / 2;
    flip(&mut changed.entries[flipped].leaf)?;
    write(&bundle, &as_text(&changed)?)?;
    let found = match audit::verify(&bundle, &trust) {
        Err(problem) => problem.message,
        Ok(_) => {
            return Err(Problem::local(
                "the tour",
                "a changed log was verified: please report this",
            ));
        }
    };
    Ok(Verified {
        entries: log.size(),
        witnesses: whole.witnesses.clone(),
        uncovered: scan(&events, &audit::rosters_of(&whole, &trust)?).findings.len(),
        flipped: flipped as u64,
        found,
    })
}

/// Flips the lowest bit of the second digit of an entry's time: what comes out is a time as well.
fn flip(leaf: &mut String) -> Result<(), Problem> {
    const TIME: &str = "\"at_ms\":";
    let place = leaf.find(TIME).map(|at| at + TIME.len() + 1);
    let digit = place.and_then(|place| Some((place, (*leaf.as_bytes().get(place)? ^ 1) as char)));
    let (place, digit) = digit.ok_or_else(|| Problem::local("the log", "an entry without a time"))?;
    leaf.replace_range(place..=place, digit.encode_utf8(&mut [0; 4]));
    Ok(())
}

async fn organisation(client: &mut Client) -> Result<String, Problem> {
    let participants = client.participants().await?;
    let owner = participants.into_iter().find(|participant| participant.id == BY_GRANT);
    let missing = || Problem::local("the tour's consortium", format!("no hospital `{BY_GRANT}`"));
    owner.map(|owner| owner.organisation).ok_or_else(missing)
}

impl Refusal {
    pub fn words(&self) -> String {
        let rule = |owner: &OwnerPath| {
            let step = owner.answer.as_ref().and_then(|answer| answer.steps.last());
            step.map_or_else(|| "silent".to_owned(), |step| format!("{}: {}", step.rule, step.detail))
        };
        let owners: String = self
            .owners
            .iter()
            .map(|owner| format!("  {:<11} {}\n", owner.participant, rule(owner)))
            .collect();
        format!(
            "Asked beforehand (`sotto explain`, which costs nothing), each hospital says how it would decide for the purpose \
             `{UNWANTED}`:\n{owners}Asked in earnest:\n  {}\n",
            self.problem.to_string().replace('\n', "\n  ")
        )
    }
}

impl Revocation {
    pub fn words(&self) -> String {
        let refused = self.owner.answer.as_ref().and_then(|answer| answer.refused.as_ref());
        let refused = refused.map_or_else(|| "nothing: please report this".to_owned(), ToString::to_string);
        let flagged = match self.flagged.as_slice() {
            [] => String::new(),
            owners => format!(
                "The tour's first answer, made under it, now carries the flag: revoked by {}.\n",
                owners.join(", ")
            ),
        };
        format!(
            "{BY_GRANT} lists nobody; a grant admitted you: {} hospitals in a sum. Its operator types `sotto-participant revoke {}`,\n\
             which returns after {:.0} ms: from then on nothing leaves under the grant. The next question: {} hospitals in the sum.\n\
             {BY_GRANT} says: {refused}\n{flagged}",
            self.before,
            self.grant.get(..12).unwrap_or(&self.grant),
            self.returned_ms,
            self.after,
        )
    }
}

impl Verified {
    pub fn words(&self) -> String {
        format!(
            "All {} entries verify offline, with the trust file alone: each signed by its actor and in its place, cosigned by {}.\n\
             Accesses without a permission: {}. Then one bit of entry {} is flipped: {}\n",
            self.entries,
            self.witnesses.join(", "),
            self.uncovered,
            self.flipped,
            self.found,
        )
    }
}

impl Governed {
    pub fn add_to(&self, told: &mut Value) {
        let (refusal, revocation, log) = (&self.refusal, &self.revocation, &self.log);
        let error = refusal.problem.to_json();
        told["refusal"] = json!({
            "sql": SQL, "purpose": UNWANTED, "error": error["error"],
            "owners": refusal.owners.iter().map(OwnerPath::to_json).collect::<Vec<_>>(),
        });
        told["revocation"] = json!({
            "grant": revocation.grant, "participant": BY_GRANT, "returned_ms": revocation.returned_ms,
            "contributors_before": revocation.before, "contributors_after": revocation.after,
            "owner": revocation.owner.to_json(), "flagged": revocation.flagged,
        });
        told["log"] = json!({
            "entries": log.entries, "witnesses": log.witnesses, "uncovered": log.uncovered,
            "flipped_entry": log.flipped, "found": log.found,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_of_the_time_of_an_entry_is_another_time() {
        let mut leaf = r#"{"actor":{},"at_ms":1767225600000}"#.to_owned();
        flip(&mut leaf).unwrap();
        assert_eq!(leaf, r#"{"actor":{},"at_ms":1667225600000}"#);
        flip(&mut leaf).unwrap();
        assert_eq!(leaf, r#"{"actor":{},"at_ms":1767225600000}"#);
        assert!(flip(&mut "{}".to_owned()).is_err());
    }

    #[test]
    fn the_hospital_that_lists_nobody_has_a_steward() {
        let folder = tempfile::tempdir().unwrap();
        let mut spec = super::super::consortium(folder.path()).unwrap();
        by_grant(&mut spec).unwrap();
        let site = spec.participants.iter().find(|site| site.name == BY_GRANT).unwrap();
        assert_eq!(site.config["dataset"][0]["analysts"].as_array().unwrap().len(), 0);
        assert_eq!(spec.stewards[0].organisation, site.organisation);
    }
}
