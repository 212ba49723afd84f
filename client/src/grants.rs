//! What people decide, from their own side: grants asked for, approved, stopped; organisations and datasets suspended; purposes
//! added. Every act is signed here; its hash is its name.
//!
//! What is read are the acts themselves, and the state follows from them by the rules of [`governance::register`], here as at the
//! coordinator and at every participant.

use std::path::Path;

use governance::act::{By, Subject};
use governance::grant::{Line, Terms, Unlogged};
use governance::log::event::Role as Signer;
use governance::purpose::Term;
use governance::register::GrantView;
use governance::{Act, ActError, ContentHash, Register, Roster, SignedAct, SigningKey, Status, What};
use proto::identity::Role;
use proto::v1;

use crate::client::{now_ms, refused, timed};
use crate::enroll::consortium::GOVERNANCE_KEY;
use crate::released::unreadable;
use crate::{Client, Exit, Problem};

/// Digits of an id that are enough, if no other grant begins with them.
const FEWEST_DIGITS: usize = 8;

/// What one party may see of what was decided.
#[derive(Clone, Debug)]
pub struct Decided {
    pub register: Register,
    /// Who reads.
    pub by: By,
}

/// What can be done to a grant by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    Suspend,
    Resume,
    Revoke,
    Complete,
}

impl Client {
    /// This person, as its acts say it.
    pub fn by(&self) -> By {
        let member = &self.identity().member;
        By {
            role: match member.role {
                Role::Steward => Signer::Steward,
                Role::Agent => Signer::Agent,
                Role::Analyst => Signer::Analyst,
                Role::Coordinator => Signer::Coordinator,
            },
            id: member.name.clone(),
            organisation: member.organisation.clone(),
        }
    }

    /// Signs and hands in one act of this person's; answers its hash.
    pub async fn decide(&mut self, what: What, note: &str) -> Result<ContentHash, Problem> {
        let key = self.signing_key()?;
        let signed = signed(self.by(), what, note, &key)?;
        self.hand_in(signed).await
    }

    /// The same in governance's name, with the key in the folder of `sotto init`. Any enrolled person may carry it.
    pub async fn decide_as_governance(
        &mut self,
        folder: &Path,
        what: What,
        note: &str,
    ) -> Result<ContentHash, Problem> {
        let key = crate::enroll::signing_key(&folder.join(GOVERNANCE_KEY))?;
        self.hand_in(signed(self.governance(), what, note, &key)?).await
    }

    /// Governance, as its acts say it.
    pub fn governance(&self) -> By {
        let consortium = self.identity().roster.consortium.clone();
        By {
            role: Signer::Governance,
            id: consortium.clone(),
            organisation: consortium,
        }
    }

    async fn hand_in(&mut self, signed: SignedAct) -> Result<ContentHash, Problem> {
        let id = signed.hash();
        let request = timed(v1::SignedAct::from(signed));
        let acted = self.decisions.act(request).await.map_err(refused)?.into_inner();
        match acted.id[..] == id.0 {
            true => Ok(id),
            false => Err(unreadable(
                "the coordinator took another act than the one that was signed",
            )),
        }
    }

    /// Everything that was decided, as far as this person may see it.
    pub async fn decided(&mut self) -> Result<Decided, Problem> {
        let list = self
            .decisions
            .list_acts(timed(v1::ListActsRequest {}))
            .await
            .map_err(refused)?;
        let acts = proto::acts(list.into_inner().acts).map_err(unreadable)?;
        let mut register = Register::default();
        for signed in acts {
            let act = match signed.verify(&self.identity().roster, &self.identity().governance) {
                // Who signed may have left since, or came after the roster that is installed here.
                Err(ActError::Stranger { .. }) => signed.read().map_err(unreadable)?,
                verified => verified.map_err(unreadable)?,
            };
            // An act on all lines of a grant may fit none of those that are shown to this person.
            let _ = register.apply(signed.hash(), &act);
        }
        Ok(Decided {
            register,
            by: self.by(),
        })
    }

    /// Asks for a grant; answers its id. The newest roster says whether a steward of this organisation must agree.
    pub async fn request_grant(&mut self, terms: Terms, note: &str) -> Result<ContentHash, Problem> {
        let roster = self.newest_roster().await?;
        let steward_agrees = roster.has_steward_of(&terms.organisation);
        self.decide(What::GrantRequested { terms, steward_agrees }, note).await
    }

    /// The coordinator's roster, if governance signed it.
    pub async fn newest_roster(&mut self) -> Result<Roster, Problem> {
        let status = self.status().await?;
        let signed = status.roster.ok_or_else(|| unreadable("a status without a roster"))?;
        let signed = governance::SignedRoster::try_from(signed).map_err(unreadable)?;
        signed.verify(&self.identity().governance).map_err(|error| {
            Problem::new(Exit::Unreachable, "SOTTO-7206", error.to_string()).remedy("`sotto doctor` compares rosters")
        })
    }

