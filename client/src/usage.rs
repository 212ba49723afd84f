//! What was asked and used: the account of the coordinator's books, and the one that the log alone gives. They agree to the unit, or
//! somebody left something out.

use std::collections::BTreeMap;
use std::time::Duration;

use governance::log::Usage;
use governance::log::usage::Rows;
use governance::{ContentHash, Roster};
use proto::identity::Role;
use proto::v1;

use crate::audit::{AuditLog, trust_of};
use crate::client::{patiently, timed};
use crate::output::{Cell, Kind, Sheet};
use crate::released::unreadable;
use crate::{Client, Exit, Problem};

/// How often the log is read until witnesses signed as much as the books counted, and the pause between.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(500);

/// An account, and how its datasets are called.
pub struct Metered {
    pub rows: Rows,
    /// By contract.
    pub names: BTreeMap<ContentHash, String>,
    /// Leaves that the log had when it was taken.
    pub log_size: u64,
}

impl Client {
    /// The account of the coordinator's books, as far as this person may see it.
    pub async fn usage(&mut self) -> Result<Metered, Problem> {
        let said = patiently(&self.rpc, |mut rpc| async move {
            rpc.get_usage(timed(v1::GetUsageRequest {})).await
        });
        let said = said.await?;
        let log_size = said.log_size;
        let named = said.asked.iter().map(|row| (&row.contract, &row.dataset));
        let named = named.chain(said.used.iter().map(|row| (&row.contract, &row.dataset)));
        let names = named.filter_map(|(contract, name)| {
            let contract = <[u8; 32]>::try_from(&contract[..]).ok()?;
            Some((ContentHash(contract), proto::printable(name.clone())))
        });
        let names = names.collect();
        let rows = proto::usage::rows(said).map_err(unreadable)?;
        Ok(Metered { rows, names, log_size })
    }

    /// The account that so many leaves of the log give; none: all that witnesses signed. Every leaf is verified.
    pub async fn usage_of_log(&mut self, size: Option<u64>) -> Result<Rows, Problem> {
        let roster: Roster = self.newest_roster().await?;
        let trust = trust_of(&self.identity().roster)?;
        for _ in 0..TRIES {
            let log = AuditLog::open(self.read_log().await?, &trust)?;
            let wanted = size.unwrap_or(log.size());
            if log.size() >= wanted {
                let usage = Usage::of_log(log.events().take(wanted as usize));
                let member = &self.identity().member;
                return Ok(usage.seen_by(&member.organisation, member.role == Role::Steward, &roster));
            }
            tokio::time::sleep(PAUSE).await; // until a checkpoint of them is signed
        }
        let text = format!(
            "the books count {} leaves, and witnesses have not signed so many",
            size.unwrap_or(0)
        );
        Err(Problem::new(Exit::Failed, "SOTTO-7122", text)
            .remedy("`sotto participant` shows which witnesses are missing; try again"))
    }
}

/// Both accounts of the same leaves, and the first row in which they differ.
pub async fn reconciled(client: &mut Client) -> Result<(Metered, Option<String>), Problem> {
    let books = client.usage().await?;
    let log = client.usage_of_log(Some(books.log_size)).await?;
    let difference = books.rows.difference(&log);
    Ok((books, difference))
}

/// An account as people read it: what was asked, then by whom it was answered.
pub fn sheet(rows: &Rows, names: &BTreeMap<ContentHash, String>, roster: &Roster, only: Option<&str>) -> Sheet {
    let mut sheet = Sheet::new([
        ("organisation", Kind::Text),
        ("analyst", Kind::Text),
        ("dataset", Kind::Text),
        ("participant", Kind::Text),
        ("grant", Kind::Text),
        ("requests", Kind::Integer),
        ("releases", Kind::Integer),
        ("repeats", Kind::Integer),
        ("allowed", Kind::Integer),
        ("refused", Kind::Integer),
        ("tokens", Kind::Integer),
        ("epsilon", Kind::Number),
        ("without_noise", Kind::Integer),
        ("vectors", Kind::Integer),
    ]);
    let organisation = |analyst: &str| roster.analyst(analyst).map(|entry| entry.organisation.clone());
    let dataset = |contract: &ContentHash| match names.get(contract) {
        Some(name) if !name.is_empty() => name.clone(),
        _ => contract.to_string()[..12].to_owned(),
    };
    let wanted = |analyst: &str, participant: Option<&str>| {
        let owner = participant
            .and_then(|agent| roster.agent(agent))
            .map(|agent| agent.organisation.clone());
        only.is_none_or(|only| organisation(analyst).as_deref() == Some(only) || owner.as_deref() == Some(only))
    };
    let count = |number: u64| Cell::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    for (asker, asked) in rows.asked.iter().filter(|(asker, _)| wanted(&asker.analyst, None)) {
        let mut row: Vec<Cell> = vec![organisation(&asker.analyst).into(), asker.analyst.clone().into()];
        row.extend([dataset(&asker.contract).into(), Cell::Null, Cell::Null]);
        row.extend([asked.requests, asked.releases, asked.repeats].map(count));
        row.extend((0..6).map(|_| Cell::Null));
        sheet.push(row);
    }
    for (user, used) in (rows.used.iter()).filter(|(user, _)| wanted(&user.asker.analyst, Some(&user.participant))) {
        let grant = user.grant.map(|grant| grant.to_string()[..12].to_owned());
        let mut row: Vec<Cell> = vec![
            organisation(&user.asker.analyst).into(),
            user.asker.analyst.clone().into(),
            dataset(&user.asker.contract).into(),
            user.participant.clone().into(),
            grant.into(),
        ];
        row.extend((0..3).map(|_| Cell::Null));
        row.extend([count(used.allowed), count(used.refused), Cell::Integer(used.tokens)]);
        row.push(Cell::Number(used.epsilon_nano as f64 / 1e9));
        row.extend([Cell::Integer(used.without_noise), count(used.vectors)]);
        sheet.push(row);
    }
    sheet
}
