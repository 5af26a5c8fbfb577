//! A process that is told to stop before it does anything yet.

use nix::sys::signal::Signal;
use tokio::net::TcpStream;

use crate::harness::{Server, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_to_stop_while_it_starts_a_server_ends_well_and_starts_again() {
    let mut server = Server::begin();
    begins_its_database(&server).await;
    server.stop().await;
    // It hears signals before it can be reached, and can be reached long before it is ready.
    server.begin_again();
    can_be_reached(&server).await;
    server.stop().await;
    assert!(!server.said().contains("\"serving\""), "it had started: {}", server.said());
    assert!(!server.folder().join("data/postgres/postmaster.pid").exists(), "it left its database behind");

    server.restart().await;
    server.client().stock("MUG", 1250, 10).await;
    server.stop().await;

    // The same where everything is there already.
    server.begin_again();
    can_be_reached(&server).await;
    server.stop().await;
    server.restart().await;
    server.client().buy(&[("MUG", 1)], "tok_approve").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_twice_to_stop_while_it_starts_a_server_ends_at_once_and_starts_again() {
    let mut server = Server::begin();
    begins_its_database(&server).await;
    server.signal(Signal::SIGTERM);
    eventually("it has heard that", || async { server.said().contains("a second signal").then_some(()) })
        .await;
    server.signal(Signal::SIGTERM);
    let status = server.ended().await;
    assert!(status.code() == Some(130) || status.success(), "it ended with {status}");
    assert!(!server.said().contains("\"serving\""), "it had started: {}", server.said());
    server.restart().await;
    server.stop().await;
}

async fn begins_its_database(server: &Server) {
    eventually("it makes its database", || async {
        server.said().contains("making a database cluster").then_some(())
    })
    .await;
}

async fn can_be_reached(server: &Server) {
    eventually("it can be reached", || async { TcpStream::connect(("127.0.0.1", server.port())).await.ok() })
        .await;
}
