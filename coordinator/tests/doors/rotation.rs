//! Certificates that are exchanged while everybody goes on, and keys that stop counting at their hour.

use super::*;
use proto::identity::{Peer, Role};
use rustls::pki_types::ServerName;
use tokio::time::timeout;

fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_millis() as u64
}

pub async fn adopted(ann: &mut AnalystsClient<Channel>, version: u64) {
    for _ in 0..500 {
        let status = ann.get_status(v1::GetStatusRequest {}).await.unwrap().into_inner();
        if status.roster_version == version {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await; // polls a condition, for at most ten seconds
    }
    panic!("roster {version} was not adopted");
}

fn successor(name: &str) -> v1::AgentFrame {
    Software { digest: [7; 32] }.greeting_of_successor(name, 0, 0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_with_the_new_certificate_takes_over_and_nobody_sees_the_agent_leave() {
    let consortium = Consortium::new("");
    let hub = Hub::start(&consortium).await;
    let mut ann = analyst(&hub, &consortium.identity("ann")).await;
    let old = consortium.identity("west");
    let Stream { send, receive } = join(&hub, &old).await;
    let mut old_half = Stream {
        send: mpsc::channel(1).0,
        receive,
    };
    online(&mut ann, 1).await;
    let (next, roster) = consortium.rotated(Role::Agent, "west", now_ms() + 600_000);
    let new = Identity::load(&next).unwrap();
    let early = dial(&hub, &new, successor("west")).await.err().unwrap();
    assert_eq!(
        early.code(),
        Code::PermissionDenied,
        "the coordinator has not heard of the key yet"
    );
    consortium.publish(&roster, &consortium.path("roster.json"));
    adopted(&mut ann, 2).await;
    online(&mut ann, 1).await;

    let mut second = dial(&hub, &new, successor("west")).await.unwrap();
    let welcome = second.receive.message().await.unwrap().unwrap();
    assert!(proto::handshake::welcomed(welcome).unwrap().taken_over);
    // The first stream is still the one in use; ending its half in order hands over.
    let ended = async {
        drop(send);
        old_half.end().await
    };
    let ended = timeout(Duration::from_secs(10), ended).await.unwrap();
    assert!(ended.is_none(), "ended in order: {ended:?}");
    for _ in 0..20 {
        online(&mut ann, 1).await;
        tokio::time::sleep(Duration::from_millis(10)).await; // a departure would show within a turn of the engine
    }
    // What the coordinator says now comes on the second stream, and only there.
    let mut newer = roster.clone();
    newer.version = 3;
    consortium.publish(&newer, &consortium.path("roster.json"));
    let told = timeout(Duration::from_secs(10), second.receive.message())
        .await
        .unwrap();
    assert!(told.unwrap().is_some());
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_over_where_nothing_is_open() {
    let consortium = Consortium::new("");
    let hub = Hub::start(&consortium).await;
    let refused = dial(&hub, &consortium.identity("west"), successor("west")).await.err();
    assert_eq!(refused.unwrap().code(), Code::Aborted);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retiring_key_is_disconnected_and_refused_by_name_when_its_overlap_ends() {
    let consortium = Consortium::new("");
    let hub = Hub::start(&consortium).await;
    let mut ann = analyst(&hub, &consortium.identity("ann")).await;
    let (next, roster) = consortium.rotated(Role::Agent, "west", now_ms() + 5_000);
    consortium.publish(&roster, &consortium.path("roster.json"));
    adopted(&mut ann, 2).await;
    let old = consortium.identity("west");
    let mut stream = join(&hub, &old).await;
    online(&mut ann, 1).await;
    let ended = timeout(Duration::from_secs(15), stream.end()).await.unwrap();
    assert_eq!(ended.unwrap().code(), Code::PermissionDenied);
    let refused = dial(&hub, &old, greeting("west")).await.err().unwrap();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("`west` has another key"), "{refused}");
    let _new = join(&hub, &Identity::load(&next).unwrap()).await;
    online(&mut ann, 1).await;
    hub.stop().await;
}

/// The key of the certificate that the coordinator shows now.
async fn shown(hub: &Hub, identity: &Identity) -> [u8; 32] {
    let config = rustls::ClientConfig::builder()
        .with_root_certificates(identity.roots().unwrap())
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let tcp = tokio::net::TcpStream::connect(&hub.address).await.unwrap();
    let name = ServerName::try_from(Role::Coordinator.dns_name("hub")).unwrap();
    let tls = connector.connect(name, tcp).await.unwrap();
    let certificates = tls.get_ref().1.peer_certificates().unwrap();
    Peer::of_certificate(&certificates[0]).unwrap().tls_key
}

#[tokio::test(flavor = "multi_thread")]
async fn the_coordinator_shows_its_new_certificate_to_new_connections_and_keeps_the_open_ones() {
    let consortium = Consortium::new("");
    let hub = Hub::start(&consortium).await;
    let ann = consortium.identity("ann");
    let mut open = analyst(&hub, &ann).await;
    let before = shown(&hub, &ann).await;
    let (next, roster) = consortium.rotated(Role::Coordinator, "hub", now_ms() + 600_000);
    consortium.publish(&roster, &consortium.path("roster.json"));
    adopted(&mut open, 2).await;
    let folder = consortium.path("hub");
    for name in ["roster.json", "tls.key", "certificate.pem"] {
        let bytes = std::fs::read(next.join(name)).unwrap();
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    let mut after = before;
    for _ in 0..500 {
        after = shown(&hub, &ann).await;
        if after != before {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await; // polls a condition, for at most ten seconds
    }
    assert_eq!(after, roster.coordinator.tls_key.0);
    open.get_status(v1::GetStatusRequest {}).await.unwrap();
    let mut fresh = analyst(&hub, &ann).await;
    fresh.get_status(v1::GetStatusRequest {}).await.unwrap();
    hub.stop().await;
    Hub::start(&consortium).await.stop().await;
}

/// Opens a stream with this key and says nothing yet: the door has let it in.
async fn admitted(
    hub: &Hub,
    identity: &Identity,
) -> (
    mpsc::Sender<v1::AgentFrame>,
    JoinHandle<Result<Streaming<v1::CoordinatorFrame>, Status>>,
) {
    let (send, receiver) = mpsc::channel(16);
    let mut client = AgentsClient::new(hub.channel(identity).await);
    let opening = async move {
        let opened = client.connect(ReceiverStream::new(receiver)).await;
        opened.map(tonic::Response::into_inner)
    };
    (send, tokio::spawn(opening))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_let_in_before_its_key_retired_joins_and_succeeds_nobody_afterwards() {
    let consortium = Consortium::new("");
    let hub = Hub::start(&consortium).await;
    let mut ann = analyst(&hub, &consortium.identity("ann")).await;
    let until_ms = now_ms() + 4_000;
    let (next, roster) = consortium.rotated(Role::Agent, "west", until_ms);
    consortium.publish(&roster, &consortium.path("roster.json"));
    adopted(&mut ann, 2).await;
    let old = consortium.identity("west");
    let mut late = dial(&hub, &old, greeting("west")).await.unwrap();
    let (greets, opening) = admitted(&hub, &old).await;
    let _new = join(&hub, &Identity::load(&next).unwrap()).await;
    online(&mut ann, 1).await;
    assert!(now_ms() < until_ms, "all this was within the overlap");
    tokio::time::sleep(Duration::from_millis(until_ms + 200 - now_ms())).await; // the overlap ends

    late.send.send(join_frame(Join::default())).await.unwrap();
    let ended = timeout(Duration::from_secs(5), late.end()).await.unwrap();
    assert_eq!(ended.unwrap().code(), Code::PermissionDenied);
    greets.send(successor("west")).await.unwrap();
    let refused = timeout(Duration::from_secs(5), opening).await.unwrap().unwrap();
    assert_eq!(refused.err().unwrap().code(), Code::Aborted);
    online(&mut ann, 1).await;
    hub.stop().await;
}
