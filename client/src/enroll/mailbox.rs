//! The way to the coordinator's mailbox, for newcomers and for governance. Neither has a certificate: the coordinator is known by its own, which must
//! come from the authority whose hash is pinned and carry the coordinator's name. One TLS handshake a connection.

use std::sync::Arc;
use std::time::Duration;

use governance::ContentHash;
use governance::join::{Application, SignedCall, authority_hash};
use proto::identity::Role;
use proto::v1;
use proto::v1::collected::Answer;
use proto::v1::enrolment_client::EnrolmentClient;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use crate::client::{chain, refused};
use crate::{Exit, Problem};

const CONNECT: Duration = Duration::from_secs(10);
const CALL: Duration = Duration::from_secs(30);
const LARGEST: usize = 8 << 20;

/// A connection.
pub struct Mailbox {
    rpc: EnrolmentClient<Channel>,
}

impl Mailbox {
    /// Connects to the coordinator of this name under this authority.
    pub async fn connect(address: &str, authority: ContentHash, coordinator: &str) -> Result<Self, Problem> {
        let unreachable = |error: tonic::transport::Error| {
            Problem::new(
                Exit::Unreachable,
                "SOTTO-7116",
                format!("no connection to the mailbox at {address}: {}", chain(&error)),
            )
            .remedy("give host and port of `enroll_listen` in the coordinator's configuration; if they are right, it is not the coordinator of this consortium")
        };
        let endpoint = Endpoint::from_shared(format!("https://{address}")).map_err(|error| {
            Problem::usage(format!("`{address}` is not an address: {error}")).remedy("write host:port")
        })?;
        let endpoint = endpoint
            .connect_timeout(CONNECT)
            .timeout(CALL)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(CALL);
        let tls = ClientTlsConfig::new().domain_name(Role::Coordinator.dns_name(coordinator));
        let pinned = Arc::new(Pinned {
            authority,
            provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
        });
        let channel = endpoint
            .tls_config_with_verifier(tls, pinned)
            .map_err(unreachable)?
            .connect()
            .await
            .map_err(unreachable)?;
        let rpc = EnrolmentClient::new(channel).max_decoding_message_size(LARGEST);
        Ok(Self { rpc })
    }

    /// Leaves an application.
    pub async fn park(&mut self, application: &Application) -> Result<(), Problem> {
        let document = serde_json::to_vec(application).map_err(|error| Problem::local("the request", error))?;
        let document = document.into();
        self.rpc.park(v1::Application { document }).await.map_err(refused)?;
        Ok(())
    }

    /// The answer to it; `None` if the mailbox does not know it, after a restart say.
    pub async fn collect(&mut self, application: ContentHash) -> Result<Option<Answer>, Problem> {
        let id = application.0.to_vec().into();
        match self.rpc.collect(v1::CollectRequest { id }).await {
            Ok(found) => Ok(found.into_inner().answer),
            Err(status) if status.code() == tonic::Code::NotFound => Ok(None),
            Err(status) => Err(refused(status)),
        }
    }

    /// Governance's call; answers what waits, and the version of the roster in force there.
    pub async fn call(&mut self, call: SignedCall) -> Result<(Vec<Application>, u64), Problem> {
        let SignedCall { body, signature } = call;
        let signature = signature.into();
        let called = self
            .rpc
            .call(v1::SignedCall { body, signature })
            .await
            .map_err(refused)?;
        let v1::CallAnswer {
            applications,
            roster_version,
        } = called.into_inner();
        // What cannot be read is nobody's request.
        let read = applications
            .iter()
            .filter_map(|one| serde_json::from_slice(&one.document).ok());
        Ok((read.collect(), roster_version))
    }
}

/// Trusts the authority of one hash, which the server shows behind its own certificate.
#[derive(Debug)]
struct Pinned {
    authority: ContentHash,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let authority = between.iter().find(|shown| authority_hash(shown) == self.authority);
        let authority = authority.ok_or(CertificateError::UnknownIssuer)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone()).build();
        let verifier = verifier.map_err(|error| rustls::Error::General(error.to_string()))?;
        verifier.verify_server_cert(certificate, between, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
