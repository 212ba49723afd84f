//! The participant: a shell beside the data. It dials the coordinator, keeps the ledger, and computes; what it may do and in
//! which order is `engine::participant`'s decision, what a query means is `workload`'s.
//!
//! - [`consent`]: whose rows may be used, and what for
//! - [`config`]: the operator's file; [`data`]: local files as a contract's columns; [`compute`]: plans over them, with polars
//! - [`serving`]: what this agent offers, from configuration and files; [`watch`]: whether it still can; [`rules`]: who may ask
//! - [`budget`]: how two people raise a cap; [`problem`]: why an order was not carried out
//! - `link`: the one outbound stream; `driver`: records, then messages, then data; `socket`: the local operator's door
//!
//! Deliberately absent: a network listener, a path with a scheme, a log line with data, and any way for a vector to leave without the
//! engine having masked it. Idle it costs a few megabytes and one keepalive every 15 s.
#![forbid(unsafe_code)]

pub mod budget;
pub mod compute;
pub mod config;
pub mod consent;
pub mod data;
pub mod driver;
pub mod gate;
mod grants;
mod link;
pub mod notices;
pub mod problem;
pub mod rules;
pub mod serving;
pub mod socket;
pub mod status;
pub mod watch;

use std::future::Future;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use engine::coordinator::Workloads;
use engine::participant::Participant;
use engine::record::ParticipantRecord;
use governance::log::mirror::Mirror;
use proto::handshake::Software;
use proto::identity::Identity;
use proto::store::{NEWEST, Schema, SqliteStore, TOMBSTONES};
use tokio::sync::mpsc;

use crate::driver::{Event, INBOX, ORDERS};
use crate::serving::Serving;
use crate::socket::Socket;
use crate::status::Status;

/// The ledger's file: `SOPT`.
pub const SCHEMA: Schema = Schema {
    application_id: 0x534f_5054,
    migrations: &[include_str!("../migrations/0001_records.sql"), NEWEST, TOMBSTONES],
};

/// Everything about the process that is not about data.
#[derive(Debug, Clone)]
pub struct Process {
    /// Must be the identity's; none where no configuration says it.
    pub name: Option<String>,
    /// `host:port` of the coordinator.
    pub coordinator: String,
    pub identity: PathBuf,
    pub store: PathBuf,
    pub store_max_pages: Option<u32>,
    pub socket: Option<PathBuf>,
    pub metrics_port: Option<u16>,
    /// 0: masked vectors leave at once.
    pub tick_ms: u64,
}

impl From<&config::Config> for Process {
    fn from(config: &config::Config) -> Self {
        Self {
            name: Some(config.name.clone()),
            coordinator: config.coordinator.clone(),
            identity: config.identity.clone(),
            store: config.store.clone(),
            store_max_pages: config.store_max_pages,
            socket: Some(config.socket.clone()),
            metrics_port: config.metrics_port,
            tick_ms: config.tick_ms,
        }
    }
}

/// Runs an agent from its configuration file until `shutdown` resolves. With `announce`, one line of JSON on standard
/// output says that it is ready.
pub async fn run(path: &Path, announce: bool, shutdown: impl Future<Output = ()>) -> Result<(), Fatal> {
    panics_say_where_and_not_what();
    let config = config::Config::load(path)?;
    let process = Process::from(&config);
    let serving = tokio::task::spawn_blocking(move || Serving::open(&config))
        .await
        .map_err(|_| Fatal::Stopped)?;
    serve(&process, workload::workloads(), serving?, announce, shutdown).await
}

/// The text of a panic inside a library may quote a value of the data; its place in the source cannot.
fn panics_say_where_and_not_what() {
    std::panic::set_hook(Box::new(|panic| match panic.location() {
        Some(at) => tracing::error!("panic at {}:{}", at.file(), at.line()),
        None => tracing::error!("panic"),
    }));
}

