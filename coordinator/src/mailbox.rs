//! Letters between newcomers and governance, in memory: a newcomer asks again after a restart, and governance answers the same request the
//! same way. Bounded: one letter for each token and each member, and a few hundred in all.
//!
//! Deliberately absent: any decision. Whether a token holds is checked at the door so that strangers fill nothing; who joins is governance's
//! to say, and the newcomer verifies what it says.

use std::collections::BTreeMap;

use engine::{Refusal, codes};
use governance::ContentHash;
use governance::join::{Answer, Application, Authority};

const MOST: usize = 256;
/// How long a letter is kept.
const KEPT_MS: u64 = 24 * 3_600_000;

/// What is on its way.
#[derive(Default)]
pub struct Mailbox {
    letters: BTreeMap<ContentHash, Letter>,
}

struct Letter {
    application: Application,
    authority: Authority,
    parked_ms: u64,
    answer: Option<Answer>,
}

impl Mailbox {
    /// Keeps an application whose authority the caller has checked. A later one under the same authority takes the place of the earlier.
    pub fn park(
        &mut self,
        application: Application,
        authority: Authority,
        now_ms: u64,
    ) -> Result<ContentHash, Refusal> {
        let id = application.hash();
        self.letters.retain(|_, letter| now_ms < letter.parked_ms + KEPT_MS);
        if self.letters.contains_key(&id) {
            return Ok(id);
        }
        self.letters.retain(|_, letter| !same(&letter.authority, &authority));
        if self.letters.len() >= MOST {
            self.letters.retain(|_, letter| letter.answer.is_none());
        }
        if self.letters.len() >= MOST {
            let text = format!("{MOST} requests wait for governance already");
            return Err(
                Refusal::new(codes::ENROLMENT_FULL, text).remedy("`sotto enroll serve` at the governance holder")
            );
        }
        let letter = Letter {
            application,
            authority,
            parked_ms: now_ms,
            answer: None,
        };
        self.letters.insert(id, letter);
        Ok(id)
    }

    /// The answer to a letter, `None` inside while there is none; none at all for a letter that is not here.
    pub fn answer(&self, id: &ContentHash) -> Option<Option<&Answer>> {
        self.letters.get(id).map(|letter| letter.answer.as_ref())
    }

    pub fn waiting(&self) -> impl Iterator<Item = &Application> {
        let waiting = self.letters.values().filter(|letter| letter.answer.is_none());
        waiting.map(|letter| &letter.application)
    }

    /// Whether there was such a letter.
    pub fn close(&mut self, id: &ContentHash, answer: Answer) -> bool {
        let letter = self.letters.get_mut(id);
        letter.map(|letter| letter.answer = Some(answer)).is_some()
    }
}

fn same(one: &Authority, other: &Authority) -> bool {
    match (one, other) {
        (Authority::Token(one), Authority::Token(other)) => one.key == other.key,
        (one, other) => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governance::log::event::Role;

    fn application(body: &str) -> Application {
        Application {
            body: body.to_owned(),
            signature: Vec::new(),
            token: None,
        }
    }

    fn member(id: &str) -> Authority {
        Authority::Member {
            role: Role::Agent,
            id: id.to_owned(),
        }
    }

    fn refused() -> Answer {
        Answer::Refused {
            code: "SOTTO-7111".into(),
            message: "used".into(),
            remedy: String::new(),
        }
    }

    #[test]
    fn one_letter_waits_for_each_member_and_the_same_again_is_the_same() {
        let mut mailbox = Mailbox::default();
        let first = mailbox.park(application("1"), member("a"), 0).unwrap();
        assert_eq!(mailbox.park(application("1"), member("a"), 1).unwrap(), first);
        let second = mailbox.park(application("2"), member("a"), 2).unwrap();
        assert_eq!((mailbox.waiting().count(), mailbox.answer(&first)), (1, None));
        assert!(mailbox.close(&second, refused()) && !mailbox.close(&first, refused()));
        assert_eq!(mailbox.answer(&second), Some(Some(&refused())));
        assert_eq!(mailbox.waiting().count(), 0);
    }

    #[test]
    fn a_full_mailbox_refuses_forgets_what_was_answered_and_forgets_all_after_a_day() {
        let mut mailbox = Mailbox::default();
        let fill = |mailbox: &mut Mailbox, i: usize, now_ms| {
            mailbox.park(application(&i.to_string()), member(&i.to_string()), now_ms)
        };
        let first = fill(&mut mailbox, 0, 0).unwrap();
        for i in 1..MOST {
            fill(&mut mailbox, i, 0).unwrap();
        }
        assert_eq!(fill(&mut mailbox, MOST, 1).unwrap_err().code, codes::ENROLMENT_FULL);
        mailbox.close(&first, refused());
        fill(&mut mailbox, MOST, 1).unwrap();
        assert_eq!(mailbox.answer(&first), None);
        fill(&mut mailbox, MOST + 1, KEPT_MS + 2).unwrap();
        assert_eq!(mailbox.waiting().count(), 1);
    }
}
