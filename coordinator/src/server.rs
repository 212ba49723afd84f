//! Putting the parts together, and taking them apart in order: on a planned stop the driver finishes what it has, ends every
//! stream and closes the store; then the sockets close.

use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use engine::coordinator::{Coordinator, StartError, Workloads};
use engine::record::{BadRow, CoordinatorRecord};
use proto::agents::{MAX_AGENT_FRAME, MAX_COORDINATOR_FRAME};
use proto::handshake::Software;
use proto::identity::{Identity, IdentityError, Role, Watch, install_crypto_provider};
use proto::store::{NEWEST, Schema, SqliteStore, Store, StoreError, TOMBSTONES};
use proto::v1::agents_server::AgentsServer;
use proto::v1::analysts_server::AnalystsServer;
use proto::v1::enrolment_server::EnrolmentServer;
use proto::v1::register_server::RegisterServer;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tonic::transport::Server;

use crate::config::{Config, ConfigError};
use crate::driver::{self, Driver, DriverError, Event, Parts};
use crate::gate::Gate;
use crate::grpc::admission::Admission;
use crate::grpc::agents::AgentsDoor;
use crate::grpc::analysts::AnalystsDoor;
use crate::grpc::enrolment::EnrolmentDoor;
use crate::grpc::register::RegisterDoor;
use crate::jobs::Jobs;
use crate::rebuild::Rebuilt;
use crate::roster::{Membership, RosterFile, RosterFileError};
use crate::spool::Spooler;
use crate::tiles::Tiles;
use crate::tls::{self, Certificates, Room};
use crate::{metrics, roster};

/// The coordinator's file: `SOCO`.
const SCHEMA: Schema = Schema {
    application_id: 0x534f_434f,
    migrations: &[include_str!("../migrations/0001_records.sql"), NEWEST, TOMBSTONES],
};

/// Unread bytes that a stream, and a connection, may hold: a quarter and a half of a large vector.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 2 << 20;
const HTTP2_FRAME: u32 = 256 << 10;
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_PATIENCE: Duration = Duration::from_secs(20);
/// The largest request of an analyst.
const MAX_REQUEST: usize = 4 << 20;
/// Calls and streams of one connection.
const STREAMS: u32 = 64;
/// Connections of members: an agent has one and one for each vector that is on its way.
const MEMBERS: Room = Room {
    open: 4096,
    under_way: 1024,
    of_one: 256,
};
/// Of strangers at the mailbox: few, each with few and short calls, since nobody knows who they are.
const NEWCOMERS: Room = Room {
    open: 64,
    under_way: 64,
    of_one: 8,
};
const NEWCOMERS_STREAMS: u32 = 4;
const NEWCOMERS_PATIENCE: Duration = Duration::from_secs(30);
/// The largest message to the mailbox: governance's, with a roster.
const MAX_ROSTER: usize = 1 << 20;
/// How long sockets may take to close after everything is durable.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Runs a coordinator from its configuration file until `shutdown` resolves. With `announce`, one line of JSON on standard
/// output says where it listens.
pub async fn run(path: &Path, announce: bool, shutdown: impl Future<Output = ()>) -> Result<(), Fatal> {
    run_with(path, workload::workloads(), announce, shutdown).await
}

