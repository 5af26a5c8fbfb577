//! What is wrong with a URL or with what answers there is said at once, with what to do, and without ever
//! repeating a password.

use event_store::{ExpectedRevision, OpenError, StoreError, open};
use eventstoredb_stand_in::{Setup, StandIn, url_of};
use tokio::{io::AsyncWriteExt, net::TcpListener};

use crate::history::{in_time, some, stream};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_user_of_the_url_is_who_reads_and_writes() {
    let credentials = Some(("shop".to_owned(), "s3cret".to_owned()));
    let server = StandIn::start(Setup { credentials, ..Setup::default() }).unwrap();
    let url = server.url().replace("esdb://", "esdb://shop:s3cret@");
    let store = open(&url).await.unwrap();
    store.append(&stream("a"), ExpectedRevision::NoStream, some(1)).await.unwrap();
    for wrong in ["", "shop:wr0ng@"] {
        let refusal = in_time(open(&server.url().replace("esdb://", &format!("esdb://{wrong}")))).await;
        let refusal = refusal.unwrap_err();
        assert!(matches!(refusal, OpenError::CredentialsRefused { .. }), "{refusal:?}");
        let said = refusal.to_string();
        assert!(said.contains(&server.address().to_string()) && !said.contains("wr0ng"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_speaks_something_else_is_told_from_one_that_is_away() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let talking = tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let _ = connection.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
        }
    });
    match in_time(open(&url_of(address))).await {
        Err(OpenError::NotEventStoreDb { server, .. }) => assert_eq!(server, address.to_string()),
        other => panic!("{other:?}"),
    }
    talking.abort();
    let _ = talking.await;
    match in_time(open(&url_of(address))).await {
        Err(OpenError::Store(StoreError::Unavailable { doing, .. })) => {
            assert!(doing.contains("EventStoreDB"));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_that_cannot_be_read_is_refused_without_repeating_the_password() {
    let urls = [
        "esdb://shop:s3cret@",
        "esdb://shop:s3cret@db.example:port",
        "esdb://shop:s3cret@db.example:2113,other:port",
        "esdb://shop:s3cret@db.example/path",
        "esdb://shop:s3cret@db.example?tls=perhaps",
        "esdb://shop:s3cret@db.example?nodePreference=follower",
        "esdb://shop:s3cret@db.example?namespace=",
        "esdb://shop:s3cret@db.example?namespace=My-Shop",
        "esdb://shop:s3cret@db.example?tlsCaFile=/not/there.pem",
        "esdb://shop:s3cret@db.example?userCertFile=/not/there.pem",
    ];
    for url in urls {
        let refusal = open(url).await.unwrap_err();
        assert!(matches!(refusal, OpenError::Unreadable { .. }), "{url}: {refusal:?}");
        let said = format!("{refusal} {refusal:?}");
        assert!(said.contains("EventStoreDB") && !said.contains("s3cret"), "{said}");
    }
}
