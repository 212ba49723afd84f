//! Who may call what: every call of every service that this coordinator serves, by every kind of caller. The calls come from the services'
//! own descriptors, so a new call fails here until somebody has said who may make it; the table in SECURITY.md is this one.
//!
//! Each cell is tried over a real connection with an empty message: roles are looked at before a byte of it is.

use prost::Message;
use prost_types::FileDescriptorSet;
use proto::identity::Role;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::ClientTlsConfig;
use tonic_prost::ProstCodec;

use super::*;

/// Who may make each call. Everybody else may not: the coordinator itself, governance (which has no connection of its own), a former
/// member, whose certificate still holds, and a stranger.
const CALLS: &[(&str, &[Role])] = &[
    ("Agents.Connect", &[Role::Agent]),
    ("Analysts.Submit", &[Role::Analyst]),
    ("Analysts.Watch", &[Role::Analyst]),
    ("Analysts.Cancel", &[Role::Analyst]),
    ("Analysts.GetRequest", &[Role::Analyst]),
    ("Analysts.Explain", &[Role::Analyst]),
    ("Analysts.ListReleases", &[Role::Analyst]),
    ("Analysts.GetRelease", &[Role::Analyst]),
    ("Analysts.ListModels", &[Role::Analyst]),
    ("Analysts.MoveModel", &[Role::Analyst]),
    ("Analysts.ListDatasets", &[Role::Analyst, Role::Steward]),
    ("Analysts.ListParticipants", &[Role::Analyst, Role::Steward]),
    ("Analysts.GetStatus", &[Role::Analyst, Role::Steward]),
    ("Analysts.GetUsage", &[Role::Analyst, Role::Steward]),
    ("Analysts.ReadLog", &[Role::Analyst, Role::Steward]),
    ("Register.Act", &[Role::Analyst, Role::Steward]),
    ("Register.ListActs", &[Role::Analyst, Role::Steward]),
];

/// Services on a listener of their own, to which nobody brings a certificate: at this door nobody has them. Who has them there: `letters`.
pub(super) const ELSEWHERE: [&str; 1] = ["Enrolment"];

const COLUMNS: [&str; 7] = [
    "agent",
    "analyst",
    "steward",
    "coordinator",
    "governance",
    "former member",
    "stranger",
];

/// `Service.Call` of every call of this door in the descriptors, and its path.
fn calls() -> Vec<(String, String)> {
    described(|service| !ELSEWHERE.contains(&service))
}

pub(super) fn described(wanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let described = FileDescriptorSet::decode(proto::FILE_DESCRIPTOR_SET).unwrap();
    let mut found = Vec::new();
    for file in described.file {
        for service in file.service.iter().filter(|service| wanted(service.name())) {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                found.push((format!("{}.{}", service.name(), method.name()), path));
            }
        }
    }
    found
}

fn row(call: &str, allowed: &[Role]) -> String {
    let cells = COLUMNS.map(|column| match allowed.iter().any(|role| role.as_str() == column) {
        true => "yes",
        false => "no",
    });
    format!("| `{call}` | {} |", cells.join(" | "))
}

/// Makes a call with an empty message.
async fn call(channel: &Channel, path: &str) -> Result<(), Status> {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let codec = ProstCodec::<(), ()>::default();
    let path = PathAndQuery::try_from(path).unwrap();
    let answered = client
        .streaming(Request::new(tokio_stream::once(())), path, codec)
        .await?;
    answered.into_inner().message().await.map(drop)
}

async fn connected(hub: &Hub, tls: ClientTlsConfig) -> Channel {
    let endpoint = Endpoint::from_shared(format!("https://{}", hub.address)).unwrap();
    endpoint.tls_config(tls).unwrap().connect().await.unwrap()
}

/// Let in: whatever is wrong with an empty message, it is not who sent it.
fn is_let_in(answered: &Result<(), Status>) -> bool {
    match answered {
        Ok(()) => true,
        Err(status) => matches!(
            status.code(),
            Code::InvalidArgument | Code::NotFound | Code::FailedPrecondition
        ),
    }
}

fn is_turned_away(answered: &Result<(), Status>) -> bool {
    let Err(status) = answered else { return false };
    matches!(status.code(), Code::PermissionDenied | Code::Unauthenticated)
        && (status.message().starts_with("certificate") || status.message().starts_with("unknown"))
}

