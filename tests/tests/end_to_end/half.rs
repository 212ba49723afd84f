//! A coordinator that ends its half of a connection and keeps the window shut behind which the agent's messages wait: nothing of them is its
//! to fetch afterwards, when a revocation finds no session any more that it could end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use proto::handshake::Software;
use proto::identity::Identity;
use proto::v1;
use proto::v1::agent_frame::Frame;
use proto::v1::agents_server::{Agents, AgentsServer};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

/// Less than a Join takes with one contract in it.
const WINDOW: u32 = 1_024;

/// What came over each connection, in the order in which they were over: the names of its frames.
pub type Came = Arc<Mutex<Vec<Vec<&'static str>>>>;

struct Half {
    came: Came,
    opened: Mutex<u32>,
}

#[tonic::async_trait]
impl Agents for Half {
    type ConnectStream = ReceiverStream<Result<v1::CoordinatorFrame, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<v1::AgentFrame>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let first = {
            let mut opened = self.opened.lock().unwrap();
            *opened += 1;
            *opened == 1
        };
        let (sender, receiver) = mpsc::channel(1);
        let (came, mut inbound) = (self.came.clone(), request.into_inner());
        tokio::spawn(async move {
            let welcome = Software { digest: [0; 32] }.welcome(1, None, 0);
            let _ = sender.send(Ok(welcome)).await;
            tokio::time::sleep(Duration::from_secs(2)).await; // the agent says what it has to say
            // The first connection shows that it waits behind the window, and comes when it opens; later ones end their half before.
            let held = first.then_some(sender);
            tokio::time::sleep(Duration::from_secs(2)).await; // the agent hears that
            let mut frames = Vec::new();
            let read = async {
                while let Ok(Some(frame)) = inbound.message().await {
                    frames.push(match frame.frame {
                        Some(Frame::Greeting(_)) => "greeting",
                        Some(Frame::Join(_)) => "join",
                        _ => "more",
                    });
                }
            };
            let _ = tokio::time::timeout(Duration::from_secs(3), read).await;
            came.lock().unwrap().push(frames);
            drop(held);
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

/// Listens in the coordinator's name.
pub fn listens(listener: TcpListener, hub: &Identity) -> Came {
    proto::identity::install_crypto_provider();
    let came = Came::default();
    let half = Half {
        came: came.clone(),
        opened: Mutex::new(0),
    };
    let serving = Server::builder()
        .initial_stream_window_size(WINDOW)
        .tls_config(hub.server_tls())
        .unwrap()
        .add_service(AgentsServer::new(half))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(serving);
    came
}
