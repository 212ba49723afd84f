//! What strangers may cost at the mailbox: so many connections in all and of one network, so many calls of a connection, so long, so large.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use proto::v1::enrolment_client::EnrolmentClient;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic_prost::ProstCodec;

use super::enrolment::Newcomers;
use super::*;

/// An address of this machine's own: every one of 127.0.0.0/8 is.
fn neighbour(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, number)
}

impl Newcomers {
    /// A connection from an address that says nothing.
    async fn silent(&self, from: Ipv4Addr) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((from, 0))).unwrap();
        let port = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        socket.connect(port).await.unwrap()
    }

    /// Whether somebody from this address is answered within two seconds.
    async fn is_answered(&self, from: Ipv4Addr) -> bool {
        let endpoint = self.endpoint(self.consortium.trusting());
        let connected = async {
            let channel = endpoint.local_address(Some(IpAddr::V4(from))).connect().await.ok()?;
            Some(is_answered(&channel).await)
        };
        let answered = tokio::time::timeout(Duration::from_secs(2), connected).await;
        answered.ok().flatten().unwrap_or(false)
    }
}

async fn is_answered(channel: &Channel) -> bool {
    let mut mailbox = EnrolmentClient::new(channel.clone());
    let id = vec![0; 32].into();
    let asked = mailbox.collect(v1::CollectRequest { id });
    match tokio::time::timeout(Duration::from_secs(1), asked).await {
        Ok(answered) => answered.unwrap_err().code() == Code::NotFound,
        Err(_) => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_network_has_a_few_connections_and_keeps_nobody_else_out() {
    let world = Newcomers::start().await;
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(world.silent(neighbour(2)).await);
    }
    let mut ninth = world.silent(neighbour(2)).await;
    let closed = tokio::time::timeout(Duration::from_secs(2), ninth.read(&mut [0; 1])).await;
    assert!(
        matches!(closed, Ok(Ok(0) | Err(_))),
        "the ninth is closed at once: {closed:?}"
    );
    assert!(
        !world.is_answered(neighbour(2)).await,
        "whoever holds eight gets no ninth"
    );
    assert!(world.is_answered(neighbour(3)).await, "a neighbour does not notice");
    held.clear();
    let mut again = false;
    for _ in 0..5 {
        again = again || world.is_answered(neighbour(2)).await;
    }
    assert!(again, "whoever hung up may call again");
    world.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_have_sixty_four_connections_in_all_and_the_next_waits_its_turn() {
    let world = Newcomers::start().await;
    let mut held = Vec::new();
    for network in 2..10 {
        for _ in 0..8 {
            held.push(world.silent(neighbour(network)).await);
        }
    }
    assert!(!world.is_answered(neighbour(20)).await, "the sixty-fifth waits");
    let mut ann = analyst(&world.hub, &world.consortium.identity("ann")).await;
    ann.get_status(v1::GetStatusRequest {}).await.unwrap(); // members have a door of their own
    held.truncate(56);
    let mut answered = false;
    for _ in 0..5 {
        answered = answered || world.is_answered(neighbour(20)).await;
    }
    assert!(answered, "whoever waits is next");
    world.hub.stop().await;
}

/// Begins a call and never says what is asked.
async fn stalls(channel: Channel) -> Result<(), Status> {
    let mut client = Grpc::new(channel);
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/sottovoce.v1.Enrolment/Collect");
    let never = tokio_stream::pending::<v1::CollectRequest>();
    let answered = client
        .streaming(Request::new(never), path, ProstCodec::<_, v1::Collected>::default())
        .await?;
    answered.into_inner().message().await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_has_four_calls_at_a_time_and_each_of_them_thirty_seconds() {
    let world = Newcomers::start().await;
    let (loud, quiet) = (world.channel().await, world.channel().await);
    assert!(is_answered(&loud).await && is_answered(&quiet).await);
    let began = Instant::now();
    let stalled: Vec<_> = (0..4).map(|_| tokio::spawn(stalls(loud.clone()))).collect();
    tokio::time::sleep(Duration::from_millis(500)).await; // until all four are under way
    assert!(!is_answered(&loud).await, "the fifth call waits for one of the four");
    assert!(is_answered(&quiet).await, "another connection does not");
    for call in stalled {
        let ended = tokio::time::timeout(Duration::from_secs(40), call).await;
        let refused = ended.expect("it is ended for its length").unwrap().unwrap_err();
        assert!(
            matches!(refused.code(), Code::Cancelled | Code::DeadlineExceeded),
            "{refused}"
        );
    }
    let took = began.elapsed();
    assert!((29..36).contains(&took.as_secs()), "{took:?}");
    assert!(is_answered(&loud).await, "and then others have their turn");
    world.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_to_the_mailbox_is_a_mebibyte_at_most() {
    let world = Newcomers::start().await;
    let mut mailbox = EnrolmentClient::new(world.channel().await);
    let mut refused = async |bytes: usize| {
        let document = vec![b'x'; bytes].into();
        mailbox.park(v1::Application { document }).await.unwrap_err()
    };
    let read = refused((1 << 20) - 100).await;
    assert_eq!(
        read.code(),
        Code::InvalidArgument,
        "read, and refused for itself: {read}"
    );
    assert!(read.message().contains("expected at most"), "{read}");
    for bytes in [1 << 20, 3 << 20] {
        let unread = refused(bytes).await;
        assert_eq!(unread.code(), Code::OutOfRange, "{unread}");
        assert!(unread.message().contains("1048576"), "{unread}");
    }
    world.hub.stop().await;
}