#[test]
fn every_call_has_its_row_here_and_in_the_security_document() {
    let described: Vec<String> = calls().into_iter().map(|(call, _)| call).collect();
    let listed: Vec<&str> = CALLS.iter().map(|(call, _)| *call).collect();
    for call in &described {
        assert!(listed.contains(&call.as_str()), "{call}: say in CALLS who may make it");
    }
    for call in &listed {
        assert!(described.iter().any(|found| found == call), "{call}: no service has it");
    }
    let document = include_str!("../../../SECURITY.md");
    let rows: Vec<String> = CALLS.iter().map(|(call, allowed)| row(call, allowed)).collect();
    let head = format!("| call | {} |", COLUMNS.join(" | "));
    let missing: Vec<&String> = rows.iter().filter(|row| !document.contains(*row)).collect();
    assert!(
        document.contains(&head) && missing.is_empty(),
        "SECURITY.md lacks:\n{head}\n{}",
        rows.join("\n")
    );
    let services = ["| `Agents.", "| `Analysts.", "| `Register."];
    let told = document
        .lines()
        .filter(|line| services.iter().any(|name| line.starts_with(name)));
    assert_eq!(told.count(), rows.len(), "SECURITY.md has rows that nothing here tests");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cell_of_the_matrix_of_calls_is_as_the_table_says() {
    let consortium = Consortium::new("");
    let hub = Hub::start(&consortium).await;
    let own = |name: &str| consortium.identity(name).client_tls_to_any_key();
    let mut callers = vec![
        ("agent", connected(&hub, own("north")).await),
        ("analyst", connected(&hub, own("ann")).await),
        ("steward", connected(&hub, own("sue")).await),
        ("coordinator", connected(&hub, own("hub")).await),
    ];
    let minted = |name: String| consortium.minted(&name);
    let governance = minted("hearts.governance.sottovoce.internal".to_owned());
    callers.push(("governance", connected(&hub, governance).await));
    // Whoever left: the name is in no roster any more. And whoever has a new key: the old certificate is that of nobody.
    for (role, name) in [
        (Role::Agent, "east"),
        (Role::Analyst, "eve"),
        (Role::Steward, "una"),
        (Role::Agent, "north"),
        (Role::Analyst, "ann"),
        (Role::Steward, "sue"),
    ] {
        callers.push(("former member", connected(&hub, minted(role.dns_name(name))).await));
    }
    let mut cells = 0;
    for (name, path) in calls() {
        let (_, allowed) = CALLS.iter().find(|(call, _)| *call == name).unwrap();
        for (column, channel) in &callers {
            let answered = call(channel, &path).await;
            match allowed.iter().any(|role| role.as_str() == *column) {
                true => assert!(is_let_in(&answered), "{name} by {column}: {answered:?}"),
                false => assert!(is_turned_away(&answered), "{name} by {column}: {answered:?}"),
            }
            cells += 1;
        }
    }
    assert_eq!(cells, CALLS.len() * callers.len());
    for (name, path) in described(|service| ELSEWHERE.contains(&service)) {
        for (column, channel) in &callers {
            let refused = call(channel, &path).await.unwrap_err();
            assert_eq!(refused.code(), Code::Unimplemented, "{name} by {column}: {refused}");
        }
    }
    hub.stop().await;
}

/// The last column: without a certificate of the consortium's authority there is no connection to call over.
#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_makes_no_call_at_all() {
    let (consortium, elsewhere) = (Consortium::new(""), Consortium::new(""));
    let hub = Hub::start(&consortium).await;
    let endpoint = || Endpoint::from_shared(format!("https://{}", hub.address)).unwrap();
    let bare = consortium.trusting();
    let foreign = elsewhere.certified(bare.clone(), &Role::Analyst.dns_name("ann"));
    for tls in [bare, foreign] {
        let channel = endpoint().tls_config(tls).unwrap().connect_lazy();
        for (name, path) in calls() {
            let mut client = Grpc::new(channel.clone());
            let Ok(()) = client.ready().await else { continue };
            let path = PathAndQuery::try_from(path).unwrap();
            let message = Request::new(tokio_stream::once(()));
            let answered = client.streaming(message, path, ProstCodec::<(), ()>::default()).await;
            let status = answered.err().unwrap_or_else(|| panic!("{name} was answered"));
            assert!(
                matches!(
                    status.code(),
                    Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled
                ),
                "{name}: {status}"
            );
        }
    }
    hub.stop().await;
}
