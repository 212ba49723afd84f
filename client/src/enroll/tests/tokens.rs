//! A newcomer and its token: once, in time, under its own name, and never half.

use governance::join::{Answer, Application, Token};

use super::super::install::install_approval;
use super::super::request::{member, prepared};
use super::super::token::{Use, used, write};
use super::*;

const HOUR: u64 = 3_600_000;

impl World {
    fn token(&self, name: &str, valid_ms: u64) -> Token {
        token(&self.consortium(), Role::Agent, name, &format!("{name} org"), valid_ms).unwrap()
    }

    /// The newcomer's application, its keys made where they are missing.
    fn applies(&self, name: &str, folder: &str, token: &Token) -> Application {
        let folder = self.member(folder);
        let member = member(Role::Agent, name, &format!("{name} org")).unwrap();
        let request = prepared(&member, &folder, &folder.join("request.json")).unwrap();
        request.application(Some(token)).unwrap()
    }

    /// Every byte of the governance holder's folder.
    pub fn everything(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![self.consortium()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => found.push((path.clone(), fs::read(path).unwrap())),
                }
            }
        }
        found.sort();
        found
    }

    pub fn answers(&self, application: &Application) -> Answer {
        answer(&self.consortium(), application, OVERLAP_MS).unwrap().0
    }

    pub fn refused(&self, application: &Application) -> String {
        let before = self.everything();
        let Answer::Refused { code, .. } = self.answers(application) else {
            panic!("not refused");
        };
        assert_eq!(self.everything(), before, "nothing half-applied");
        code
    }
}

fn approval(answer: Answer) -> Approval {
    match answer {
        Answer::Approved { approval } => serde_json::from_str(&approval).unwrap(),
        Answer::Refused { code, message, .. } => panic!("{code}: {message}"),
    }
}

#[test]
fn a_newcomer_joins_by_its_token_and_pins_what_it_says() {
    let world = World::new();
    world.founded();
    let token = Token::parse(&world.token("d", HOUR).text()).unwrap();
    let approval = approval(world.answers(&world.applies("d", "d", &token)));
    let folder = world.member("d");
    let stranger = Some("00".repeat(32));
    let wrong = install_approval(&approval, &folder, stranger.as_deref(), None);
    assert!(matches!(wrong, Err(EnrollError::OtherGovernance { .. })));
    let governance = token.terms.governance.to_string();
    let installed = install_approval(&approval, &folder, Some(&governance), None).unwrap();
    assert_eq!(installed.roster_version, 2);
    let identity = proto::identity::Identity::load(&folder).unwrap();
    assert_eq!(identity.roster.agents.len(), 4);
    assert_eq!(mode(&folder.join("tls.key")), 0o600);
}

#[test]
fn the_request_that_used_a_token_is_answered_the_same_way_again_and_any_other_is_refused() {
    let world = World::new();
    world.founded();
    let token = world.token("d", HOUR);
    let first = world.applies("d", "d", &token);
    let given = world.answers(&first);
    let published = world.everything();
    assert_eq!(world.answers(&first), given, "an answer that was lost is given again");
    assert_eq!(world.everything(), published);
    // The same person with other keys, or somebody who found the token.
    let second = world.applies("d", "elsewhere", &token);
    assert_eq!(world.refused(&second), "SOTTO-7111");
}

#[test]
fn an_expired_or_foreign_token_and_one_for_another_name_change_nothing() {
    let world = World::new();
    world.founded();
    let late = world.token("d", 0);
    assert_eq!(world.refused(&world.applies("d", "d", &late)), "SOTTO-2053");
    let stranger = World::new();
    stranger.founded();
    let foreign = stranger.token("d", HOUR);
    assert_eq!(world.refused(&world.applies("d", "d", &foreign)), "SOTTO-2052");
    let other = world.token("e", HOUR);
    assert_eq!(world.refused(&world.applies("d", "d", &other)), "SOTTO-2054");
    let mut bare = world.applies("d", "d", &other);
    bare.token = None;
    assert_eq!(world.refused(&bare), "SOTTO-2055");
}

