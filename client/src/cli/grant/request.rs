//! `sotto grant request`: what is asked for, checked here as far as roster, vocabulary and contract tell, so that a request which nobody could
//! answer is not signed.

use std::collections::BTreeSet;

use clap::Args;
use governance::Roster;
use governance::grant::{Action, Extent, Terms};
use governance::purpose::Vocabulary;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{DAY_MS, action, aggregates, extent, real};
use crate::cli::remote::Remote;
use crate::client::now_ms;
use crate::grants::short;
use crate::released::minute;
use crate::{Exit, Problem, names};

/// How long a grant is asked for where nobody says.
const DAYS: u64 = 90;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto grant request --dataset heart --purpose DUO:0000006 --action query --epsilon 2
  sotto grant request --dataset heart --purpose DUO:0000006 --action query \\
      --epsilon 2 --days 90 --columns age,chol --owner \"Cleveland Clinic\"
  sotto grant request --dataset heart --purpose DUO:0000006 --action query \\
      --epsilon 2 --from 2027-02-01 --until 2027-04-30")]
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
    /// From this day on (2027-01-31, in UTC), or this instant (2027-01-31T12:00:00Z) [default: now]
    #[arg(long, value_name = "DATE", value_parser = moment)]
    from: Option<Moment>,
    /// Through this day, or until this instant
    #[arg(long, value_name = "DATE", value_parser = moment, conflicts_with = "days")]
    until: Option<Moment>,
    /// Days from the beginning on [default: 90]
    #[arg(long)]
    days: Option<u64>,
    /// Why; the owners read it
    #[arg(long, default_value = "")]
    note: String,
    #[command(flatten)]
    remote: Remote,
}

impl Request {
    pub(super) async fn run(self, json: bool) -> Result<(), Problem> {
        let (from_ms, until_ms) = window((self.from, self.until, self.days), now_ms())?;
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
            until_ms,
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

/// A day of UTC or an instant, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Day(u64),
    Instant(u64),
}

impl Moment {
    fn begins(self) -> u64 {
        match self {
            Self::Day(ms) | Self::Instant(ms) => ms,
        }
    }

    /// A day ends with itself, as the end of a consent does.
    fn ends(self) -> u64 {
        match self {
            Self::Day(ms) => ms.saturating_add(DAY_MS),
            Self::Instant(ms) => ms,
        }
    }
}

fn moment(text: &str) -> Result<Moment, String> {
    let wrong = || "expected a day such as 2027-01-31, or an instant such as 2027-01-31T12:00:00Z".to_owned();
    let ms = |ms: i128| u64::try_from(ms).map_err(|_| "expected a day after 1970".to_owned());
    if let Some(day) = workload::query::parse_date(text) {
        return Ok(Moment::Day(ms(i128::from(day) * i128::from(DAY_MS))?));
    }
    let instant = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| wrong())?;
    Ok(Moment::Instant(ms(instant.unix_timestamp_nanos() / 1_000_000)?))
}

/// The window that is meant. It ends after it begins, and not before now, when nobody could use it.
fn window(
    (from, until, days): (Option<Moment>, Option<Moment>, Option<u64>),
    now_ms: u64,
) -> Result<(u64, u64), Problem> {
    let from_ms = from.map_or(now_ms, Moment::begins);
    let lasts = || from_ms.saturating_add(days.unwrap_or(DAYS).saturating_mul(DAY_MS));
    let until_ms = until.map_or_else(lasts, Moment::ends);
    let problem = |text: String| Err(Problem::usage(text).remedy("--from 2027-02-01 --until 2027-04-30"));
    if until_ms <= from_ms {
        let text = format!(
            "the window ends {}, before it begins {}",
            minute(until_ms),
            minute(from_ms)
        );
        return problem(text);
    }
    if until_ms <= now_ms {
        return problem(format!(
            "the window ended {}: expected one that ends later than now",
            minute(until_ms)
        ));
    }
    Ok((from_ms, until_ms))
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
    fn a_window_is_two_dates_or_days_and_ends_after_it_begins_and_after_now() {
        const NOW: u64 = 1_798_761_600_000; // 2027-01-01
        let at = |text: &str| Some(moment(text).unwrap());
        let days = |n: u64| n * DAY_MS;
        assert_eq!(window((None, None, None), NOW).unwrap(), (NOW, NOW + days(90)));
        assert_eq!(window((None, None, Some(7)), NOW).unwrap(), (NOW, NOW + days(7)));
        let february = window((at("2027-02-01"), at("2027-02-28"), None), NOW).unwrap();
        assert_eq!(february, (NOW + days(31), NOW + days(59)), "through the last day");
        let week = window((at("2027-02-01"), None, Some(7)), NOW).unwrap();
        assert_eq!(week, (NOW + days(31), NOW + days(38)));
        let noon = window((at("2027-02-01T13:00:00+01:00"), at("2027-02-01T12:30:00Z"), None), NOW).unwrap();
        assert_eq!(noon.1 - noon.0, 30 * 60 * 1000);
        // It may have begun, as a grant that follows another would, but not be over.
        assert!(window((at("2026-12-01"), at("2027-01-01"), None), NOW).is_ok());
        for (from, until) in [
            ("2027-02-02", "2027-02-01"),
            ("2026-11-01", "2026-12-31"),
            ("2027-02-01T00:00:00Z", "2027-02-01T00:00:00Z"),
        ] {
            let problem = window((at(from), at(until), None), NOW).unwrap_err();
            assert_eq!(problem.code, "SOTTO-7002", "{from} {until}");
        }
        assert!(window((None, None, Some(0)), NOW).is_err());
        for bad in ["2027-02-30", "soon", "2027", "1969-12-31", "2027-02-01 12:00"] {
            assert!(moment(bad).is_err(), "{bad}");
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
