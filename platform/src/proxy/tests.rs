//! The proxy in front of a server that remembers what it got and echoes it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use tokio::{sync::mpsc, time::timeout};

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

struct Setup {
    proxy: Proxy,
    received: mpsc::UnboundedReceiver<Vec<u8>>,
}

async fn before_an_echo() -> Setup {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::before(listener.local_addr().unwrap()).await.unwrap();
    let (tell, received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut piece = [0; 1024];
                while let Ok(length @ 1..) = stream.read(&mut piece).await {
                    let _ = tell.send(piece[..length].to_owned());
                    if stream.write_all(&piece[..length]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    Setup { proxy, received }
}

impl Setup {
    async fn client(&self) -> TcpStream {
        TcpStream::connect(self.proxy.address()).await.unwrap()
    }
}

async fn say(client: &mut TcpStream, text: &str) -> io::Result<String> {
    client.write_all(text.as_bytes()).await?;
    let mut answer = vec![0; text.len()];
    timeout(PATIENCE, client.read_exact(&mut answer)).await.expect("an answer or an error")?;
    Ok(String::from_utf8(answer).unwrap())
}

#[tokio::test]
async fn it_forwards_both_ways_until_told_otherwise() {
    let setup = before_an_echo().await;
    let mut client = setup.client().await;
    assert_eq!(say(&mut client, "hello").await.unwrap(), "hello");
    assert_eq!(setup.proxy.cuts(), 0);
}

#[tokio::test]
async fn a_lost_request_never_reaches_the_server() {
    let mut setup = before_an_echo().await;
    let mut client = setup.client().await;
    say(&mut client, "before").await.unwrap();
    setup.proxy.lose_request(b"pay 5");
    say(&mut client, "and pay 5 pounds").await.unwrap_err();
    assert_eq!(setup.proxy.cuts(), 1);
    let mut again = setup.client().await;
    assert_eq!(say(&mut again, "pay 5 again").await.unwrap(), "pay 5 again", "the fault happens once");
    drop(setup.proxy);
    let mut all = Vec::new();
    while let Ok(piece) = setup.received.try_recv() {
        all.extend(piece);
    }
    assert_eq!(String::from_utf8(all).unwrap(), "beforepay 5 again");
}

#[tokio::test]
async fn a_lost_answer_leaves_its_effect_behind() {
    let mut setup = before_an_echo().await;
    let mut client = setup.client().await;
    setup.proxy.lose_answer(b"pay 5");
    client.write_all(b"pa").await.unwrap();
    let mut echo = [0; 2];
    client.read_exact(&mut echo).await.unwrap();
    say(&mut client, "y 5").await.unwrap_err();
    assert_eq!(setup.received.recv().await.unwrap(), b"pa");
    assert_eq!(setup.received.recv().await.unwrap(), b"y 5");
    assert_eq!(setup.proxy.cuts(), 1);
}

#[tokio::test]
async fn every_answer_is_lost_and_every_request_arrives_until_the_way_is_free() {
    let mut setup = before_an_echo().await;
    let mut old = setup.client().await;
    say(&mut old, "before").await.unwrap();
    setup.proxy.lose_answers();
    say(&mut old, "first").await.unwrap_err();
    say(&mut setup.client().await, "second").await.unwrap_err();
    assert_eq!(setup.proxy.cuts(), 2);
    setup.proxy.forward();
    say(&mut setup.client().await, "third").await.unwrap();
    for expected in ["before", "first", "second", "third"] {
        assert_eq!(setup.received.recv().await.unwrap(), expected.as_bytes());
    }
}

#[tokio::test]
async fn a_cut_after_some_bytes_lets_exactly_those_through() {
    let setup = before_an_echo().await;
    let mut client = setup.client().await;
    setup.proxy.cut_after(4, Direction::ToClient);
    client.write_all(b"abcdefgh").await.unwrap();
    let mut got = Vec::new();
    let _ = timeout(PATIENCE, client.read_to_end(&mut got)).await.expect("the connection ends");
    assert!(b"abcd".starts_with(&got), "more than was allowed came through: {got:?}");
    assert_eq!(setup.proxy.cuts(), 1);
}

#[tokio::test]
async fn refusing_resets_old_and_new_connections_and_forwarding_heals() {
    let setup = before_an_echo().await;
    let mut old = setup.client().await;
    say(&mut old, "hello").await.unwrap();
    setup.proxy.refuse();
    say(&mut old, "hello").await.unwrap_err();
    say(&mut setup.client().await, "hello").await.unwrap_err();
    setup.proxy.forward();
    say(&mut setup.client().await, "hello").await.unwrap();
}

#[tokio::test]
async fn what_is_held_arrives_when_the_way_is_free_again() {
    let mut setup = before_an_echo().await;
    let mut client = setup.client().await;
    say(&mut client, "hello").await.unwrap();
    setup.received.recv().await.unwrap();
    setup.proxy.hold();
    client.write_all(b"later").await.unwrap();
    let early = timeout(Duration::from_millis(50), setup.received.recv()).await;
    assert!(early.is_err(), "it came through while held");
    setup.proxy.delay(Duration::from_millis(1));
    assert_eq!(timeout(PATIENCE, setup.received.recv()).await.unwrap().unwrap(), b"later");
}
