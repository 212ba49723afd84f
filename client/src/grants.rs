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

use crate::client::{now_ms, patiently, refused, timed};
use crate::datasets::Dataset;
use crate::enroll::consortium::GOVERNANCE_KEY;
use crate::released::{minute, unreadable};
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

/// Something that a question needs and that is suspended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspended {
    /// What, by whom, since when and why.
    pub words: String,
    /// Nobody answers; else some owners may.
    pub all: bool,
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
        let list = patiently(&self.decisions, |mut decisions| async move {
            decisions.list_acts(timed(v1::ListActsRequest {})).await
        });
        let acts = proto::acts(list.await?.acts).map_err(unreadable)?;
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

    /// What is suspended of what a question about a dataset needs, as far as this person may know: of the dataset, of its owners, and of whoever
    /// asks. What one owner's steward stopped of its own data, others learn from a refusal.
    pub fn suspensions(&self, dataset: &Dataset) -> Vec<Suspended> {
        let organisation = |name: &str| Subject::Organisation(name.to_owned());
        let own = &self.by.organisation;
        let of_owner = |owner: &&str| (format!("its owner `{owner}`"), "", organisation(owner));
        let mut asked = vec![
            ("your organisation".to_owned(), "", organisation(own)),
            (
                "the dataset".to_owned(),
                own.as_str(),
                Subject::Dataset(dataset.name.clone()),
            ),
        ];
        asked.extend(dataset.owners().iter().filter(|owner| **owner != own).map(of_owner));
        let suspended = |(what, at, subject): &(String, &str, Subject)| {
            let suspension = self.register.suspension(at, subject)?;
            let by = &suspension.by;
            let reach = match (subject, by.role) {
                (Subject::Dataset(_), Signer::Steward | Signer::Agent) => format!("at `{}`", by.organisation),
                _ => "everywhere".to_owned(),
            };
            let since = minute(suspension.at_ms);
            let why = Some(&suspension.note).filter(|note| !note.is_empty());
            let why = why.map(|note| format!(": {note}")).unwrap_or_default();
            let words = format!(
                "{what} is suspended {reach} by `{}` of `{}` since {since}{why}",
                by.id, by.organisation
            );
            let of_owner = matches!(subject, Subject::Organisation(name) if name != own);
            let all = reach == "everywhere" && !of_owner;
            Some(Suspended { words, all })
        };
        asked.iter().filter_map(suspended).collect()
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

#[cfg(test)]
mod tests {
    use governance::Contract;

    use super::*;

    const HEART: &str = include_str!("../../governance/contracts/heart.toml");

    fn by(role: Signer, organisation: &str) -> By {
        By {
            role,
            id: "sue".to_owned(),
            organisation: organisation.to_owned(),
        }
    }

    /// What a reader of this organisation is told of the heart data of North Clinic.
    fn told(reader: &str, suspended: &[(By, Subject)]) -> Vec<(bool, String)> {
        let mut register = Register::default();
        for (number, (by, subject)) in (1..).zip(suspended) {
            let act = Act {
                by: by.clone(),
                at_ms: 0,
                note: "a key was lost".to_owned(),
                what: What::Suspended {
                    subject: subject.clone(),
                },
            };
            register.apply(ContentHash([number; 32]), &act).unwrap();
        }
        let site = v1::DatasetSite {
            organisation: "North Clinic".to_owned(),
            ..v1::DatasetSite::default()
        };
        let dataset = Dataset {
            name: "heart".to_owned(),
            contract: Contract::parse(HEART).unwrap(),
            sites: vec![site],
        };
        let by = by(Signer::Analyst, reader);
        let suspensions = Decided { register, by }.suspensions(&dataset);
        suspensions.into_iter().map(|found| (found.all, found.words)).collect()
    }

    #[test]
    fn a_suspension_is_told_with_its_reach_its_signer_and_its_reason() {
        let heart = Subject::Dataset("heart".to_owned());
        let found = told("University", &[(by(Signer::Governance, "four"), heart.clone())]);
        let words = "the dataset is suspended everywhere by `sue` of `four` since 1970-01-01 00:00 UTC: a key was lost";
        assert_eq!(found, [(true, words.to_owned())]);
        let own = told("North Clinic", &[(by(Signer::Steward, "North Clinic"), heart.clone())]);
        assert!(!own[0].0 && own[0].1.contains("suspended at `North Clinic`"), "{own:?}");
        let other = told("University", &[(by(Signer::Steward, "North Clinic"), heart)]);
        assert_eq!(
            other,
            [],
            "what an owner's steward stopped of its own data is not everybody's to read"
        );
        let ward = Subject::Dataset("ward".to_owned());
        assert_eq!(told("University", &[(by(Signer::Governance, "four"), ward)]), []);
    }

    #[test]
    fn whoever_asks_and_whoever_owns_may_be_suspended_too() {
        let organisation = |name: &str| Subject::Organisation(name.to_owned());
        let governance = || by(Signer::Governance, "four");
        let asks = told("University", &[(governance(), organisation("University"))]);
        assert!(
            asks[0].0 && asks[0].1.starts_with("your organisation is suspended everywhere"),
            "{asks:?}"
        );
        let owns = told("University", &[(governance(), organisation("North Clinic"))]);
        assert!(
            !owns[0].0 && owns[0].1.starts_with("its owner `North Clinic` is suspended"),
            "{owns:?}"
        );
    }
}
