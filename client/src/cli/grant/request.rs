//! `sotto grant request`: what is asked for, checked here as far as roster, vocabulary and contract tell, so that a request which nobody could
//! answer is not signed.

use std::collections::BTreeSet;

use clap::Args;
use governance::Roster;
use governance::grant::{Action, Extent, Terms};
use governance::purpose::Vocabulary;
use serde_json::json;

use super::{DAY_MS, action, aggregates, extent, real};
use crate::cli::remote::Remote;
use crate::client::now_ms;
use crate::grants::short;
use crate::{Exit, Problem, names};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto grant request --dataset heart --purpose DUO:0000006 --action query --epsilon 2
  sotto grant request --dataset heart --purpose DUO:0000006 --action query \\
      --epsilon 2 --days 90 --columns age,chol --owner \"Cleveland Clinic\"")]
pub(super) struct Request {
    #[arg(long)]
    dataset: String,
    /// Organisations whose data it is [default: all that offer the dataset now]
    #[arg(long)]
    owner: Vec<String>,
    /// Purposes, `sotto purpose list`
    #[arg(long, required = true)]
    purpose: Vec<String>,
    /// query, train, evaluate
    #[arg(long, required = true, value_parser = action)]
    action: Vec<Action>,
    /// What may be spent under it at each owner
    #[arg(long)]
    epsilon: f64,
    /// [default: the contract's]
    #[arg(long)]
    delta: Option<f64>,
    /// Columns, separated by commas, or `all`
    #[arg(long, default_value = "all", value_parser = extent)]
    columns: Extent,
    /// Aggregates, separated by commas, or `all`
    #[arg(long, default_value = "all", value_parser = aggregates)]
    aggregates: Extent,
    /// Days from now on
    #[arg(long, default_value_t = 90)]
    days: u64,
    /// Why; the owners read it
    #[arg(long, default_value = "")]
    note: String,
    #[command(flatten)]
    remote: Remote,
}

impl Request {
    pub(super) async fn run(self, json: bool) -> Result<(), Problem> {
        let (mut client, _) = self.remote.connect().await?;
        let dataset = client.dataset(&self.dataset).await?;
        let decided = client.decided().await?;
        grantable(&self.purpose, &dataset.contract.purposes, decided.register.vocabulary())?;
        let mut owners = self.owner;
        if owners.is_empty() {
            let offers = |site: &&proto::v1::Participant| site.datasets.contains(&dataset.name);
            let sites = client.participants().await?;
            owners = sites
                .iter()
                .filter(offers)
                .map(|site| site.organisation.clone())
                .collect();
        }
        let owners: BTreeSet<String> = owners.into_iter().collect();
        answerable(&owners, &client.newest_roster().await?)?;
        let by = client.by();
        let from_ms = now_ms();
        let terms = Terms {
            requester: by.id,
            organisation: by.organisation,
            dataset: dataset.name,
            owners,
            columns: self.columns,
            aggregates: self.aggregates,
            purposes: self.purpose.into_iter().collect(),
            actions: self.action.into_iter().collect(),
            epsilon: real("epsilon", self.epsilon)?,
            delta: self
                .delta
                .map_or(Ok(dataset.contract.delta), |delta| real("delta", delta))?,
            from_ms,
            until_ms: from_ms.saturating_add(self.days.saturating_mul(DAY_MS)),
        };
        let grant = client.request_grant(terms, &self.note).await?;
        match json {
            true => println!("{}", json!({ "grant": grant })),
            false => {
                println!("Requested: {grant}");
                println!(
                    "Next: tell a steward of each owner this id; `sotto grant approve {}` shows the terms.",
                    short(&grant)
                );
            }
        }
        Ok(())
    }
}

/// Whether a grant for these purposes could ever admit a question about the dataset.
fn grantable(wanted: &[String], allowed: &[String], vocabulary: &Vocabulary) -> Result<(), Problem> {
    let refused = |text: String, remedy: String| Err(Problem::new(Exit::Refused, "SOTTO-7304", text).remedy(remedy));
    for purpose in wanted {
        if !vocabulary.contains(purpose) {
            let known = vocabulary.terms().map(|term| term.id.as_str());
            let text = format!("unknown purpose `{purpose}`: a grant names purposes of the vocabulary");
            return refused(
                text,
                format!("{} (`sotto purpose list` shows all)", names::instead(purpose, known)),
            );
        }
        let fits = |allowed: &String| vocabulary.subsumes(allowed, purpose) || vocabulary.subsumes(purpose, allowed);
        if !allowed.iter().any(fits) {
            let text = format!("the contract allows nothing that `{purpose}` covers");
            return refused(
                text,
                format!("allowed purposes, and what is below them: {}", allowed.join(", ")),
            );
        }
    }
    Ok(())
}

