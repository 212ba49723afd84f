//! The local operator's door: a Unix socket of mode 0600, one JSON line in, one out. It works while the coordinator is
//! down, and it is the only thing an agent ever listens on beside an opt-in loopback metrics port. Whoever may replace the file could answer
//! an operator's `revoke` with "done", so a folder in which others may write is refused.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixSocket, UnixStream};
use tokio::sync::{mpsc, oneshot};

use crate::consent::{Consents, Order};
use crate::driver::{Event, now_ms};
use crate::problem::{LOCAL, OTHER_VERSION, Problem};
use crate::status::Command;

const LONGEST_LINE: u64 = 4096;
/// Operators who may wait.
const WAITING: u32 = 128;
const PATIENCE: Duration = Duration::from_secs(10);
/// After a connection that failed.
const AGAIN: Duration = Duration::from_millis(100);

/// Removes the socket's file when the agent ends.
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// A socket left by an agent that was killed is replaced; one that answers belongs to a running agent, and a file that
    /// is no socket belongs to somebody else.
    pub fn bind(path: &Path) -> io::Result<Self> {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            let message = format!(
                "{} is in use: is another agent running with this configuration?",
                path.display()
            );
            return Err(io::Error::new(io::ErrorKind::AddrInUse, message));
        }
        match std::fs::symlink_metadata(path) {
            Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path)?,
            Ok(_) => {
                let message = format!("{} exists and is no socket: it is not replaced", path.display());
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        private(path)?;
        // Nobody connects before it listens, and then its mode stands.
        let socket = UnixSocket::new_stream()?;
        socket.bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self {
            listener: socket.listen(WAITING)?,
            path: path.to_owned(),
        })
    }

    pub async fn serve(self, orders: mpsc::Sender<Event>, consents: Option<Arc<Consents>>) {
        loop {
            let (stream, _) = accepted(|| self.listener.accept()).await;
            // One at a time: an operator types, and a stuck client may not pile up tasks.
            let (reading, writing) = stream.into_split();
            let Ok(Ok(line)) = tokio::time::timeout(PATIENCE, line(reading)).await else {
                continue;
            };
            match (serde_json::from_str::<Command>(&line), &consents) {
                // Apart, because a large file takes seconds, and whoever pauses meanwhile must not wait for it.
                (Ok(Command::Consent { order }), Some(consents)) => {
                    let (consents, orders) = (consents.clone(), orders.clone());
                    tokio::spawn(async move { say(writing, &ordered(consents, order, &orders).await).await });
                }
                (Ok(command), _) => {
                    let answered = async { say(writing, &asked(command, &orders).await).await };
                    let _ = tokio::time::timeout(PATIENCE, answered).await;
                }
                (Err(error), _) => {
                    let refusal = Problem::new(OTHER_VERSION, error.to_string()).to_json();
                    let _ = tokio::time::timeout(PATIENCE, say(writing, &refusal)).await;
                }
            }
        }
    }
}

/// Whether nobody else may put something in this file's place.
fn private(path: &Path) -> io::Result<()> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
        return Ok(());
    };
    let mode = std::fs::metadata(folder)?.permissions().mode();
    if mode & 0o022 == 0 {
        return Ok(());
    }
    let message = format!(
        "{}: mode {:o}, so others could put their own socket in this one's place: chmod go-w, or another folder for `socket`",
        folder.display(),
        mode & 0o7777
    );
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

/// The next connection. One that fails, for want of file descriptors say, must not close the door: a revocation may be next.
async fn accepted<T, F: Future<Output = io::Result<T>>>(mut accept: impl FnMut() -> F) -> T {
    loop {
        match accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection to the operator's socket failed; listening on");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn line(reading: OwnedReadHalf) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(reading.take(LONGEST_LINE)).read_line(&mut line).await?;
    Ok(line)
}

async fn say(mut writing: OwnedWriteHalf, answer: &Value) -> io::Result<()> {
    writing.write_all(format!("{answer}\n").as_bytes()).await
}

fn stopping() -> Value {
    Problem::new(LOCAL, "the agent is stopping").to_json()
}

async fn asked(command: Command, orders: &mpsc::Sender<Event>) -> Value {
    let (reply, answered) = oneshot::channel();
    match (orders.send(Event::Local(command, reply)).await, answered.await) {
        (Ok(()), Ok(answer)) => answer,
        _ => stopping(),
    }
}

/// Durable first, then past every vector that was being sent: whoever is told "done" may rely on it.
async fn ordered(consents: Arc<Consents>, order: Order, orders: &mpsc::Sender<Event>) -> Value {
    let carried_out = tokio::task::spawn_blocking(move || consents.order(&order, now_ms())).await;
    let (passed, barrier) = oneshot::channel();
    let waited = (orders.send(Event::Barrier(passed)).await, barrier.await);
    match (carried_out, waited) {
        (Ok(Ok(answer)), (Ok(()), Ok(()))) => answer,
        (Ok(Err(error)), _) => Problem::from(error).to_json(),
        _ => stopping(),
    }
}

/// Asks a running agent.
pub async fn ask(path: &Path, command: &Command) -> io::Result<Value> {
    let stream = UnixStream::connect(path).await?;
    let (reading, mut writing) = stream.into_split();
    let line = serde_json::to_string(command).map_err(io::Error::other)?;
    writing.write_all(format!("{line}\n").as_bytes()).await?;
    let mut answer = String::new();
    BufReader::new(reading).read_line(&mut answer).await?;
    serde_json::from_str(&answer).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_door_stays_open_when_a_connection_fails() {
        let mut outcomes = vec![
            Ok("revoke"),
            Err(io::ErrorKind::ConnectionAborted),
            Err(io::ErrorKind::OutOfMemory),
        ];
        let next =
            accepted(|| std::future::ready(outcomes.pop().expect("no more than asked for").map_err(io::Error::from)));
        assert_eq!(next.await, "revoke");
    }

    #[tokio::test]
    async fn only_a_socket_that_nobody_answers_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("participant.sock");
        std::fs::write(&path, "the ledger").unwrap();
        assert!(Socket::bind(&path).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"the ledger");
        std::fs::remove_file(&path).unwrap();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let ours = Socket::bind(&path).unwrap();
        assert!(Socket::bind(&path).is_err(), "it answers");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "whatever the mask of the process is");
        drop(ours);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_folder_in_which_others_may_write_is_refused_and_one_that_is_made_is_this_users_alone() {
        let folder = tempfile::tempdir().unwrap();
        let made = folder.path().join("state/agent");
        crate::make_folder(&made).unwrap();
        let path = made.join("participant.sock");
        drop(Socket::bind(&path).unwrap());
        assert_eq!(std::fs::metadata(&made).unwrap().permissions().mode() & 0o777, 0o700);
        for (mode, good) in [(0o755, true), (0o775, false), (0o757, false), (0o1777, false)] {
            std::fs::set_permissions(&made, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(Socket::bind(&path).is_ok(), good, "{mode:o}");
            assert!(!path.exists());
        }
    }
}
