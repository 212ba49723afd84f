//! The way of a connection's bytes to the operating system, and a gate on it that shuts for good.
//!
//! Messages that were handed to a connection wait in queues and buffers: of this agent, of HTTP/2, of TLS. Once [`Gate::shut`] has
//! returned, not one byte more of the connection is given to the kernel, whatever waits. What the kernel had taken before counts as
//! sent. Costs a lock that nobody contends for each write.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tonic::transport::Uri;

/// Of one session: the connection in use, and the one that is to take over from it when the certificate was exchanged. Cheap to clone.
#[derive(Clone, Default)]
pub struct Gate(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Held while a write is under way: whoever shuts waits for one system call at most.
    shut: Mutex<bool>,
    /// By the operator's order, who wants to be heard at once.
    severed: AtomicBool,
    told: Notify,
}

impl Gate {
    /// From the moment at which this returns no byte passes.
    pub fn shut(&self) {
        *self.lock() = true;
        self.0.told.notify_waiters();
        self.0.told.notify_one(); // for whoever begins to wait a moment later
    }

    /// Shuts it because the operator stopped something.
    pub fn sever(&self) {
        self.0.severed.store(true, Ordering::SeqCst);
        self.shut();
    }

    pub fn was_severed(&self) -> bool {
        self.0.severed.load(Ordering::SeqCst)
    }

    /// Resolves when it was shut.
    pub async fn was_shut(&self) {
        self.0.told.notified().await;
    }

    /// Dials an address of the form `host:port`; whatever is written passes this gate.
    pub(crate) fn dial(&self, to: &Uri) -> impl Future<Output = io::Result<TokioIo<Gated>>> + use<> {
        let address = to.authority().map(ToString::to_string);
        let gate = self.clone();
        async move {
            let address = address.ok_or_else(|| io::Error::other("no address of a coordinator"))?;
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(TokioIo::new(Gated { stream, gate }))
        }
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        // Poisoned or not: a flag is whole.
        self.0.shut.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shuts a gate when it goes: a connection outlives neither the session that it was made for nor the driver's hold on it, whatever its library
/// still has to write. Else what waits in it could leave after a revocation that found no session to end.
pub(crate) struct Shutting(pub(crate) Gate);

impl Drop for Shutting {
    fn drop(&mut self) {
        self.0.shut();
    }
}

/// A connection behind its gate.
pub struct Gated {
    stream: TcpStream,
    gate: Gate,
}

impl Gated {
    /// Does this to the stream unless the gate is shut.
    fn pass<T>(
        mut self: Pin<&mut Self>,
        act: impl FnOnce(Pin<&mut TcpStream>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let gate = self.gate.clone();
        let shut = gate.lock();
        match *shut {
            true => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            false => act(Pin::new(&mut self.stream)),
        }
    }
}

impl AsyncRead for Gated {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.pass(|stream| stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Gated {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.pass(|stream| stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.pass(|stream| stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pass(|stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pass(|stream| stream.poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_connection_does_not_outlive_whoever_held_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri: Uri = format!("https://{}", listener.local_addr().unwrap()).parse().unwrap();
        let gate = Gate::default();
        let (connection, _peer) = tokio::join!(gate.dial(&uri), listener.accept());
        let mut connection = connection.unwrap().into_inner();
        let held = Shutting(gate.clone());
        connection.write_all(b"before").await.unwrap();
        drop(held);
        let after = connection.write_all(b"after").await;
        assert_eq!(after.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert!(!gate.was_severed());
    }

    /// A peer that does not read until the gate is shut, and a writer whose bytes wait behind a full socket.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_the_kernel_had_not_taken_when_the_gate_shut_never_leaves() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri: Uri = format!("https://{}", listener.local_addr().unwrap()).parse().unwrap();
        let gate = Gate::default();
        let dialled = gate.dial(&uri);
        let (connection, accepted) = tokio::join!(dialled, listener.accept());
        let (mut connection, mut peer) = (connection.unwrap().into_inner(), accepted.unwrap().0);

        let taken = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = taken.clone();
        let writing = tokio::spawn(async move {
            let block = [7; 64 * 1024];
            loop {
                match connection.write(&block).await {
                    Ok(written) => count.fetch_add(written, std::sync::atomic::Ordering::SeqCst),
                    Err(error) => return error.kind(),
                };
            }
        });
        // The socket is full when nothing more was taken for a while.
        let mut before = 0;
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let now = taken.load(std::sync::atomic::Ordering::SeqCst);
            if now > 0 && now == before {
                break;
            }
            before = now;
        }
        gate.shut();
        gate.was_shut().await;
        let mut received = 0;
        let mut buffer = vec![0; 1 << 20];
        loop {
            match peer.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(read) => received += read,
            }
        }
        assert_eq!(writing.await.unwrap(), io::ErrorKind::BrokenPipe);
        assert_eq!(received, before, "not a byte beyond what the kernel had taken");
    }

    /// While a certificate is exchanged a session has two connections, and what comes after them is dialled through the same gate.
    #[tokio::test]
    async fn a_gate_shuts_every_connection_of_its_session_and_opens_none_afterwards() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri: Uri = format!("https://{}", listener.local_addr().unwrap()).parse().unwrap();
        let gate = Gate::default();
        let mut pairs = Vec::new();
        for _ in 0..2 {
            let (connection, accepted) = tokio::join!(gate.dial(&uri), listener.accept());
            let (mut connection, mut peer) = (connection.unwrap().into_inner(), accepted.unwrap().0);
            connection.write_all(b"before").await.unwrap();
            peer.read_exact(&mut [0; 6]).await.unwrap();
            pairs.push((connection, peer));
        }
        gate.shut();
        let (late, accepted) = tokio::join!(gate.dial(&uri), listener.accept());
        pairs.push((late.unwrap().into_inner(), accepted.unwrap().0));
        for (mut connection, mut peer) in pairs {
            let refused = connection.write_all(b"after").await.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::BrokenPipe);
            drop(connection);
            assert_eq!(
                peer.read(&mut [0; 8]).await.unwrap(),
                0,
                "nothing after the gate was shut"
            );
        }
    }
}