/// [`run`] with other workloads than the product's.
pub async fn run_with(
    path: &Path,
    workloads: Workloads,
    announce: bool,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Fatal> {
    install_crypto_provider();
    let config = Config::load(path)?;
    let (identity, membership) = who(&config)?;
    if let Some(folder) = config.store.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let store = SqliteStore::open(&config.store, &SCHEMA, config.store_max_pages)?;
    let (engine, jobs) = recover(&config, &identity, &membership, workloads, &store)?;
    let spooler = match &config.spool {
        Some(folder) => Some(Spooler::open(folder, config.spool_max_mib << 20)?),
        None => None,
    };
    let tiles = match &config.tiles {
        Some(folder) => {
            let mut tiles = Tiles::open(folder)?;
            tiles.publish(engine.books().log());
            Some(tiles)
        }
        None => None,
    };
    if let Some(port) = config.metrics_port {
        metrics::install(port).map_err(Fatal::Metrics)?;
    }
    let version = membership.roster.version;
    let (members, enrolled) = watch::channel(Arc::new(membership));
    let (driver, ended) = driver::start(Parts {
        engine,
        store,
        jobs,
        spooler,
        tiles,
        members,
    })?;
    let file = RosterFile::new(config.roster_file());
    let reading = roster::keep_reading(file.clone(), identity.governance, version, driver.clone());
    let reading = tokio::spawn(reading);
    let newcomers = EnrolmentDoor::new(enrolled.clone(), identity.governance, file);
    let result = serve(
        &config, &identity, enrolled, newcomers, driver, ended, announce, shutdown,
    )
    .await;
    reading.abort();
    result
}

/// Whether a coordinator could start from this file: configuration, identity, roster. Opens no store and no socket.
pub fn check(path: &Path) -> Result<String, Fatal> {
    let config = Config::load(path)?;
    let (identity, membership) = who(&config)?;
    let roster = &membership.roster;
    Ok(format!(
        "coordinator `{}` of `{}`: roster version {}, {} agents, {} analysts, up to {} colluders; listens on {}",
        identity.member.name,
        roster.consortium,
        roster.version,
        roster.agents.len(),
        roster.analysts.len(),
        roster.c,
        config.listen
    ))
}

/// Writes the log and what was decided back from participants' mirrors; the coordinator must not run.
pub fn rebuild(path: &Path, mirrors: &[std::path::PathBuf], incomplete: bool) -> Result<Rebuilt, Fatal> {
    let config = Config::load(path)?;
    let (identity, membership) = who(&config)?;
    if let Some(folder) = config.store.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut store = SqliteStore::open(&config.store, &SCHEMA, config.store_max_pages)?;
    let members = (&membership, &identity.governance);
    let rebuilt = crate::rebuild::rebuild(&mut store, members, mirrors, incomplete)?;
    store.close()?;
    Ok(rebuilt)
}

fn who(config: &Config) -> Result<(Identity, Membership), Fatal> {
    let identity = Identity::load(&config.identity)?;
    if identity.member.role != Role::Coordinator {
        return Err(Fatal::Role(identity.member.role));
    }
    let membership = roster::newest(&identity, &config.roster_file())?;
    Ok((identity, membership))
}

fn recover(
    config: &Config,
    identity: &Identity,
    membership: &Membership,
    workloads: Workloads,
    store: &SqliteStore,
) -> Result<(Coordinator, Jobs), Fatal> {
    let rows = store.rows()?;
    let records = rows
        .iter()
        .map(CoordinatorRecord::from_row)
        .collect::<Result<Vec<_>, _>>()?;
    let jobs = Jobs::recovered(&records);
    let engine = engine::coordinator::Config {
        signing_key: Arc::new(engine::SigningKey::from_seed(identity.signing_seed())),
        actor_key: Arc::new(
            governance::SigningKey::from_seed(identity.signing_seed())
                .map_err(|error| Fatal::Key(error.to_string()))?,
        ),
        governance_key: identity.governance,
        roster: membership.signed.clone(),
        workloads,
        limits: config.engine(),
    };
    Ok((Coordinator::recover(engine, records)?, jobs))
}

/// The mailbox on its own listener.
fn receive(
    listener: TcpListener,
    certificates: &Certificates,
    door: EnrolmentDoor,
) -> tokio::task::JoinHandle<Result<(), tonic::transport::Error>> {
    let serving = Server::builder()
        .timeout(NEWCOMERS_PATIENCE)
        .max_concurrent_streams(NEWCOMERS_STREAMS)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_PATIENCE))
        .add_service(EnrolmentServer::new(door).max_decoding_message_size(MAX_ROSTER))
        .serve_with_incoming(tls::incoming(listener, certificates.for_newcomers(), NEWCOMERS));
    tokio::spawn(serving)
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Fatal> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|source| Fatal::Listen { address, source })
}

