//! The mailbox: what strangers, newcomers and governance can do at it, and what its owner cannot.

use super::limits::told_to_wait;
use super::*;
use consortium::governance;
use governance::join::{Answer, Application, Ask, Call, JoinTerms, REQUEST_DOMAIN, SignedCall, Token, authority_hash};
use governance::log::event::Role as Signer;
use governance::{Agent, SignedRoster};
use proto::v1::collected;
use proto::v1::enrolment_client::EnrolmentClient;
use tonic::transport::ClientTlsConfig;

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

pub(super) struct Newcomers {
    pub consortium: Consortium,
    pub hub: Hub,
    pub port: u16,
}

impl Newcomers {
    pub async fn start() -> Self {
        let consortium = Consortium::new("");
        let port = free_port();
        let path = consortium.config();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("enroll_listen = \"127.0.0.1:{port}\"\n{text}")).unwrap();
        let hub = Hub::start(&consortium).await;
        Self { consortium, hub, port }
    }

    pub async fn channel(&self) -> Channel {
        self.endpoint(self.consortium.trusting()).connect().await.unwrap()
    }

    pub fn endpoint(&self, tls: ClientTlsConfig) -> Endpoint {
        let endpoint = Endpoint::from_shared(format!("https://127.0.0.1:{}", self.port)).unwrap();
        endpoint.tls_config(tls).unwrap()
    }

    async fn mailbox(&self) -> EnrolmentClient<Channel> {
        EnrolmentClient::new(self.channel().await)
    }

    fn token(&self, expires_at_ms: u64) -> Token {
        token("east", 70, expires_at_ms, &governance())
    }

    /// The roster with `east` in it.
    fn with_east(&self) -> SignedRoster {
        let mut roster = self.consortium.roster.clone();
        roster.version += 1;
        roster.agents.push(Agent {
            id: "east".into(),
            organisation: "east ltd".into(),
            signing_key: key(71).public(),
            tls_key: ContentHash([71; 32]),
        });
        self.consortium.sign(&roster)
    }
}

/// A token for an agent of this name, of whoever says that it is governance.
pub(super) fn token(name: &str, seed: u8, expires_at_ms: u64, governance: &SigningKey) -> Token {
    let terms = JoinTerms {
        consortium: "hearts".into(),
        role: Signer::Agent,
        name: name.into(),
        organisation: format!("{name} ltd"),
        key: key(seed).public(),
        expires_at_ms,
        governance: governance.public(),
        ca: authority_hash(b"ca"),
        coordinator: "hub".into(),
    };
    Token::issue(terms, governance, [seed; 32]).unwrap()
}

pub(super) fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).unwrap()
}

pub(super) fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_millis() as u64
}

pub(super) fn application(token: Option<&Token>, signing: &SigningKey, name: &str) -> Application {
    let body = format!(
        r#"{{"role":"agent","name":"{name}","organisation":"{name} ltd","signing_key":"{}","signing_request":"csr"}}"#,
        signing.public()
    );
    Application {
        signature: signing.sign(REQUEST_DOMAIN, body.as_bytes()),
        token: token.map(|token| token.prove(&body).unwrap()),
        body,
    }
}

pub(super) fn document(application: &Application) -> v1::Application {
    v1::Application {
        document: serde_json::to_vec(application).unwrap().into(),
    }
}

pub(super) fn call(ask: Ask, at_ms: u64, signed_by: &SigningKey) -> v1::SignedCall {
    let call = Call {
        coordinator: "hub".into(),
        at_ms,
        ask,
    };
    let SignedCall { body, signature } = call.sign(signed_by).unwrap();
    v1::SignedCall {
        body,
        signature: signature.into(),
    }
}