/// Whether everybody who is asked has somebody who can answer: an agent with the data, and a steward.
fn answerable(owners: &BTreeSet<String>, roster: &Roster) -> Result<(), Problem> {
    let refused = |text: String| Problem::new(Exit::Refused, "SOTTO-2021", text);
    if let Some(unknown) = owners.iter().find(|owner| !roster.has_agent_of(owner)) {
        let known = roster.agents.iter().map(|agent| agent.organisation.as_str());
        let text = format!("no agent of `{unknown}` is in the roster");
        return Err(refused(text).remedy(names::instead(unknown, known)));
    }
    let (with, without): (Vec<&String>, Vec<&String>) = owners.iter().partition(|owner| roster.has_steward_of(owner));
    if without.is_empty() {
        return Ok(());
    }
    let named = |owners: &[&String], each: &str| {
        let owners: Vec<String> = owners.iter().map(|owner| each.replace("{}", owner)).collect();
        owners.join(" ")
    };
    let text = format!(
        "no steward speaks for {}, so nobody there can offer a grant",
        named(&without, "`{}`")
    );
    Err(refused(text).remedy(match with.as_slice() {
        [] => "governance enrols a steward of each owner: `sotto enroll request --role steward`".to_owned(),
        others => format!("ask the others: {}", named(others, "--owner \"{}\"")),
    }))
}

#[cfg(test)]
mod tests {
    use governance::{Agent, ContentHash, CoordinatorEntry, SigningKey, Steward};

    use super::*;

    fn roster(stewards: &[&str]) -> Roster {
        let (key, tls_key) = (SigningKey::from_seed(&[1; 32]).unwrap().public(), ContentHash([0; 32]));
        let agent = |organisation: &&str| Agent {
            id: organisation.to_lowercase(),
            organisation: (*organisation).to_owned(),
            signing_key: key,
            tls_key,
        };
        let steward = |organisation: &&str| Steward {
            id: format!("sue-{organisation}"),
            organisation: (*organisation).to_owned(),
            key,
            tls_key,
        };
        Roster {
            consortium: "three".to_owned(),
            version: 1,
            c: 1,
            min_cohort: 3,
            agents: ["North", "South", "West"].iter().map(agent).collect(),
            analysts: Vec::new(),
            stewards: stewards.iter().map(steward).collect(),
            coordinator: CoordinatorEntry {
                id: "hub".to_owned(),
                organisation: None,
                tls_key,
                signing_key: key,
            },
            retiring: Vec::new(),
        }
    }

    #[test]
    fn owners_without_a_steward_are_named_and_the_others_can_be_asked() {
        let all: BTreeSet<String> = ["North", "South", "West"].map(str::to_owned).into();
        answerable(&all, &roster(&["North", "South", "West"])).unwrap();
        let problem = answerable(&all, &roster(&["North", "West"])).unwrap_err();
        assert!(
            problem.message.contains("`South`") && !problem.message.contains("North"),
            "{problem}"
        );
        assert_eq!(
            problem.remedy.unwrap(),
            "ask the others: --owner \"North\" --owner \"West\""
        );
        let nobody = answerable(&all, &roster(&[])).unwrap_err();
        assert!(nobody.remedy.unwrap().contains("--role steward"));
        let unknown = answerable(&["Nort".to_owned()].into(), &roster(&["North"])).unwrap_err();
        assert_eq!(unknown.remedy.unwrap(), "did you mean `North`?");
    }

    #[test]
    fn a_purpose_that_no_question_under_the_contract_can_have_is_refused() {
        let (allowed, duo) = (["DUO:0000006".to_owned()], Vocabulary::default());
        let asked = |purpose: &str| grantable(&[purpose.to_owned()], &allowed, &duo);
        for good in ["DUO:0000006", "DUO:0000007", "DUO:0000042"] {
            asked(good).unwrap();
        }
        let slip = asked("DUO:000006").unwrap_err();
        assert!(slip.message.contains("unknown purpose"), "{slip}");
        assert!(slip.remedy.unwrap().starts_with("did you mean `DUO:0000006`?"));
        let other = asked("quality").unwrap_err();
        assert_eq!(other.code, "SOTTO-7304");
        assert!(other.remedy.unwrap().contains("DUO:0000006"));
    }
}
