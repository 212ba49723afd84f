//! Who may give an agent orders: its own operator over its socket, and nobody else. Every order of the socket is tried by the socket's owner, by
//! another user of the machine and over every call that the network has; the table in SECURITY.md is this one.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;

use prost::Message;
use prost::bytes::{Buf, BufMut};
use prost_types::FileDescriptorSet;
use serde_json::{Value, json};
use sotto_participant::consent::Order;
use sotto_participant::socket;
use sotto_participant::status::Command;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::*;

/// Every order. A new one does not compile here until somebody has said what it is, and fails until the table has it.
fn orders() -> Vec<(&'static str, Command)> {
    let heart = || "heart".to_owned();
    let (grant, note) = (|| "7".repeat(64), String::new);
    let orders = vec![
        Command::Status,
        Command::Ledger { population: None },
        Command::Grants,
        Command::Pause { dataset: heart() },
        Command::Resume { dataset: heart() },
        Command::Consent {
            order: Order::Status { population: None },
        },
        Command::Replay { approval: None },
        Command::Revoke {
            grant: grant(),
            note: note(),
        },
        Command::Suspend {
            grant: grant(),
            note: note(),
        },
    ];
    let named = |order: &Command| match order {
        Command::Status => "status",
        Command::Ledger { .. } => "ledger",
        Command::Grants => "grants",
        Command::Pause { .. } => "pause",
        Command::Resume { .. } => "resume",
        Command::Consent { .. } => "consent",
        Command::Replay { .. } => "replay",
        Command::Revoke { .. } => "revoke",
        Command::Suspend { .. } => "suspend",
    };
    orders.into_iter().map(|order| (named(&order), order)).collect()
}

/// What the coordinator may say to an agent, all of it. None of these is an order of the operator's.
const FRAMES: [&str; 19] = [
    "welcome",
    "roster",
    "epoch_open",
    "setup",
    "epoch_closed",
    "round_start",
    "cohort",
    "upload_grant",
    "receipt",
    "survivors",
    "certificate",
    "paths_wanted",
    "edges_wanted",
    "round_ended",
    "job_ended",
    "log_grown",
    "acts",
    "heartbeat",
    "trial",
];

fn descriptors() -> FileDescriptorSet {
    FileDescriptorSet::decode(proto::FILE_DESCRIPTOR_SET).unwrap()
}

/// Service and path of every call.
fn calls() -> Vec<(String, String)> {
    let mut calls = Vec::new();
    for file in descriptors().file {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                calls.push((service.name().to_owned(), path));
            }
        }
    }
    calls
}

#[test]
fn every_order_has_its_row_in_the_security_document_and_none_is_among_what_the_coordinator_says() {
    let orders = orders();
    let refused = serde_json::from_value::<Command>(json!({ "command": "?" })).unwrap_err();
    let known: BTreeSet<String> = refused
        .to_string()
        .split('`')
        .skip(3)
        .step_by(2)
        .map(str::to_owned)
        .collect();
    let tried: BTreeSet<String> = orders.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(tried, known, "{refused}");
    let document = include_str!("../../../SECURITY.md");
    let head = "| order | the socket's owner | another user | the network |";
    let rows = orders.iter().map(|(name, _)| format!("| `{name}` | yes | no | no |"));
    let rows: Vec<String> = rows.collect();
    let (_, table) = document
        .split_once(head)
        .unwrap_or_else(|| panic!("SECURITY.md lacks {head}"));
    let table: BTreeSet<&str> = table.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
    let rows: BTreeSet<&str> = rows.iter().map(String::as_str).collect();
    assert_eq!(table, rows);

    let files = descriptors().file;
    let frames = files.iter().flat_map(|file| &file.message_type);
    let frame = frames
        .clone()
        .find(|message| message.name() == "CoordinatorFrame")
        .unwrap();
    let said: Vec<&str> = frame.field.iter().map(|field| field.name()).collect();
    assert_eq!(said, FRAMES, "a new word of the coordinator's: is it an order?");
    for (order, _) in &orders {
        assert!(!said.contains(order), "{order}");
    }
}

