//! A tap on one agent's wire. It holds the coordinator's own keys, as a hostile coordinator would, so the agent speaks to it; every
//! frame is kept as it stood on the wire and passed on. What it has seen is all that ever left that agent.

use std::sync::{Arc, Mutex};

use prost::Message;
use proto::agents::{MAX_AGENT_FRAME, MAX_COORDINATOR_FRAME};
use proto::identity::Identity;
use proto::v1;
use proto::v1::agents_client::AgentsClient;
use proto::v1::agents_server::{Agents, AgentsServer};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};

/// Bytes that an agent sent, in order.
pub type Seen = Arc<Mutex<Vec<u8>>>;

struct Tap {
    agent: Identity,
    coordinator: String,
    seen: Seen,
}

#[tonic::async_trait]
impl Agents for Tap {
    type ConnectStream = Streaming<v1::CoordinatorFrame>;

    async fn connect(
        &self,
        request: Request<Streaming<v1::AgentFrame>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let failed = |error: tonic::transport::Error| Status::unavailable(error.to_string());
        let endpoint = Endpoint::from_shared(format!("https://{}", self.coordinator)).map_err(failed)?;
        let tls = endpoint
            .tls_config(self.agent.client_tls_to_any_key())
            .map_err(failed)?;
        let channel = tls.connect().await.map_err(failed)?;
        let mut onward = AgentsClient::new(channel).max_decoding_message_size(MAX_COORDINATOR_FRAME);
        let (sender, receiver) = mpsc::channel(16);
        let (seen, mut inbound) = (self.seen.clone(), request.into_inner());
        tokio::spawn(async move {
            while let Ok(Some(frame)) = inbound.message().await {
                seen.lock().unwrap().extend(frame.encode_to_vec());
                if sender.send(frame).await.is_err() {
                    return;
                }
            }
        });
        let answers = onward.connect(ReceiverStream::new(receiver)).await?;
        Ok(Response::new(answers.into_inner()))
    }
}

/// Listens in the coordinator's name for `agent` and passes everything on.
pub fn tap(listener: TcpListener, hub: &Identity, agent: Identity, coordinator: String) -> Seen {
    proto::identity::install_crypto_provider();
    let seen = Seen::default();
    let tap = Tap {
        agent,
        coordinator,
        seen: seen.clone(),
    };
    let serving = Server::builder()
        .tls_config(hub.server_tls())
        .unwrap()
        .add_service(AgentsServer::new(tap).max_decoding_message_size(MAX_AGENT_FRAME))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(serving);
    seen
}