#[expect(clippy::too_many_arguments, reason = "each part is owned by nobody else")]
async fn serve(
    config: &Config,
    identity: &Identity,
    members: watch::Receiver<Arc<Membership>>,
    newcomers: EnrolmentDoor,
    driver: Driver,
    mut ended: oneshot::Receiver<Result<(), DriverError>>,
    announce: bool,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Fatal> {
    let certificates = Certificates::of(identity)?;
    // Bound first: whoever finds the members' door open finds the mailbox open too. Without an address for it nothing listens.
    let mailbox = match config.enroll_listen {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let listener = listen(config.listen).await?;
    let address = listener.local_addr()?;
    let incoming = tls::incoming(listener, certificates.for_members(identity)?, MEMBERS);
    if let Some(mailbox) = &mailbox {
        tracing::info!(address = %mailbox.local_addr()?, "listening for newcomers");
    }
    let receiving = mailbox.map(|mailbox| receive(mailbox, &certificates, newcomers));
    let showing = tokio::spawn(certificates.keep_showing(Watch::of(identity)));
    let software = Software::of_this_executable()?;
    let admission = Admission {
        members,
        gate: Arc::new(Gate::new(&config.limits)),
    };
    let agents = AgentsDoor::new(driver.clone(), admission.clone(), software, config.limits.clone());
    let analysts = AnalystsDoor::new(driver.clone(), admission.clone());
    let register =
        RegisterServer::new(RegisterDoor::new(driver.clone(), admission)).max_decoding_message_size(MAX_REQUEST);
    let agents = AgentsServer::new(agents)
        .max_decoding_message_size(MAX_AGENT_FRAME)
        .max_encoding_message_size(MAX_COORDINATOR_FRAME);
    let analysts = AnalystsServer::new(analysts).max_decoding_message_size(MAX_REQUEST);
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<AgentsServer<AgentsDoor>>().await;
    health.set_serving::<AnalystsServer<AnalystsDoor>>().await;
    health.set_serving::<RegisterServer<RegisterDoor>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .map_err(|error| Fatal::Reflection(error.to_string()))?;
    let (close, closing) = oneshot::channel::<()>();
    let serving = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(HTTP2_FRAME)
        .max_concurrent_streams(STREAMS)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_PATIENCE))
        .add_service(health_service)
        .add_service(reflection)
        .add_service(agents)
        .add_service(analysts)
        .add_service(register)
        .serve_with_incoming_shutdown(incoming, async {
            // Dropping `close` closes too.
            let _ = closing.await;
        });
    let mut serving = tokio::spawn(serving);
    tracing::info!(%address, "listening");
    if announce {
        announce_ready(address)?;
    }
    let result = tokio::select! {
        result = &mut ended => result,
        served = &mut serving => return Err(served.map_or(Fatal::Stopped, |result| result.err().map_or(Fatal::Stopped, Fatal::Transport))),
        () = shutdown => {
            tracing::info!("stopping");
            // A driver that is gone has its own result to tell.
            let _ = driver.send(Event::Stop);
            ended.await
        }
    };
    showing.abort();
    if let Some(receiving) = receiving {
        receiving.abort();
    }
    drop(close);
    if tokio::time::timeout(LAST_WORDS, &mut serving).await.is_err() {
        serving.abort();
    }
    Ok(result.map_err(|_| Fatal::Stopped)??)
}

fn announce_ready(address: SocketAddr) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{}",
        serde_json::json!({ "ready": true, "address": address.to_string() })
    )?;
    out.flush()
}

/// Why a coordinator does not start, or stops.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("identity of an {0}: expected that of a coordinator")]
    Role(Role),
    #[error(transparent)]
    Roster(#[from] RosterFileError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "{0}; the store was written by another program or is damaged: inspect it with sqlite3 and restore the last backup"
    )]
    Row(#[from] BadRow),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the signing key cannot sign events: {0}")]
    Key(String),
    #[error("the log cannot be rebuilt: {0}")]
    Rebuild(String),
    #[error("cannot listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    #[error("the sockets failed: {0}")]
    Transport(#[from] tonic::transport::Error),
    #[error("the metrics port cannot be opened: {0}")]
    Metrics(String),
    #[error("reflection cannot be built: {0}")]
    Reflection(String),
    #[error(transparent)]
    Driver(#[from] DriverError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("the engine stopped unexpectedly; its records are durable, start the coordinator again")]
    Stopped,
}
