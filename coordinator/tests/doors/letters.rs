//! Who may make which call at the mailbox: every call of its service by everybody who may turn up there. Nobody shows a certificate that
//! is asked for, so what counts is what a letter is signed with. The table in SECURITY.md is this one.

use governance::SigningKey;
use governance::join::{Answer, Application, Ask, Token};
use proto::identity::Role;
use proto::v1::collected;
use proto::v1::enrolment_client::EnrolmentClient;
use tonic::transport::ClientTlsConfig;

use super::enrolment::{Newcomers, application, call, code, document, key, now_ms, token};
use super::matrix::{ELSEWHERE, described};
use super::*;
use consortium::governance;

const COLUMNS: [&str; 8] = [
    "with a token",
    "without one",
    "with a used one",
    "with an expired one",
    "member",
    "former member",
    "governance",
    "stranger",
];

/// Who may make each call, and how far.
const CALLS: &[(&str, &[(&str, &str)])] = &[
    (
        "Enrolment.Park",
        &[
            ("with a token", "yes"),
            ("with a used one", "carried"),
            ("member", "yes"),
        ],
    ),
    (
        "Enrolment.Collect",
        &[("with a token", "own"), ("with a used one", "own"), ("member", "own")],
    ),
    ("Enrolment.Call", &[("governance", "yes")]),
];

fn cell(call: &str, column: &str) -> &'static str {
    let (_, allowed) = CALLS.iter().find(|(listed, _)| *listed == call).unwrap();
    let found = allowed.iter().find(|(who, _)| *who == column);
    found.map_or("no", |(_, how)| *how)
}

fn row(call: &str) -> String {
    format!(
        "| `{call}` | {} |",
        COLUMNS.map(|column| cell(call, column)).join(" | ")
    )
}

#[test]
fn every_call_to_the_mailbox_has_its_row_here_and_in_the_security_document() {
    let mut described: Vec<String> = described(|service| ELSEWHERE.contains(&service))
        .into_iter()
        .map(|(call, _)| call)
        .collect();
    let mut listed: Vec<&str> = CALLS.iter().map(|(call, _)| *call).collect();
    described.sort();
    listed.sort_unstable();
    assert_eq!(described, listed, "say in CALLS who may make it");
    let document = include_str!("../../../SECURITY.md");
    let head = format!("| letter | {} |", COLUMNS.join(" | "));
    let rows: Vec<String> = CALLS.iter().map(|(call, _)| row(call)).collect();
    assert!(
        document.contains(&head) && rows.iter().all(|row| document.contains(row)),
        "SECURITY.md lacks:\n{head}\n{}",
        rows.join("\n")
    );
    let told = document.lines().filter(|line| line.starts_with("| `Enrolment."));
    assert_eq!(told.count(), rows.len(), "SECURITY.md has rows that nothing here tests");
}

/// Somebody at the mailbox: a connection, what it asks to park, and the key that it has.
struct Caller {
    column: &'static str,
    tls: ClientTlsConfig,
    application: Application,
    key: SigningKey,
    /// What parking says if it is refused.
    refused: &'static str,
}

fn with(token: &Token, key: &SigningKey, name: &str) -> Application {
    application(Some(token), key, name)
}

impl Newcomers {
    /// A token that was used: governance answered, and its bearer is in the roster. Somebody else has its words, too.
    async fn used(&self) -> Token {
        let token = token("yonder", 60, now_ms() + 60_000, &governance());
        let mut mailbox = EnrolmentClient::new(self.channel().await);
        let asked = with(&token, &key(61), "yonder");
        mailbox.park(document(&asked)).await.unwrap();
        let mut roster = self.consortium.roster.clone();
        roster.version += 1;
        roster.agents.push(governance::Agent {
            id: "yonder".into(),
            organisation: "yonder ltd".into(),
            signing_key: key(61).public(),
            tls_key: ContentHash([61; 32]),
        });
        let answer = Ask::Answer {
            application: asked.hash(),
            answer: Answer::Approved {
                approval: "the file".into(),
            },
            roster: Some(self.consortium.sign(&roster)),
        };
        mailbox.call(call(answer, now_ms(), &governance())).await.unwrap();
        token
    }