/// Runs an agent over whatever `serving` offers.
pub async fn serve(
    process: &Process,
    workloads: Workloads,
    mut serving: Serving,
    announce: bool,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Fatal> {
    proto::identity::install_crypto_provider();
    let identity = Identity::load(&process.identity)?;
    if let Some(name) = process.name.as_ref().filter(|name| **name != identity.member.name) {
        return Err(Fatal::Name {
            configured: name.clone(),
            enrolled: identity.member.name.clone(),
        });
    }
    let software = Software::of_this_executable()?;
    if let Some(parent) = process.store.parent() {
        make_folder(parent)?;
    }
    let store = SqliteStore::open(&process.store, &SCHEMA, process.store_max_pages)?;
    let records = serving::recovered(&store)?;
    let bytes_sent = Arc::new(AtomicU64::new(0));
    let known = match &serving.watch {
        Some(watch) => watch.names(),
        None => serving
            .datasets
            .iter()
            .map(|dataset| dataset.contract.name.clone())
            .collect(),
    };
    let status = Status::new(
        &identity.member.name,
        &process.coordinator,
        serving.refused.clone(),
        known,
        bytes_sent.clone(),
        governance::SigningKey::from_seed(identity.signing_seed()).map_err(|_| Fatal::Stopped)?,
    );
    let executor = serving.executor.clone();
    let watch = serving.watch.take();
    let consents = serving.consents.clone();
    let config = serving
        .engine_config(&identity, workloads, process.tick_ms)
        .map_err(|error| Fatal::Books(format!("the signing key cannot sign events: {error}")))?;
    let engine = Participant::recover(config, records).map_err(|error| Fatal::Books(error.to_string()))?;
    let (adopts, members) = tokio::sync::watch::channel(Arc::new(engine.roster().clone()));
    if let Some(port) = process.metrics_port {
        metrics_exporter_prometheus::PrometheusBuilder::new()
            .with_http_listener(([127, 0, 0, 1], port))
            .install()
            .map_err(|error| Fatal::Metrics(error.to_string()))?;
    }
    let socket = process.socket.as_deref().map(Socket::bind).transpose()?;

    let (events, inbox) = mpsc::channel(INBOX);
    let (orders, ordered) = mpsc::channel(ORDERS);
    let runtime = tokio::runtime::Handle::current();
    let weak = events.downgrade();
    let (ended, driver_ended) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("sotto-engine".to_owned())
        .spawn(move || {
            let result = driver::run(engine, store, executor, inbox, ordered, weak, &runtime, status, adopts);
            // Nobody listens only when the process is on its way out already.
            let _ = ended.send(result);
        })?;
    if let Some(watch) = watch {
        let driver = events.downgrade();
        std::thread::Builder::new()
            .name("sotto-watch".to_owned())
            .spawn(move || watch.keep_looking(&driver))?;
    }
    let link = tokio::spawn(link::keep_connected(
        process.coordinator.clone(),
        identity,
        software,
        bytes_sent,
        events.clone(),
        members,
    ));
    let local = socket.map(|socket| tokio::spawn(socket.serve(orders.clone(), consents)));

    if announce {
        println!("{}", serde_json::json!({ "ready": true }));
    }
    let mut driver_ended = driver_ended;
    let result = tokio::select! {
        result = &mut driver_ended => result,
        () = shutdown => {
            tracing::info!("stopping");
            // A driver that is gone has its own result to tell.
            let _ = orders.send(Event::Stop).await;
            driver_ended.await
        }
    };
    link.abort();
    if let Some(local) = local {
        local.abort();
    }
    result.map_err(|_| Fatal::Stopped)?.map_err(Fatal::from)
}

/// Makes a folder of the agent's, and its parents, for this user alone; one that exists stays as it is.
pub(crate) fn make_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The log as this participant received it, and what it heard with it, from its store. Works beside a running agent.
pub fn mirror(store: &Path) -> Result<Mirror, Fatal> {
    let mut records = Vec::new();
    // The log first: what comes while this is read is in more acts than the leaves tell of, never in fewer.
    for kind in ["witnessed", "act_heard", "roster_adopted", "roster_kept"] {
        for row in proto::store::rows_of(store, &SCHEMA, kind)? {
            records.push(ParticipantRecord::from_row(&row).map_err(|error| Fatal::Books(error.to_string()))?);
        }
    }
    Ok(engine::participant::mirror(records))
}

/// Resolves at Ctrl-C or SIGTERM.
pub async fn stopped() {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}

/// Why an agent does not start, or stops.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    #[error(transparent)]
    Config(#[from] config::ConfigError),
    #[error(transparent)]
    Serving(#[from] serving::ServingError),
    #[error(transparent)]
    Identity(#[from] proto::identity::IdentityError),
    #[error(transparent)]
    Store(#[from] proto::store::StoreError),
    #[error(
        "the books do not add up, so nothing is answered: {0}; inspect the store with sqlite3 and restore the last backup"
    )]
    Books(String),
    #[error(
        "mismatched name: the configuration says `{configured}`, the identity folder is `{enrolled}`'s; correct name or identity"
    )]
    Name { configured: String, enrolled: String },
    #[error("the metrics port cannot be opened: {0}")]
    Metrics(String),
    #[error(transparent)]
    Driver(#[from] driver::DriverError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("the engine stopped unexpectedly; its records are durable, start the agent again")]
    Stopped,
}