pub(super) fn code(status: &Status) -> String {
    let code = status.metadata().get("sotto-code");
    code.map(|code| code.to_str().unwrap().to_owned()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_parked_fetched_by_governance_and_its_answer_collected() {
    let world = Newcomers::start().await;
    let mut mailbox = world.mailbox().await;
    let asked = application(Some(&world.token(now_ms() + 60_000)), &key(71), "east");
    let id = mailbox.park(document(&asked)).await.unwrap().into_inner().id;
    assert_eq!(id[..], asked.hash().0);
    let collect = v1::CollectRequest { id };
    let waiting = mailbox.collect(collect.clone()).await.unwrap().into_inner().answer;
    assert!(matches!(waiting, Some(collected::Answer::Waiting(_))));

    let at_ms = now_ms();
    let heard = mailbox
        .call(call(Ask::Waiting, at_ms, &governance()))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((heard.applications, heard.roster_version), (vec![document(&asked)], 1));
    let answer = Ask::Answer {
        application: asked.hash(),
        answer: Answer::Approved {
            approval: "the file".into(),
        },
        roster: Some(world.with_east()),
    };
    let heard = mailbox
        .call(call(answer, at_ms + 1, &governance()))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(heard.roster_version, 2, "adopted before the answer can be collected");
    let answer = mailbox.collect(collect.clone()).await.unwrap().into_inner().answer;
    assert_eq!(answer, Some(collected::Answer::Approval("the file".into())));
    let heard = mailbox
        .call(call(Ask::Waiting, at_ms + 2, &governance()))
        .await
        .unwrap()
        .into_inner();
    assert!(heard.applications.is_empty());

    // The roster is on disk: a restart has it. Letters are not: the newcomer asks again.
    let Newcomers { consortium, hub, port } = world;
    hub.stop().await;
    let hub = Hub::start(&consortium).await;
    let mut ann = analyst(&hub, &consortium.identity("ann")).await;
    let status = ann.get_status(v1::GetStatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.roster_version, 2);
    let again = Newcomers { consortium, hub, port };
    let gone = again.mailbox().await.collect(collect).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    again.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_expired_tokens_and_requests_under_anothers_proof_are_not_parked() {
    let world = Newcomers::start().await;
    let mut mailbox = world.mailbox().await;
    let good = application(Some(&world.token(now_ms() + 60_000)), &key(71), "east");
    let mut stolen = application(None, &key(1), "east");
    stolen.token.clone_from(&good.token);
    let late = application(Some(&world.token(now_ms() - 1)), &key(71), "east");
    for (asked, expected) in [
        (application(None, &key(71), "east"), "SOTTO-2055"),
        (application(None, &key(10), "south"), "SOTTO-2055"),
        (stolen, "SOTTO-2054"),
        (late, "SOTTO-2053"),
    ] {
        let refused = mailbox.park(document(&asked)).await.unwrap_err();
        assert_eq!(code(&refused), expected, "{refused}");
    }
    let garbage = v1::Application {
        document: vec![b'x'; 100_000].into(),
    };
    assert_eq!(mailbox.park(garbage).await.unwrap_err().code(), Code::InvalidArgument);
    // `north` may rotate its key: its enrolled signing key says so.
    mailbox
        .park(document(&application(None, &key(10), "north")))
        .await
        .unwrap();
    world.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_governance_is_heard_lately_and_once_and_its_rosters_only_rise() {
    let world = Newcomers::start().await;
    let mut mailbox = world.mailbox().await;
    let at_ms = now_ms();
    for bad in [
        call(Ask::Waiting, at_ms, &key(1)),
        call(Ask::Waiting, at_ms - 120_000, &governance()),
    ] {
        assert_eq!(code(&mailbox.call(bad).await.unwrap_err()), "SOTTO-2057");
    }
    let once = call(Ask::Waiting, at_ms, &governance());
    mailbox.call(once.clone()).await.unwrap();
    assert_eq!(
        code(&mailbox.call(once).await.unwrap_err()),
        "SOTTO-2057",
        "a call counts once"
    );

    let newer = world.with_east();
    let hand_in = |roster: &SignedRoster, at_ms| {
        let roster = roster.clone();
        call(Ask::Roster { roster }, at_ms, &governance())
    };
    let heard = mailbox.call(hand_in(&newer, at_ms + 1)).await.unwrap().into_inner();
    assert_eq!(heard.roster_version, 2);
    mailbox.call(hand_in(&newer, at_ms + 2)).await.unwrap();
    let rolled_back = world.consortium.sign(&world.consortium.roster);
    let refused = mailbox.call(hand_in(&rolled_back, at_ms + 3)).await.unwrap_err();
    assert!(refused.message().contains("not newer"), "{refused}");
    let mut elsewhere = world.consortium.roster.clone();
    (elsewhere.version, elsewhere.coordinator.id) = (9, "hub-two".into());
    let refused = mailbox
        .call(hand_in(&world.consortium.sign(&elsewhere), at_ms + 4))
        .await
        .unwrap_err();
    assert!(refused.message().contains("hub-two"), "{refused}");
    let mut forged = newer.clone();
    forged.body = forged.body.replace("\"version\":2", "\"version\":7");
    let refused = mailbox.call(hand_in(&forged, at_ms + 5)).await.unwrap_err();
    assert!(refused.message().contains("not signed"), "{refused}");
    world.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mailbox_serves_nothing_else_and_the_members_door_stays_shut_without_a_certificate() {
    let world = Newcomers::start().await;
    let mut analysts = AnalystsClient::new(world.channel().await);
    let refused = analysts.get_status(v1::GetStatusRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    let mut there = EnrolmentClient::new(world.hub.channel(&world.consortium.identity("ann")).await);
    let refused = there
        .collect(v1::CollectRequest { id: vec![0; 32].into() })
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    world.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_asks_without_pause_is_told_to_wait() {
    let world = Newcomers::start().await;
    let mut mailbox = world.mailbox().await;
    let mut codes = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let refused = mailbox
            .collect(v1::CollectRequest { id: vec![0; 32].into() })
            .await
            .unwrap_err();
        if code(&refused) == "SOTTO-2056" {
            let (_, retry_ms) = told_to_wait(&refused);
            assert!(retry_ms <= 1000, "two calls a second: {retry_ms}");
        }
        codes.insert(code(&refused));
    }
    assert!(codes.contains("SOTTO-2056"), "{codes:?}");
    world.hub.stop().await;
}
