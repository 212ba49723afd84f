//! Grants in a simulated world: an analyst whom no owner's list names asks for one, a steward of each owner offers it, and at random
//! moments somebody takes it back: the owner's own operator at the agent, with the coordinator there or not, or a steward by the
//! coordinator's door.

use engine::{coordinator, participant};
use governance::act::By;
use governance::canonical::Real;
use governance::grant::{Action, Extent, Terms};
use governance::log::event::Role;
use governance::{Act, ContentHash, SignedAct, SigningKey, What};

use super::World;
use super::consortium::ANALYST;
use super::world::{Happening, START_MS};

/// How long a client waits before it tries again.
const AGAIN_MS: u64 = 2_000;
const YEAR_MS: u64 = 365 * 86_400_000;

/// Somebody decides something.
#[derive(Clone, Debug)]
pub enum Decision {
    /// The analyst asks every owner for everything.
    Ask,
    /// The owner's steward offers what was asked for.
    Offer {
        owner: usize,
        grant: ContentHash,
        terms: Box<Terms>,
    },
    /// The owner's steward ends a grant; the newest if none is named.
    Revoke { owner: usize },
    /// The owner's operator does, at the agent.
    RevokeHere { owner: usize },
}

impl World {
    /// Puts a decision into the world.
    pub fn decide(&mut self, after_ms: u64, decision: Decision) {
        self.after(after_ms, Happening::Decide(decision));
    }

    /// The newest grant that was asked for.
    pub fn newest_grant(&self) -> Option<ContentHash> {
        self.grants.last().copied()
    }

    pub(super) fn decided(&mut self, decision: Decision) {
        let again = decision.clone();
        let done = match decision {
            Decision::Ask => self.asked(),
            Decision::Offer { owner, grant, terms } => {
                let name = self.organisation(owner);
                let what = What::GrantOffered {
                    grant,
                    owner: name,
                    terms: *terms,
                };
                let signed = self.steward_says(owner, what);
                self.hand_in(signed)
            }
            Decision::Revoke { owner } => match self.newest_grant() {
                None => true,
                Some(grant) => {
                    let what = What::GrantRevoked {
                        grant,
                        owner: Some(self.organisation(owner)),
                    };
                    let signed = self.steward_says(owner, what);
                    self.hand_in(signed)
                }
            },
            Decision::RevokeHere { owner } => {
                self.revoke_here(owner);
                true
            }
        };
        if !done {
            self.decide(AGAIN_MS, again);
        }
    }

    /// The operator of an agent revokes the newest grant; the agent may never have heard of it, and says so.
    pub fn revoke_here(&mut self, owner: usize) {
        let Some(grant) = self.newest_grant() else { return };
        let what = What::GrantRevoked {
            grant,
            owner: Some(self.organisation(owner)),
        };
        let by = By {
            role: Role::Agent,
            id: self.consortium.names[owner].to_string(),
            organisation: self.organisation(owner),
        };
        let signed = self.signed_act(by, what, &self.consortium.actor_keys[owner]);
        self.note(format!("{} revokes {grant} locally", self.consortium.names[owner]));
        self.tell_participant(owner, participant::Input::Act(signed));
    }

    /// What the analyst signs to ask every owner for everything, without a steward's agreement.
    pub fn request_of_grant(&self) -> SignedAct {
        let by = By {
            role: Role::Analyst,
            id: ANALYST.to_owned(),
            organisation: "university".to_owned(),
        };
        let what = What::GrantRequested {
            terms: self.everything(),
            steward_agrees: false,
        };
        self.signed_act(by, what, &self.consortium.analyst)
    }

    fn everything(&self) -> Terms {
        Terms {
            requester: ANALYST.to_owned(),
            organisation: "university".to_owned(),
            dataset: self.consortium.contract.name.clone(),
            owners: (0..self.options.agents).map(|owner| self.organisation(owner)).collect(),
            columns: Extent::All,
            aggregates: Extent::All,
            purposes: ["research".to_owned()].into(),
            actions: Action::ALL.into(),
            epsilon: Real::new(self.options.budget.into()).expect("a budget is a number"),
            delta: Real::new(1e-5).expect("a number"),
            from_ms: START_MS,
            until_ms: START_MS + YEAR_MS,
        }
    }

    fn asked(&mut self) -> bool {
        let (signed, terms) = (self.request_of_grant(), self.everything());
        let grant = signed.hash();
        let taken = self.hand_in(signed);
        if taken {
            self.grants.push(grant);
            for owner in 0..self.options.agents {
                let terms = Box::new(terms.clone());
                self.decide(0, Decision::Offer { owner, grant, terms });
            }
        }
        taken
    }

    /// Whether the coordinator took it, or refused it for good; false while it is away.
    fn hand_in(&mut self, signed: SignedAct) -> bool {
        let hash = signed.hash();
        let reply = self.tell_coordinator(coordinator::Input::Act(signed));
        self.note(format!("act {hash}: {reply:?}"));
        reply.is_some()
    }

    /// An act of an owner's steward.
    pub fn steward_says(&self, owner: usize, what: What) -> SignedAct {
        let by = By {
            role: Role::Steward,
            id: format!("steward-{owner:02}"),
            organisation: self.organisation(owner),
        };
        self.signed_act(by, what, &self.consortium.steward_keys[owner])
    }

    /// An act as somebody with this key signs it now.
    pub fn signed_act(&self, by: By, what: What, key: &SigningKey) -> SignedAct {
        let act = Act {
            by,
            at_ms: self.now_ms,
            note: String::new(),
            what,
        };
        act.sign(key).expect("a simulated act is valid")
    }

    pub fn organisation(&self, owner: usize) -> String {
        self.consortium.roster.agents[owner].organisation.clone()
    }
}
