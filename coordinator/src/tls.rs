//! TLS of both listeners, with certificates that are exchanged while they listen: the identity directory is looked at every two seconds,
//! and whoever connects after an exchange is shown the new certificate. Open connections go on with the old one.
//!
//! The members' listener takes nobody without a certificate of the authority. The enrolment listener takes everybody, and shows
//! the authority's certificate behind its own: a newcomer has nothing but its hash. Each holds so many connections and no more ([`Room`]).

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use proto::identity::{Identity, Watch};
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

use crate::network::{Crowd, Seat, network};

const LOOK: Duration = Duration::from_secs(2);
const HANDSHAKE: Duration = Duration::from_secs(10);
/// When no connection can be taken, for want of file descriptors say.
const PAUSE: Duration = Duration::from_millis(100);

/// What is shown now.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl Shown {
    fn new(certified: CertifiedKey) -> Arc<Self> {
        Arc::new(Self(RwLock::new(Arc::new(certified))))
    }

    fn replace(&self, certified: CertifiedKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(certified);
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// The certificates of both listeners.
pub struct Certificates {
    members: Arc<Shown>,
    newcomers: Arc<Shown>,
}

impl Certificates {
    pub fn of(identity: &Identity) -> Result<Self, rustls::Error> {
        Ok(Self {
            members: Shown::new(identity.certified()?),
            newcomers: Shown::new(with_authority(identity)?),
        })
    }

    /// For members: mutual TLS.
    pub fn for_members(&self, identity: &Identity) -> Result<Arc<ServerConfig>, rustls::Error> {
        let verifier = WebPkiClientVerifier::builder(identity.roots()?).build();
        let verifier = verifier.map_err(|error| rustls::Error::General(error.to_string()))?;
        let config = ServerConfig::builder().with_client_cert_verifier(verifier);
        Ok(over_http2(config.with_cert_resolver(self.members.clone())))
    }

    /// For newcomers, who have no certificate.
    pub fn for_newcomers(&self) -> Arc<ServerConfig> {
        let config = ServerConfig::builder().with_no_client_auth();
        over_http2(config.with_cert_resolver(self.newcomers.clone()))
    }

    fn replace(&self, identity: &Identity) -> Result<(), rustls::Error> {
        self.members.replace(identity.certified()?);
        self.newcomers.replace(with_authority(identity)?);
        Ok(())
    }

    /// Shows what the directory holds, for as long as the coordinator runs.
    pub async fn keep_showing(self, mut watch: Watch) {
        let mut ticks = tokio::time::interval(LOOK);
        loop {
            ticks.tick().await;
            let Some(found) = watch.newer() else { continue };
            let shown = found.map_err(|error| error.to_string()).and_then(|identity| {
                self.replace(&identity).map_err(|error| error.to_string())?;
                Ok(identity)
            });
            match shown {
                Ok(identity) => tracing::info!(until_s = identity.certificate_until_s, "a new certificate is shown"),
                Err(error) => tracing::warn!(error, "the new certificate is not shown, the old one stays"),
            }
        }
    }
}

fn with_authority(identity: &Identity) -> Result<CertifiedKey, rustls::Error> {
    let mut certified = identity.certified()?;
    certified.cert.extend(identity.authority()?);
    Ok(certified)
}

fn over_http2(mut config: ServerConfig) -> Arc<ServerConfig> {
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

/// A connection, and its place among those that may be open.
pub struct Held {
    stream: TlsStream<TcpStream>,
    _place: OwnedSemaphorePermit,
    _seat: Seat<Whose>,
}

impl Connected for Held {
    type ConnectInfo = <TlsStream<TcpStream> as Connected>::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Held {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Held {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// How many connections a listener holds.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Whose handshake is done.
    pub open: usize,
    /// Whose handshake goes on: nobody knows yet who they are.
    pub under_way: usize,
    /// Of the former, of one certificate, or of one network where nobody has a certificate; of the latter, of one network.
    pub of_one: usize,
}

/// Whose an open connection is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    Certificate(Vec<u8>),
    Network(IpAddr),
}

/// Connections whose handshake is done. A slow one delays no other. Ends, and stops listening, when the stream is dropped.
///
/// Whoever comes when the room is full waits; whoever has its own share already is closed, so that it keeps nobody else waiting. Handshakes
/// have a room of their own, of which one network holds a part: strangers of one network who begin and never end keep nobody out.
pub fn incoming(listener: TcpListener, config: Arc<ServerConfig>, room: Room) -> ReceiverStream<io::Result<Held>> {
    let (ready, connections) = mpsc::channel(16);
    let acceptor = TlsAcceptor::from(config);
    let (strangers, places) = (
        Arc::new(Semaphore::new(room.under_way)),
        Arc::new(Semaphore::new(room.open)),
    );
    let (beginning, crowd) = (Crowd::of(room.of_one), Crowd::of(room.of_one));
    tokio::spawn(async move {
        loop {
            // Unwrap safety: this semaphore is never closed.
            let stranger = strangers.clone().acquire_owned().await.expect("an open semaphore");
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = ready.closed() => return,
            };
            let (tcp, from) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "no connection could be taken");
                    tokio::time::sleep(PAUSE).await; // descriptors come back as others close
                    continue;
                }
            };
            let network = network(from.ip());
            let Some(begun) = beginning.seat(network) else {
                tracing::debug!(%from, "too many handshakes of one network");
                continue;
            };
            let (acceptor, ready) = (acceptor.clone(), ready.clone());
            let (places, crowd) = (places.clone(), crowd.clone());
            tokio::spawn(async move {
                // Small messages of a round wait for nobody; a socket that refuses the option works without.
                let _ = tcp.set_nodelay(true);
                let open = async {
                    let stream = acceptor.accept(tcp).await?;
                    // Unwrap safety: this semaphore is never closed.
                    let place = places.acquire_owned().await.expect("an open semaphore");
                    io::Result::Ok((stream, place))
                };
                let opened = tokio::time::timeout(HANDSHAKE, open).await;
                drop((stranger, begun));
                match opened {
                    Ok(Ok((stream, place))) => {
                        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                        let whose = certificate.map_or(Whose::Network(network), |certificate| {
                            Whose::Certificate(certificate.to_vec())
                        });
                        let Some(seat) = crowd.seat(whose) else {
                            return tracing::debug!(%from, "too many connections of one member or network");
                        };
                        let held = Held {
                            stream,
                            _place: place,
                            _seat: seat,
                        };
                        // A listener that stopped wants no connection.
                        drop(ready.send(Ok(held)).await);
                    }
                    Ok(Err(error)) => tracing::debug!(%from, %error, "no TLS"),
                    Err(_) => tracing::debug!(%from, "no TLS, or no place, in time"),
                }
            });
        }
    });
    ReceiverStream::new(connections)
}
