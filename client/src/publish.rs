//! Which acts a steward signs to move versions of its organisation's contracts along, and signing them. The coordinator's door asks
//! of every act whether it breaks questions by itself, so a steward with another program gets no further.

use std::sync::Arc;

use governance::contract::versions;
use governance::register::contracts::breaks_none;
use governance::register::{ContractMoveError, ContractStanding};
use governance::{ContentHash, Contract, Stage, What};

use crate::client::now_ms;
use crate::{Client, Exit, Problem};

/// A version that this organisation's agent offers, and where it stands.
pub type Offered = (Arc<Contract>, ContractStanding);

/// One act: which version goes where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub contract: ContentHash,
    pub version: String,
    pub to: Stage,
}

/// The versions of a dataset that this steward's organisation offers, and where its acts have them.
pub async fn offered(client: &mut Client, dataset: &str) -> Result<Vec<Offered>, Problem> {
    let register = client.decided().await?.register;
    let owner = client.identity().member.organisation.clone();
    let known = client
        .datasets()
        .await?
        .into_iter()
        .filter(|known| known.name == dataset);
    let own = known.filter(|known| known.owners().contains(&owner.as_str()));
    Ok(own
        .map(|known| {
            let standing = register.standing(&owner, dataset, &known.contract.hash(), now_ms());
            (Arc::new(known.contract), standing)
        })
        .collect())
}

/// Signs the acts, one after the other; each holds once it was taken.
pub async fn sign(client: &mut Client, dataset: &str, steps: &[Step], note: &str) -> Result<(), Problem> {
    for step in steps {
        let what = What::ContractMoved {
            dataset: dataset.to_owned(),
            contract: step.contract,
            to: step.to,
        };
        client.decide(what, note).await?;
    }
    Ok(())
}

/// The acts that deprecate or retire one version, by its label or its hash.
pub fn ending(dataset: &str, version: &str, offered: &[Offered], to: Stage) -> Result<Vec<Step>, Problem> {
    let is = |contract: &Contract| contract.version == version || contract.hash().to_string() == version;
    let Some((contract, _)) = offered.iter().find(|(contract, _)| is(contract)) else {
        let known: Vec<&str> = offered.iter().map(|(contract, _)| contract.version.as_str()).collect();
        let message = format!("your organisation offers no version {version} of `{dataset}`");
        return Err(
            Problem::new(Exit::Refused, "SOTTO-2032", message).remedy(match known.is_empty() {
                true => "its agent must be online: `sotto participant`".to_owned(),
                false => format!("it offers {}", known.join(", ")),
            }),
        );
    };
    let mut steps = unspoken(offered.iter());
    steps.push(step(contract, to));
    Ok(steps)
}

/// Versions that are served because no act ever spoke of the dataset become active: from the first act on, only acts count.
fn unspoken<'a>(offered: impl Iterator<Item = &'a Offered>) -> Vec<Step> {
    let unspoken = offered.filter(|(_, standing)| *standing == ContractStanding::Configured);
    unspoken.map(|(contract, _)| step(contract, Stage::Active)).collect()
}

fn step(contract: &Contract, to: Stage) -> Step {
    Step {
        contract: contract.hash(),
        version: contract.version.clone(),
        to,
    }
}

/// The acts that publish a version, in the order in which they are to be signed. With a notice, older versions are deprecated.
pub fn steps(
    new: &Contract,
    offered: &[Offered],
    breaking: bool,
    notice_until_ms: Option<u64>,
) -> Result<Vec<Step>, Problem> {
    let hash = new.hash();
    let Some((_, standing)) = offered.iter().find(|(contract, _)| contract.hash() == hash) else {
        let error = ContractMoveError::NotOffered {
            owner: "your organisation".to_owned(),
            dataset: new.name.clone(),
        };
        return Err(refused(&error));
    };
    if matches!(standing, ContractStanding::Active | ContractStanding::Deprecated { .. }) {
        let message = format!("{} {} is {} already", new.name, new.version, standing.name());
        return Err(
            Problem::new(Exit::Refused, "SOTTO-2032", message).remedy("`sotto dataset show` lists the versions")
        );
    }
    let others = || offered.iter().filter(|(contract, _)| contract.hash() != hash);
    let mut steps = unspoken(others());
    let is_active = |standing| matches!(standing, ContractStanding::Active | ContractStanding::Configured);
    let active: Vec<Arc<Contract>> = others()
        .filter(|(_, standing)| is_active(*standing))
        .map(|(contract, _)| contract.clone())
        .collect();
    if let Err(error) = breaks_none(new, &active) {
        match (breaking, notice_until_ms) {
            (true, Some(_)) => {}
            (true, None) => {
                return Err(Problem::usage(
                    "--breaking without --notice: people who ask under the old version need one",
                )
                .remedy("--notice 90d"));
            }
            (false, _) => return Err(refused(&error)),
        }
    }
    if let Some(until_ms) = notice_until_ms {
        let older = active
            .iter()
            .filter(|old| versions::compare(&old.version, &new.version).is_lt());
        steps.extend(older.map(|old| step(old, Stage::Deprecated { until_ms })));
    }
    steps.push(step(new, Stage::Active));
    Ok(steps)
}

