//! Governance on duty: fetches what waits in the coordinator's mailbox, answers it, and hands in the roster. The keys stay in the folder; whoever runs the
//! mailbox sees what was signed with them and nothing else.

use std::path::Path;

use governance::join::{Ask, Call, authority_hash};
use governance::{ContentHash, SignedRoster};

use super::answer::answer;
use super::desk::Desk;
use super::mailbox::Mailbox;
use super::request::EnrolRequest;
use super::{EnrollError, chain, now_ms};
use crate::Problem;

/// An open way to a mailbox.
pub struct Serving<'a> {
    folder: &'a Path,
    mailbox: Mailbox,
    coordinator: String,
    overlap_ms: u64,
    last_call_ms: u64,
}

/// What one look at the mailbox did: who asked, and the code of the refusal if it was one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    pub who: String,
    pub refused: Option<String>,
}

impl<'a> Serving<'a> {
    pub async fn connect(folder: &'a Path, address: &str, overlap_ms: u64) -> Result<Self, Problem> {
        let (authority, coordinator) = {
            let desk = Desk::open(folder)?;
            (chain::anchor(desk.ca())?, desk.roster()?.1.coordinator.id)
        };
        Ok(Self {
            folder,
            mailbox: Mailbox::connect(address, authority_hash(&authority), &coordinator).await?,
            coordinator,
            overlap_ms,
            last_call_ms: 0,
        })
    }

    /// Answers everything that waits now, and hands in the folder's roster where it is newer.
    pub async fn look(&mut self) -> Result<Vec<Answered>, Problem> {
        let (waiting, there) = self.call(Ask::Waiting).await?;
        self.hand_in(there).await?;
        let mut done = Vec::new();
        for application in waiting {
            let who = EnrolRequest::carried(&application)
                .verify()
                .map_or_else(|_| "somebody".to_owned(), |body| format!("{} {}", body.role, body.name));
            let (answer, roster) = answer(self.folder, &application, self.overlap_ms)?;
            let refused = match &answer {
                governance::join::Answer::Refused { code, .. } => Some(code.clone()),
                governance::join::Answer::Approved { .. } => None,
            };
            let application: ContentHash = application.hash();
            let ask = Ask::Answer {
                application,
                answer,
                roster,
            };
            self.call(ask).await?;
            done.push(Answered { who, refused });
        }
        Ok(done)
    }

    /// A roster that was signed elsewhere since, by `approve` or `remove`.
    async fn hand_in(&mut self, there: u64) -> Result<(), Problem> {
        let newest: Option<SignedRoster> = {
            let (signed, roster) = Desk::open(self.folder)?.roster()?;
            (roster.version > there).then_some(signed)
        };
        if let Some(roster) = newest {
            self.call(Ask::Roster { roster }).await?;
        }
        Ok(())
    }

    async fn call(&mut self, ask: Ask) -> Result<(Vec<governance::join::Application>, u64), Problem> {
        // Times rise strictly, or the mailbox would take a call for one that it has heard.
        self.last_call_ms = now_ms().max(self.last_call_ms + 1);
        let call = Call {
            coordinator: self.coordinator.clone(),
            at_ms: self.last_call_ms,
            ask,
        };
        let key = Desk::open(self.folder)?.governance_key()?;
        let signed = call.sign(&key).map_err(EnrollError::malformed)?;
        self.mailbox.call(signed).await
    }
}
