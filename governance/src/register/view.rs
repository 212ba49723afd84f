//! What each party may see of the register: an analyst its own grants, an organisation those that it asked for or that concern its
//! data, and of these only its own part. What is not shown does not exist for the reader.

use super::Register;
use crate::ContentHash;
use crate::act::By;
use crate::grant::{Grant, Line};
use crate::log::event::Role;

/// A grant as one party sees it.
#[derive(Clone, Debug)]
pub struct GrantView<'a> {
    pub grant: &'a Grant,
    /// By owner.
    pub lines: Vec<(&'a str, &'a Line)>,
}

impl Register {
    /// Grants that `who` may see, the newest request last. An agent is shown what its organisation is.
    pub fn grants<'a>(&'a self, who: &'a By) -> impl Iterator<Item = GrantView<'a>> {
        let mut seen: Vec<&Grant> = self.grants.values().filter(|grant| concerns(grant, who)).collect();
        seen.sort_by_key(|grant| (grant.requested_at_ms, grant.id));
        seen.into_iter().map(|grant| shown(grant, who))
    }

    /// One of them, by its id; nothing tells a foreign one from one that never was.
    pub fn grant<'a>(&'a self, id: &ContentHash, who: &By) -> Option<GrantView<'a>> {
        let grant = self.grants.get(id).filter(|grant| concerns(grant, who))?;
        Some(shown(grant, who))
    }

    /// A grant by its id, for whoever keeps the whole register.
    pub fn any_grant(&self, id: &ContentHash) -> Option<&Grant> {
        self.grants.get(id)
    }
}

/// Whether a grant is any business of `who`.
pub(super) fn concerns(grant: &Grant, who: &By) -> bool {
    match who.role {
        Role::Analyst => grant.requested.requester == who.id && grant.requested.organisation == who.organisation,
        Role::Steward | Role::Agent => grant.concerns(&who.organisation),
        Role::Coordinator | Role::Governance => false,
    }
}

fn shown<'a>(grant: &'a Grant, who: &By) -> GrantView<'a> {
    let asks = grant.requested.organisation == who.organisation;
    let lines = grant
        .lines
        .iter()
        .filter(|(owner, _)| asks || **owner == who.organisation);
    GrantView {
        grant,
        lines: lines.map(|(owner, line)| (owner.as_str(), line)).collect(),
    }
}
