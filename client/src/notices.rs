//! What became of a person's grants since it last looked: said once, by whatever command connects next.
//!
//! Nothing of it decides anything: agents heard of it before. Costs one call a command, two seconds at the most, and a small file in the
//! identity folder; where that cannot be written it is said again the next time. What stood so before the first look is no news.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use governance::Status;
use governance::act::By;
use governance::grant::{Happened, Line};

use crate::Client;
use crate::grants::{Decided, short, status};

/// Lines that the person was told of, one to a line.
const FILE: &str = "notices.txt";

/// How long a command may be kept by it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Words for what ended or was held up since the last look, by what `folder` keeps of it. Whoever may not read the register has no grants, and
/// what is wrong with the connection the command itself will say.
pub async fn news(client: &mut Client, folder: &Path) -> Vec<String> {
    let Ok(Ok(decided)) = tokio::time::timeout(PATIENCE, client.decided()).await else {
        return Vec::new();
    };
    let file = folder.join(FILE);
    let told = std::fs::read_to_string(&file).ok();
    let (words, holds) = since(&decided, &told.as_deref().unwrap_or_default().lines().collect());
    let holds: String = holds.iter().map(|line| format!("{line}\n")).collect();
    let kept = told.as_ref() == Some(&holds) || std::fs::write(&file, holds).is_ok();
    match told {
        None if kept => Vec::new(),
        _ => words,
    }
}

/// What is news, and everything that stands so now: what is lifted and comes again is news again.
fn since(decided: &Decided, told: &BTreeSet<&str>) -> (Vec<String>, BTreeSet<String>) {
    let (mut words, mut holds) = (Vec::new(), BTreeSet::new());
    for view in decided.register.grants(&decided.by) {
        let id = short(&view.grant.id);
        for (owner, line) in &view.lines {
            let stands = status(line);
            if !matches!(
                stands,
                Status::Suspended | Status::Revoked | Status::Completed | Status::Expired
            ) {
                continue;
            }
            let own = match stands {
                Status::Expired => false,
                Status::Suspended => held(line).all(|by| *by == decided.by),
                _ => line.history.last().is_some_and(|last| last.by == decided.by),
            };
            let stands = stands.spelling();
            // As others wrote it: it goes to a terminal.
            let owner = owner.escape_debug();
            let key = format!("{} {stands} {owner}", view.grant.id);
            if !told.contains(key.as_str()) && !own {
                words.push(format!(
                    "grant {id} of `{owner}` is {stands}, and was not when you last looked: `sotto grant show {id}` says by whom and why"
                ));
            }
            holds.insert(key);
        }
    }
    (words, holds)
}

/// Who held a line up and let it go on since it was agreed, or last anything else: whoever acted last need not be the only one who holds it.
fn held(line: &Line) -> impl Iterator<Item = &By> {
    let since = line.history.iter().rev();
    let since = since.take_while(|entry| matches!(entry.what, Happened::Suspended | Happened::Resumed));
    since.map(|entry| &entry.by)
}

#[cfg(test)]
mod tests {
    use governance::canonical::Real;
    use governance::grant::{Action, Extent, Terms};
    use governance::log::event::Role;
    use governance::{Act, Register, SigningKey, What};

    use super::*;

    fn by(role: Role, id: &str, organisation: &str) -> By {
        let (id, organisation) = (id.to_owned(), organisation.to_owned());
        By { role, id, organisation }
    }

    fn apply(decided: &mut Decided, by: By, at_ms: u64, what: What) -> governance::ContentHash {
        let act = Act {
            by,
            at_ms,
            note: String::new(),
            what,
        };
        let hash = act.sign(&SigningKey::from_seed(&[1; 32]).unwrap()).unwrap().hash();
        decided.register.apply(hash, &act).unwrap();
        hash
    }

    fn ana() -> By {
        by(Role::Analyst, "ana", "university")
    }

    fn nora() -> By {
        by(Role::Steward, "nora", "north")
    }

    /// Ana's grant, which stands.
    fn granted() -> (Decided, governance::ContentHash) {
        let mut decided = Decided {
            register: Register::default(),
            by: ana(),
        };
        let terms = Terms {
            requester: "ana".into(),
            organisation: "university".into(),
            dataset: "heart".into(),
            owners: ["north".to_owned()].into(),
            columns: Extent::All,
            aggregates: Extent::All,
            purposes: ["research".to_owned()].into(),
            actions: [Action::Query].into(),
            epsilon: Real::new(1.0).unwrap(),
            delta: Real::new(1e-6).unwrap(),
            from_ms: crate::client::now_ms() - 1_000,
            until_ms: crate::client::now_ms() + 3_600_000,
        };
        let asked = What::GrantRequested {
            terms: terms.clone(),
            steward_agrees: false,
        };
        let grant = apply(&mut decided, ana(), 1, asked);
        let owner = "north".to_owned();
        apply(&mut decided, nora(), 2, What::GrantOffered { grant, owner, terms });
        (decided, grant)
    }

    fn suspends(decided: &mut Decided, by: By, grant: governance::ContentHash) -> governance::ContentHash {
        let owner = Some("north".to_owned());
        apply(decided, by, 3, What::GrantSuspended { grant, owner })
    }

    #[test]
    fn what_one_holds_up_oneself_is_no_news_unless_somebody_else_does_too() {
        let (mut decided, grant) = granted();
        suspends(&mut decided, ana(), grant);
        assert_eq!(since(&decided, &BTreeSet::new()).0, Vec::<String>::new());
        let (mut decided, grant) = granted();
        suspends(&mut decided, nora(), grant);
        suspends(&mut decided, ana(), grant);
        assert_eq!(since(&decided, &BTreeSet::new()).0.len(), 1);
    }

    #[test]
    fn what_an_owner_takes_back_is_told_once_and_again_if_it_comes_again() {
        let (mut decided, grant) = granted();
        let (words, holds) = since(&decided, &BTreeSet::new());
        assert_eq!(
            (words, holds),
            (vec![], BTreeSet::new()),
            "a grant that stands is no news"
        );

        let owner = Some("north".to_owned());
        let suspended = suspends(&mut decided, nora(), grant);
        let (words, holds) = since(&decided, &BTreeSet::new());
        assert!(words[0].contains("of `north` is suspended"), "{words:?}");
        let (words, again) = since(&decided, &holds.iter().map(String::as_str).collect());
        assert_eq!((words, &again), (vec![], &holds));

        let lifts = [suspended].into();
        apply(
            &mut decided,
            nora(),
            4,
            What::GrantResumed {
                grant,
                owner: owner.clone(),
                lifts,
            },
        );
        let (_, none) = since(&decided, &holds.iter().map(String::as_str).collect());
        assert_eq!(none, BTreeSet::new());
        apply(&mut decided, nora(), 5, What::GrantRevoked { grant, owner });
        let (words, _) = since(&decided, &none.iter().map(String::as_str).collect());
        assert!(words[0].contains("of `north` is revoked"), "{words:?}");
    }
}
