//! `sotto budget`: what the owners say is left, as the largest epsilon that one more question may ask for. A query costs
//! every participant the same, so what can still be asked is the smallest figure of a column.

use std::collections::BTreeSet;

use clap::Args;
use proto::identity::Role;

use super::remote::{Remote, Shown};
use crate::output::{Kind, Sheet};
use crate::{Client, Problem};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto budget
  sotto budget heart --format json

`cap of all` is what everybody together may spend on these people; no figure of yours. `left for you` is the largest epsilon that one more
question of yours may cost them: the less of what is left for everybody and of your own part. (A steward asks nothing, and reads `left for all`.)
The least of the column is what you can still ask for. An owner may keep its figures to itself; those cells are empty.
It falls by less than what a question asked for, because the account composes questions instead of adding them up.")]
pub struct Budget {
    /// Only this dataset
    dataset: Option<String>,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    shown: Shown,
}

impl Budget {
    pub async fn run(self, json: bool) -> Result<(), Problem> {
        let (mut client, _) = self.remote.connect().await?;
        let sheet = sheet(&mut client, self.dataset.as_deref()).await?;
        self.shown.target(json)?.write(&sheet)
    }
}

pub async fn sheet(client: &mut Client, only: Option<&str>) -> Result<Sheet, Problem> {
    let mut sheet = titled(client.identity().member.role);
    let datasets = match only {
        Some(name) => vec![client.dataset(name).await?],
        None => client.datasets().await?,
    };
    let mut told = BTreeSet::new();
    for dataset in datasets {
        for site in dataset.sites {
            // All versions of a dataset charge the same people.
            if !told.insert((dataset.name.clone(), site.participant.clone())) {
                continue;
            }
            sheet.push([
                dataset.name.as_str().into(),
                site.participant.into(),
                site.budget.map(|budget| budget.epsilon_cap).into(),
                site.budget.map(|budget| budget.epsilon_left).into(),
                site.online.into(),
            ]);
        }
    }
    Ok(sheet)
}

/// Whose each figure is: the coordinator tells an analyst what is left of its own part, and anybody else what is left of everybody's.
fn titled(reader: Role) -> Sheet {
    let left = match reader {
        Role::Analyst => "left for you",
        _ => "left for all",
    };
    Sheet::new([
        ("dataset", Kind::Text),
        ("participant", Kind::Text),
        ("cap of all", Kind::Number),
        (left, Kind::Number),
        ("online", Kind::Boolean),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_says_whose_it_is() {
        let titles = |reader| {
            let columns = titled(reader).columns.into_iter();
            columns.map(|column| column.name).collect::<Vec<_>>()[2..4].to_vec()
        };
        assert_eq!(titles(Role::Analyst), ["cap of all", "left for you"]);
        assert_eq!(titles(Role::Steward), ["cap of all", "left for all"]);
    }
}