    async fn callers(&self) -> Vec<Caller> {
        let bare = || self.consortium.trusting();
        let soon_ms = now_ms() + 60_000;
        let caller = |column, tls, application, key, refused| Caller {
            column,
            tls,
            application,
            key,
            refused,
        };
        let good = token("east", 70, soon_ms, &governance());
        let (used, late) = (self.used().await, token("late", 62, now_ms() - 1, &governance()));
        let foreign = token("east", 63, soon_ms, &key(99));
        // Its words were seen and its secret was not.
        let mut stolen = application(None, &key(64), "east");
        stolen.token = with(&good, &key(71), "east").token;
        let member = self.consortium.identity("north").client_tls_to_any_key();
        let minted = self.consortium.minted(&Role::Agent.dns_name("north"));
        let none = |seed: u8, name| application(None, &key(seed), name);
        vec![
            caller("with a token", bare(), with(&good, &key(71), "east"), key(71), ""),
            caller("without one", bare(), none(65, "west-two"), key(65), "SOTTO-2055"),
            caller("with a used one", bare(), with(&used, &key(66), "yonder"), key(66), ""),
            caller(
                "with an expired one",
                bare(),
                with(&late, &key(67), "late"),
                key(67),
                "SOTTO-2053",
            ),
            caller("member", member.clone(), none(10, "north"), key(10), ""),
            // Whoever left, whoever has an old key, and a certificate that is not asked for with a key that is not enrolled.
            caller("former member", bare(), none(68, "gone"), key(68), "SOTTO-2055"),
            caller("former member", minted, none(69, "north"), key(69), "SOTTO-2055"),
            caller(
                "governance",
                bare(),
                application(None, &governance(), "hearts"),
                governance(),
                "SOTTO-2055",
            ),
            caller(
                "stranger",
                bare(),
                with(&foreign, &key(72), "east"),
                key(99),
                "SOTTO-2052",
            ),
            caller("stranger", bare(), stolen, key(64), "SOTTO-2054"),
            caller("stranger", member, none(73, "north"), key(73), "SOTTO-2055"),
        ]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cell_of_the_matrix_of_letters_is_as_the_table_says() {
    let world = Newcomers::start().await;
    let callers = world.callers().await;
    let mut tried = 0;
    for caller in &callers {
        let column = caller.column;
        let channel = world.endpoint(caller.tls.clone()).connect().await.unwrap();
        let mut mailbox = EnrolmentClient::new(channel);

        let parked = mailbox.park(document(&caller.application)).await;
        match (cell("Enrolment.Park", column), parked) {
            ("yes" | "carried", Ok(parked)) => {
                assert_eq!(parked.into_inner().id[..], caller.application.hash().0, "{column}");
            }
            ("no", Err(refused)) => assert_eq!(code(&refused), caller.refused, "{column}: {refused}"),
            (cell, parked) => panic!("Park {column}: {cell}, {parked:?}"),
        }

        let id = caller.application.hash().0.to_vec().into();
        let collected = mailbox.collect(v1::CollectRequest { id }).await;
        match (cell("Enrolment.Collect", column), collected) {
            ("own", Ok(collected)) => assert!(
                matches!(collected.into_inner().answer, Some(collected::Answer::Waiting(_))),
                "{column}: governance has the last word"
            ),
            ("no", Err(refused)) => assert_eq!(refused.code(), Code::NotFound, "{column}: {refused}"),
            (cell, collected) => panic!("Collect {column}: {cell}, {collected:?}"),
        }

        let asked = mailbox.call(call(Ask::Waiting, now_ms() + 10, &caller.key)).await;
        match (cell("Enrolment.Call", column), asked) {
            ("yes", Ok(_)) => {}
            ("no", Err(refused)) => assert_eq!(code(&refused), "SOTTO-2057", "{column}: {refused}"),
            (cell, asked) => panic!("Call {column}: {cell}, {:?}", asked.map(drop)),
        }
        tried += CALLS.len();
    }
    for column in COLUMNS {
        assert!(
            callers.iter().any(|caller| caller.column == column),
            "{column}: nobody tried"
        );
    }
    assert_eq!(tried, CALLS.len() * callers.len());
    // What was refused filled nothing: three letters wait.
    let mut mailbox = EnrolmentClient::new(world.channel().await);
    let waiting = mailbox
        .call(call(Ask::Waiting, now_ms() + 20, &governance()))
        .await
        .unwrap();
    assert_eq!(waiting.into_inner().applications.len(), 3);
    world.hub.stop().await;
}

/// What lies at the mailbox is for whoever knows its name, the hash of a letter's bytes: an answer is nobody else's to find, and holds no secret.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_found_by_its_whole_name_alone() {
    let world = Newcomers::start().await;
    let mut mailbox = EnrolmentClient::new(world.channel().await);
    let good = token("east", 70, now_ms() + 60_000, &governance());
    let asked = with(&good, &key(71), "east");
    mailbox.park(document(&asked)).await.unwrap();
    let whole = asked.hash().0.to_vec();
    let mut near = whole.clone();
    near[31] ^= 1;
    for (id, expected) in [
        (whole[..31].to_vec(), Code::InvalidArgument),
        (Vec::new(), Code::InvalidArgument),
        ([whole.clone(), vec![0]].concat(), Code::InvalidArgument),
        (near, Code::NotFound),
    ] {
        let refused = mailbox.collect(v1::CollectRequest { id: id.into() }).await.unwrap_err();
        assert_eq!(refused.code(), expected, "{refused}");
    }
    let id = whole.into();
    assert!(mailbox.collect(v1::CollectRequest { id }).await.is_ok());
    world.hub.stop().await;
}