/// Bytes as they are.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let length = from.remaining();
        Ok(Some(from.copy_to_bytes(length).to_vec()))
    }
}

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

async fn call(channel: &Channel, path: &str, message: Vec<u8>) -> Result<Option<Vec<u8>>, Status> {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let path = PathAndQuery::try_from(path).unwrap();
    let said = Request::new(tokio_stream::once(message));
    let answered = async { client.streaming(said, path, Raw).await?.into_inner().message().await };
    let answered = tokio::time::timeout(Duration::from_secs(20), answered).await;
    answered.expect("an answer or a refusal")
}

struct Machine {
    world: World,
    mailbox: SocketAddr,
    socket: PathBuf,
}

impl Machine {
    async fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mailbox = listener.local_addr().unwrap();
        drop(listener);
        let address = mailbox.to_string();
        let world = World::told(&[("SOTTO_COORDINATOR_ENROLL_LISTEN", &address)], |_, _| {}).await;
        let socket = world.state().join("participants/cleveland/participant.sock");
        Self { world, mailbox, socket }
    }

    async fn ask(&self, order: &Command) -> Value {
        socket::ask(&self.socket, order).await.unwrap()
    }

    /// What orders could have changed, and nothing else.
    async fn standing(&self) -> [Value; 3] {
        let status = self.ask(&Command::Status).await;
        let mut ledger = self.ask(&Command::Ledger { population: None }).await;
        ledger["patients"]["at_ms"] = Value::Null; // when it was asked
        [status["datasets"].clone(), ledger, self.ask(&Command::Grants).await]
    }

    async fn channel(&self, folder: &str, address: &str) -> Channel {
        let identity = Identity::load(&self.world.state().join(folder)).unwrap();
        let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap();
        let endpoint = endpoint.tls_config(identity.client_tls_to_any_key()).unwrap();
        endpoint.connect().await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_is_heard_of_the_sockets_owner() {
    let machine = Machine::start().await;
    let done = json!({ "done": true });
    for (name, order) in orders() {
        let answer = machine.ask(&order).await;
        let error = answer["error"]["message"].as_str().unwrap_or_default();
        let heard = match name {
            "status" => answer["agent"] == "cleveland" && answer["connected"] == true,
            "ledger" => error.is_empty() && answer.as_object().is_some_and(|ledgers| !ledgers.is_empty()),
            "grants" => answer["grants"] == json!([]),
            "pause" | "resume" => answer == done,
            "consent" => error.contains("no dataset here requires consent"),
            "replay" => error.contains("nothing"),
            "revoke" | "suspend" => error.contains("grant"),
            other => panic!("{other}: say here how it is heard"),
        };
        assert!(heard, "{name}: {answer}");
        let paused = machine.standing().await[0][0]["paused"] == true;
        assert_eq!(paused, name == "pause", "{name}");
    }
    machine.world.running.stop().await;
}

/// Whether another user of this machine may write to a file, which is what connecting takes. `None` where nobody may become another user.
fn another_user_may_write(path: &Path) -> Option<bool> {
    const NOBODY: u32 = 65_534;
    let mut test = std::process::Command::new("/usr/bin/test");
    let ended = test.arg("-w").arg(path).uid(NOBODY).gid(NOBODY).status();
    Some(ended.ok()?.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_user_of_the_machine_reaches_the_socket() {
    let machine = Machine::start().await;
    let folder = machine.socket.parent().unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&machine.socket), mode(folder)), (0o600, 0o700));
    let ours = std::fs::metadata(machine.world.folder.path()).unwrap().uid();
    assert_eq!(std::fs::metadata(&machine.socket).unwrap().uid(), ours);
    assert_ne!(another_user_may_write(&machine.socket), Some(true));
    // By the folder alone, and by the socket's own mode alone.
    let set = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    set(&machine.socket, 0o666);
    assert_ne!(
        another_user_may_write(&machine.socket),
        Some(true),
        "the folder forbids"
    );
    set(&machine.socket, 0o600);
    for above in folder
        .ancestors()
        .take_while(|above| above.starts_with(machine.world.folder.path()))
    {
        set(above, 0o755);
    }
    assert_ne!(
        another_user_may_write(&machine.socket),
        Some(true),
        "the socket forbids"
    );
    set(&machine.socket, 0o666);
    assert_ne!(
        another_user_may_write(&machine.socket),
        Some(false),
        "or nothing was tried"
    );
    machine.world.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_order_is_heard_over_any_call_that_the_network_has() {
    let machine = Machine::start().await;
    let before = machine.standing().await;
    let hub = machine.world.running.profile.coordinator.clone();
    let mailbox = machine.mailbox.to_string();
    let mut tried = 0;
    for caller in [
        "analyst",
        "participants/cleveland/identity",
        "participants/zurich/identity",
        "coordinator/identity",
    ] {
        let (members, strangers) = (
            machine.channel(caller, &hub).await,
            machine.channel(caller, &mailbox).await,
        );
        for (service, path) in calls() {
            // The mailbox counts calls; a stranger is one, whoever he says he is.
            let channel = match service == "Enrolment" {
                true if caller == "analyst" => &strangers,
                true => continue,
                false => &members,
            };
            for (order, command) in orders() {
                let line = serde_json::to_vec(&command).unwrap();
                let answered = call(channel, &path, line).await;
                assert!(answered.is_err(), "{order} over {path} by {caller}: {answered:?}");
                tried += 1;
            }
        }
    }
    assert!(tried > 9 * 4 * 15, "{tried}");
    machine.world.agents_in_epoch(4).await;
    assert_eq!(machine.standing().await, before);
    machine.world.running.stop().await;
}

/// Sockets of a process that listen: ports of the network's, and paths of the machine's own.
#[cfg(target_os = "linux")]
fn listens(process: u32) -> (Vec<String>, Vec<String>) {
    let folder = PathBuf::from(format!("/proc/{process}"));
    let mut own = BTreeSet::new();
    for open in std::fs::read_dir(folder.join("fd")).unwrap().flatten() {
        let target = std::fs::read_link(open.path()).unwrap_or_default();
        let target = target.to_string_lossy().into_owned();
        own.extend(
            target
                .strip_prefix("socket:[")
                .and_then(|rest| rest.strip_suffix(']'))
                .map(str::to_owned),
        );
    }
    let lines = |kind: &str| {
        let text = std::fs::read_to_string(folder.join("net").join(kind)).unwrap_or_default();
        let rows = text
            .lines()
            .skip(1)
            .map(|line| line.split_whitespace().map(str::to_owned).collect());
        rows.collect::<Vec<Vec<String>>>()
    };
    let mut ports = Vec::new();
    for kind in ["tcp", "tcp6", "udp", "udp6"] {
        // 0A: listens. A datagram socket that is bound hears everybody.
        let open = lines(kind)
            .into_iter()
            .filter(|row| kind.starts_with("udp") || row[3] == "0A");
        ports.extend(
            open.filter(|row| own.contains(&row[9]))
                .map(|row| format!("{kind} {}", row[1])),
        );
    }
    let accepting = |row: &Vec<String>| row[3] == "00010000" && own.contains(&row[6]);
    let paths = lines("unix").into_iter().filter(accepting);
    (ports, paths.map(|row| row.last().unwrap().clone()).collect())
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_listens_on_its_socket_alone_and_the_coordinator_has_none() {
    let machine = Machine::start().await;
    let ids = machine.world.running.process_ids();
    let (ports, paths) = listens(ids[0]);
    assert_eq!(
        (ports.len(), paths.len()),
        (2, 0),
        "members and newcomers: {ports:?} {paths:?}"
    );
    for id in &ids[1..] {
        let (ports, paths) = listens(*id);
        assert_eq!(ports, Vec::<String>::new());
        assert_eq!(paths.len(), 1, "{paths:?}");
        assert!(paths[0].ends_with("participant.sock"), "{paths:?}");
    }
    assert_eq!(ids.len(), 5);
    machine.world.running.stop().await;
}
