//! Servers that no relay can work with are told apart from those that are only not there, and by what is to
//! be done about them. No error repeats a password.

use std::{io::Write, net::TcpListener};

use async_nats::jetstream::stream::Config;
use platform::nats::NatsServer;
use relay::{Address, NatsError, check};
use tokio::{io::AsyncWriteExt, net};
use tokio_util::sync::CancellationToken;

use crate::world::{World, eventually};

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_server_without_jetstream_is_refused_with_what_to_do() {
    let nats = NatsServer::start_with(&[]);
    let error = check(&address(&nats.url())).await.unwrap_err();
    assert!(matches!(error, NatsError::NoJetStream { .. }) && error.is_of_configuration(), "{error}");
    assert!(error.to_string().contains("-js"), "{error}");
}

#[tokio::test]
async fn wrong_credentials_are_told_and_not_repeated_and_the_right_ones_are_let_in() {
    let nats = NatsServer::start_with(&["-js", "--user", "relay", "--pass", "r&ght"]);
    let at = nats.address();
    for text in [format!("nats://relay:s3cret@{at}"), format!("nats://{at}"), format!("nats://s3cret@{at}")] {
        let error = check(&address(&text)).await.unwrap_err();
        assert!(matches!(error, NatsError::Refused { .. }) && error.is_of_configuration(), "{error}");
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    }
    check(&address(&format!("nats://relay:r%26ght@{at}"))).await.unwrap();
    let nats = NatsServer::start_with(&["-js", "--auth", "t0ken"]);
    check(&address(&format!("nats://t0ken@{}", nats.address()))).await.unwrap();
}

#[tokio::test]
async fn what_is_not_nats_is_told_by_what_it_says() {
    let banner = net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let talkative = banner.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = banner.accept().await {
            let _ = stream.write_all(b"220 mail.example.org ESMTP\r\n").await;
            std::mem::forget(stream);
        }
    });
    let error = check(&address(&format!("nats://{talkative}"))).await.unwrap_err();
    assert!(matches!(&error, NatsError::NotNats { said, .. } if said.contains("ESMTP")), "{error}");

    let http = net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let polite = http.local_addr().unwrap();
    let health = platform::health::Health::new();
    tokio::spawn(async move { axum::serve(http, health.router()).await });
    let error = check(&address(&format!("nats://{polite}"))).await.unwrap_err();
    assert!(matches!(&error, NatsError::NotNats { .. }) && error.is_of_configuration(), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_or_says_nothing_may_still_come() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for at in [free, silent.local_addr().unwrap()] {
        let error = check(&address(&format!("nats://{at}"))).await.unwrap_err();
        assert!(matches!(error, NatsError::Away { .. }) && !error.is_of_configuration(), "{error}");
    }
}

#[tokio::test]
async fn a_stream_that_somebody_else_made_is_used_if_it_takes_every_event() {
    for (name, subject, no_ack, fits) in [
        ("COUNTERFOIL", "counterfoil.>", false, true),
        ("COUNTERFOIL", ">", true, false),
        ("COUNTERFOIL", "counterfoil.order.>", false, false),
        ("COUNTERFOIL", "counterfoil.>", true, false),
        ("OTHERS", "counterfoil.order.>", false, false),
    ] {
        let nats = NatsServer::start();
        let jetstream = async_nats::jetstream::new(async_nats::connect(nats.url()).await.unwrap());
        let config = Config {
            name: name.to_owned(),
            subjects: vec![subject.to_owned()],
            no_ack,
            max_messages: 1_000,
            ..Config::default()
        };
        jetstream.create_stream(config).await.unwrap();
        match check(&address(&nats.url())).await {
            Ok(()) => assert!(fits, "{name} {subject} {no_ack} is used"),
            Err(error) => {
                assert!(!fits && error.is_of_configuration(), "{error}");
                assert!(error.to_string().contains(name), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn a_user_that_may_not_publish_there_is_told_what_the_server_objects_to() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let may = r#"{ publish: ["$JS.API.>"], subscribe: ">" }"#;
    writeln!(file, "authorization {{ users: [{{ user: u, password: p, permissions: {may} }}] }}").unwrap();
    let mut world = World::new().await;
    world.nats = NatsServer::start_with(&["-js", "-c", file.path().to_str().unwrap()]);
    world.write(1).await;
    let relay = world.relay_to("one", &format!("nats://u:p@{}", world.nats.address()));
    let condition = relay.condition();
    let task = tokio::spawn(async move { relay.run(CancellationToken::new()).await });
    eventually("the relay says so", async || {
        condition.ready().is_err_and(|reason| reason.to_string().contains("ermissions Violation"))
    })
    .await;
    task.abort();
}