fn refused(error: &ContractMoveError) -> Problem {
    Problem::new(Exit::Refused, "SOTTO-2032", error.to_string()).remedy(error.remedy())
}

/// The end of a notice: `90d`, `12h`, `30s` from now, or a date (its first moment in UTC).
pub fn notice(text: &str, now_ms: u64) -> Result<u64, String> {
    let wrong = || format!("`{text}`: expected 90d, 12h, 30s or a date such as 2030-01-31");
    let (number, unit_ms) = match text.char_indices().next_back() {
        Some((at, 'd')) => (&text[..at], 86_400_000),
        Some((at, 'h')) => (&text[..at], 3_600_000),
        Some((at, 's')) => (&text[..at], 1_000),
        _ => {
            let format = time::macros::format_description!("[year]-[month]-[day]");
            let date = time::Date::parse(text, format).map_err(|_| wrong())?;
            let seconds = date.midnight().assume_utc().unix_timestamp();
            return u64::try_from(seconds)
                .map(|seconds| seconds * 1_000)
                .map_err(|_| wrong());
        }
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number
        .checked_mul(unit_ms)
        .and_then(|ms| ms.checked_add(now_ms))
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEART: &str = include_str!("../../governance/contracts/heart.toml");

    fn version(label: &str, edit: (&str, &str)) -> Arc<Contract> {
        let text = HEART
            .replace("\"1.0.0\"", &format!("\"{label}\""))
            .replace(edit.0, edit.1);
        Arc::new(Contract::parse(&text).unwrap())
    }

    fn said(steps: &[Step]) -> Vec<(&str, Stage)> {
        steps.iter().map(|step| (step.version.as_str(), step.to)).collect()
    }

    #[test]
    fn the_first_publication_makes_what_is_served_active_too() {
        let (old, new) = (
            version("1.0.0", ("", "")),
            version("1.1.0", ("maximum = 620", "maximum = 700")),
        );
        let offered = [
            (old, ContractStanding::Configured),
            (new.clone(), ContractStanding::Configured),
        ];
        let steps = steps(&new, &offered, false, None).unwrap();
        assert_eq!(said(&steps), [("1.0.0", Stage::Active), ("1.1.0", Stage::Active)]);
    }

    #[test]
    fn a_breaking_version_takes_the_word_and_a_notice() {
        let (old, new) = (version("1.0.0", ("", "")), version("2.0.0", ("mg/dL", "mmol/L")));
        let offered = [
            (old, ContractStanding::Active),
            (new.clone(), ContractStanding::Proposed),
        ];
        let refused = steps(&new, &offered, false, Some(9)).unwrap_err();
        assert_eq!((refused.code.as_str(), refused.exit), ("SOTTO-2032", Exit::Refused));
        assert!(refused.message.contains("BREAKING") && refused.remedy.unwrap().contains("--breaking"));
        assert_eq!(steps(&new, &offered, true, None).unwrap_err().exit, Exit::Usage);
        let steps = steps(&new, &offered, true, Some(9)).unwrap();
        assert_eq!(
            said(&steps),
            [("1.0.0", Stage::Deprecated { until_ms: 9 }), ("2.0.0", Stage::Active)]
        );
    }

    #[test]
    fn what_no_agent_offers_and_what_is_active_already_is_not_published() {
        let new = version("1.1.0", ("", ""));
        assert!(
            steps(&new, &[], false, None)
                .unwrap_err()
                .remedy
                .unwrap()
                .contains("other_versions")
        );
        let active = [(new.clone(), ContractStanding::Active)];
        assert!(
            steps(&new, &active, false, None)
                .unwrap_err()
                .message
                .contains("already")
        );
    }

    #[test]
    fn a_notice_is_a_time_from_now_or_a_date() {
        assert_eq!(notice("2d", 5), Ok(172_800_005));
        assert_eq!(notice("30s", 0), Ok(30_000));
        assert_eq!(notice("1970-01-02", 5), Ok(86_400_000));
        for bad in ["", "soon", "d", "-1d", "2030-13-01", "99999999999999999d"] {
            assert!(notice(bad, 5).is_err(), "{bad}");
        }
    }
}
