//! `sotto participant`: who is in the consortium, and who is there now.

use clap::Args;

use super::remote::{Remote, Shown};
use crate::Problem;
use crate::output::{Kind, Sheet};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto participant
  sotto participant --format csv

A participant is an organisation's agent, not a patient.")]
pub struct Participant {
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    shown: Shown,
}

impl Participant {
    pub async fn run(self, json: bool) -> Result<(), Problem> {
        let (mut client, _) = self.remote.connect().await?;
        let mut sheet = Sheet::new([
            ("participant", Kind::Text),
            ("organisation", Kind::Text),
            ("online", Kind::Boolean),
            ("in epoch", Kind::Boolean),
            ("software", Kind::Text),
            ("datasets", Kind::Text),
        ]);
        for participant in client.participants().await? {
            sheet.push([
                participant.id.into(),
                participant.organisation.into(),
                participant.online.into(),
                participant.in_epoch.into(),
                participant.software.into(),
                participant.datasets.join(", ").into(),
            ]);
        }
        self.shown.target(json)?.write(&sheet)
    }
}