#[test]
fn a_refused_newcomer_has_not_used_its_token() {
    let world = World::new();
    world.founded();
    let consortium = world.consortium();
    // An organisation has one agent.
    let token = token(&consortium, Role::Agent, "twin", "a org", HOUR).unwrap();
    let folder = world.member("twin");
    let who = member(Role::Agent, "twin", "a org").unwrap();
    let request = prepared(&who, &folder, &folder.join("request.json")).unwrap();
    let asked = request.application(Some(&token)).unwrap();
    assert_eq!(world.refused(&asked), "SOTTO-7105");
    assert!(!consortium.join("joined").exists());
    // A key is one member's: what the roster would not hold is refused before the token is.
    let token = world.token("d", HOUR);
    let folder = world.member("d");
    fs::create_dir_all(&folder).unwrap();
    for key in ["tls.key", "signing.key"] {
        fs::copy(world.member("a").join(key), folder.join(key)).unwrap();
    }
    assert_eq!(world.refused(&world.applies("d", "d", &token)), "SOTTO-7108");
    assert!(!consortium.join("joined").exists());
}

#[test]
fn a_process_that_ended_in_the_middle_is_taken_up_by_the_same_request() {
    let world = World::new();
    world.founded();
    let token = world.token("d", HOUR);
    let asked = world.applies("d", "d", &token);
    let given = world.answers(&asked);
    // As if it had ended after the roster was published and before the approval was written down.
    {
        let desk = super::super::desk::Desk::open(&world.consortium()).unwrap();
        let taken = Use {
            request: asked.hash(),
            approval: None,
        };
        write(&desk, &token.terms.key, &taken).unwrap();
    }
    let again = approval(world.answers(&asked));
    assert_eq!(
        again
            .roster
            .as_ref()
            .map(|signed| signed.body.contains("\"version\":3")),
        Some(true)
    );
    assert_eq!(again.ca, approval(given).ca);
    let folder = world.member("d");
    install_approval(&again, &folder, None, None).unwrap();
    let desk = super::super::desk::Desk::open(&world.consortium()).unwrap();
    assert!(used(&desk, &token.terms.key).unwrap().unwrap().approval.is_some());
}

#[test]
fn keys_that_an_interrupted_newcomer_made_are_used_and_not_made_again() {
    let world = World::new();
    world.founded();
    let token = world.token("d", HOUR);
    let first = world.applies("d", "d", &token);
    let key = fs::read(world.member("d").join("tls.key")).unwrap();
    assert_eq!(world.applies("d", "d", &token).body, first.body);
    fs::remove_file(world.member("d").join("request.json")).unwrap();
    fs::remove_file(world.member("d").join("member.json")).unwrap();
    world.applies("d", "d", &token);
    assert_eq!(fs::read(world.member("d").join("tls.key")).unwrap(), key);
    let other = member(Role::Agent, "e", "e org").unwrap();
    let folder = world.member("d");
    let refused = prepared(&other, &folder, &folder.join("request.json"));
    assert!(matches!(refused, Err(EnrollError::OtherMember { .. })));
}

#[test]
fn tokens_are_for_newcomers_of_a_running_consortium() {
    let world = World::new();
    let early = token(&world.consortium(), Role::Agent, "d", "d org", HOUR);
    assert!(matches!(early, Err(EnrollError::NoRoster)));
    world.founded();
    let member = token(&world.consortium(), Role::Agent, "a", "a org", HOUR);
    assert!(matches!(member, Err(EnrollError::Member { .. })));
    let hub = token(&world.consortium(), Role::Coordinator, "hub-two", "x", HOUR);
    assert!(matches!(hub, Err(EnrollError::Coordinator(_))));
}
