//! Who calls: the roster's entry for the certificate at the other end, whether it has a role that this door is for, and whether its
//! organisation's share is not used up. The first line of every handler, before a byte of the message is looked at.

use std::sync::Arc;

use governance::act::By;
use governance::log::event::Role as Signer;
use proto::identity::{Peer, PeerError, Role, peer};
use tokio::sync::watch;
use tonic::{Request, Status};

use super::refusal::later;
use crate::driver::{Desk, Driver};
use crate::gate::{Call, Gate};
use crate::roster::Membership;

/// The roster of now, and what each organisation may still ask.
#[derive(Clone)]
pub struct Admission {
    pub members: watch::Receiver<Arc<Membership>>,
    pub gate: Arc<Gate>,
}

impl Admission {
    /// An analyst.
    pub fn analyst<T>(&self, request: &Request<T>, call: Call) -> Result<By, Status> {
        self.admit(request, &[Role::Analyst], call)
    }

    /// An analyst or a steward.
    pub fn person<T>(&self, request: &Request<T>, call: Call) -> Result<By, Status> {
        self.admit(request, &[Role::Analyst, Role::Steward], call)
    }

    /// An agent that opens its stream.
    pub fn agent<T>(&self, request: &Request<T>) -> Result<Peer, Status> {
        let members = self.members.borrow().clone();
        let peer = peer(request)?.enrolled_as(Role::Agent, &members.roster)?;
        self.gate.stream(&peer.name).map_err(|refused| later(&refused))?;
        Ok(peer)
    }

    fn admit<T>(&self, request: &Request<T>, roles: &[Role], call: Call) -> Result<By, Status> {
        let by = self.known(request, roles)?;
        self.gate
            .call(&by.organisation, call)
            .map_err(|refused| later(&refused))?;
        Ok(by)
    }

    /// A person who decides something. It counts for that person alone: whatever colleagues did, whoever stops something is heard.
    pub fn decides<T>(&self, request: &Request<T>) -> Result<By, Status> {
        let by = self.known(request, &[Role::Analyst, Role::Steward])?;
        self.gate.act(&by.id).map_err(|refused| later(&refused))?;
        Ok(by)
    }

    /// What somebody reads from the books, after what its organisation reads already.
    pub async fn read<T: Send + 'static>(
        &self,
        driver: &Driver,
        organisation: &str,
        look: impl FnOnce(&Desk<'_>) -> T + Send + 'static,
    ) -> Result<T, Status> {
        // With the call, until it was looked at: who hangs up has not had its turn yet.
        let turn = self.gate.turn(organisation).await;
        let look = move |desk: &Desk<'_>| {
            let _turn = turn;
            look(desk)
        };
        Ok(driver.read(look).await?)
    }

    fn known<T>(&self, request: &Request<T>, roles: &[Role]) -> Result<By, Status> {
        let members = self.members.borrow().clone();
        let roster = &members.roster;
        let peer = peer(request)?;
        let role = match roles.contains(&peer.role) {
            true => peer.role,
            false => roles[0],
        };
        let name = peer.enrolled_as(role, roster)?.name;
        let (signer, organisation) = match role {
            Role::Steward => (Signer::Steward, roster.steward(&name).map(|entry| &entry.organisation)),
            _ => (Signer::Analyst, roster.analyst(&name).map(|entry| &entry.organisation)),
        };
        let organisation = organisation.cloned().ok_or_else(|| PeerError::NotInRoster {
            role,
            name: name.clone(),
        })?;
        Ok(By {
            role: signer,
            id: name,
            organisation,
        })
    }
}