    /// Approves for this person's side: a steward of an owner offers (as requested, or what `narrow` makes of it), the requester's
    /// side agrees to what was offered. Answers what was done on which owner's line. `wanted` is the whole id, which is a hash of the
    /// terms: of a few digits a coordinator could show one request before and another one now.
    pub async fn approve_grant(
        &mut self,
        wanted: &str,
        note: &str,
        narrow: impl Fn(&mut Terms),
    ) -> Result<Vec<(String, Status)>, Problem> {
        if ContentHash::from_hex(wanted).is_none() {
            let text = format!("`{wanted}` is not a whole id: an approval needs all 64 digits");
            return Err(Problem::new(Exit::Refused, "SOTTO-2024", text).remedy(
                "`sotto grant show` prints it above the terms; on a terminal `sotto grant approve` asks instead",
            ));
        }
        let decided = self.decided().await?;
        let view = decided.find(wanted)?;
        let (grant, own) = (view.grant.id, decided.by.organisation.clone());
        let mut done = Vec::new();
        for (owner, line) in &view.lines {
            let owner = (*owner).to_owned();
            let status = line.status(now_ms(), &Unlogged);
            let owns = decided.by.role == Signer::Steward && owner == own;
            let what = match status {
                Status::Requested | Status::Offered if owns => {
                    let mut terms = line.terms().clone();
                    narrow(&mut terms);
                    if status == Status::Offered && terms == *line.terms() {
                        continue; // it was offered like this
                    }
                    let owner = owner.clone();
                    What::GrantOffered { grant, owner, terms }
                }
                Status::Offered if view.grant.requested.organisation == own => What::GrantAgreed {
                    grant,
                    owner: owner.clone(),
                    version: line.versions().len() as u32,
                },
                _ => continue,
            };
            self.decide(what, note).await?;
            done.push(owner);
        }
        if done.is_empty() {
            let text = format!(
                "nothing of grant {} waits for `{}` of `{own}`",
                short(&grant),
                decided.by.id
            );
            return Err(Problem::new(Exit::Refused, "SOTTO-2021", text).remedy("`sotto grant show` says who is next"));
        }
        let after = self.decided().await?;
        let view = after.find(&grant.to_string())?;
        let stands = |owner: String| {
            let line = view.lines.iter().find(|(of, _)| *of == owner);
            line.map(|(_, line)| (owner.clone(), line.status(now_ms(), &Unlogged)))
        };
        Ok(done.into_iter().filter_map(stands).collect())
    }

    /// Suspends, resumes, revokes or completes a grant for this person's side; answers its id.
    pub async fn stop_grant(&mut self, wanted: &str, stop: Stop, note: &str) -> Result<ContentHash, Problem> {
        let decided = self.decided().await?;
        let view = decided.find(wanted)?;
        let (grant, own) = (view.grant.id, decided.by.organisation.clone());
        let owns = decided.by.role == Signer::Steward && view.grant.lines.contains_key(&own);
        let owner = owns.then_some(own);
        let what = match stop {
            Stop::Suspend => What::GrantSuspended { grant, owner },
            Stop::Resume => {
                let lifts = view.grant.held(&decided.by, owner.as_deref());
                if lifts.is_empty() {
                    let text = format!(
                        "`{}` of `{}` suspended nothing of grant {}",
                        decided.by.id,
                        decided.by.organisation,
                        short(&grant)
                    );
                    return Err(Problem::new(Exit::Refused, "SOTTO-2021", text)
                        .remedy("`sotto grant show` says who holds it up: only that side lifts it"));
                }
                What::GrantResumed { grant, owner, lifts }
            }
            Stop::Revoke => What::GrantRevoked { grant, owner },
            Stop::Complete => What::GrantCompleted { grant, owner },
        };
        self.decide(what, note).await?;
        Ok(grant)
    }
}

impl Decided {
    /// A grant by its id, or by the first digits of it.
    pub fn find(&self, wanted: &str) -> Result<GrantView<'_>, Problem> {
        let unknown =
            |text: String| Problem::new(Exit::Refused, "SOTTO-2024", text).remedy("`sotto grant list` shows yours");
        if wanted.len() < FEWEST_DIGITS {
            return Err(unknown(format!(
                "`{wanted}` is too short: give at least {FEWEST_DIGITS} digits"
            )));
        }
        let mut found = self
            .register
            .grants(&self.by)
            .filter(|view| view.grant.id.to_string().starts_with(wanted));
        match (found.next(), found.next()) {
            (Some(view), None) => Ok(view),
            (Some(_), Some(_)) => Err(unknown(format!(
                "several grants begin with `{wanted}`: give more digits"
            ))),
            (None, _) => Err(unknown(format!("no grant `{wanted}` of yours"))),
        }
    }

    /// A subject let go on by `by`: what is lifted is named, so that it lifts nothing that came later.
    pub fn reinstatement(&self, by: &By, subject: Subject) -> Result<What, Problem> {
        let lifts = self.register.held(by, &subject);
        if lifts.is_empty() {
            let text = format!("`{}` suspended nothing of that name", by.organisation);
            return Err(Problem::new(Exit::Refused, "SOTTO-2021", text).remedy("whoever suspended it lifts it"));
        }
        Ok(What::Reinstated { subject, lifts })
    }

    /// Grants that this person may see, the newest request last.
    pub fn grants(&self) -> impl Iterator<Item = GrantView<'_>> {
        self.register.grants(&self.by)
    }
}

/// Where a line stands now.
pub fn status(line: &Line) -> Status {
    line.status(now_ms(), &Unlogged)
}

/// The consortium's own purposes as an act of governance's.
pub fn vocabulary(version: u64, terms: Vec<Term>) -> What {
    What::VocabularyPublished { version, terms }
}

/// Enough of an id for a person to name the grant.
pub fn short(id: &ContentHash) -> String {
    id.to_string().chars().take(12).collect()
}

fn signed(by: By, what: What, note: &str, key: &SigningKey) -> Result<SignedAct, Problem> {
    let act = Act {
        by,
        at_ms: now_ms(),
        note: note.to_owned(),
        what,
    };
    act.sign(key).map_err(|error| Problem::usage(error.to_string()))
}
