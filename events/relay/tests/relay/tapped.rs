//! What an example consumer shows of what it receives.

use std::time::Duration;

use relay::{
    Address, NatsError,
    tap::{Finding, From, Seen, Tap},
};

use crate::world::{World, header};

/// What refuses a message that does not come right behind another.
const EXPECTED: &str = "Nats-Expected-Last-Msg-Id";

async fn tap(world: &World, subject: &str, from: From) -> Tap {
    Tap::open(&world.nats.url().parse::<Address>().unwrap(), subject, from).await.unwrap()
}

async fn next(tap: &mut Tap) -> Seen {
    tokio::time::timeout(Duration::from_secs(30), tap.next()).await.expect("something comes")
}

/// The stream, revision and finding of the next event.
async fn event(tap: &mut Tap) -> (String, u64, Option<Finding>) {
    match next(tap).await {
        Seen::Event { received, finding } => (received.stream, received.revision, finding),
        Seen::Strange { subject } => panic!("a stranger on {subject}"),
    }
}

#[tokio::test]
async fn a_tap_gets_every_event_from_where_it_was_asked_to_begin() {
    let world = World::new().await;
    world.write(60).await;
    let _worker = world.start("one", world.nats.address());
    world.caught_up().await;
    let log = world.log().await;

    let mut everything = tap(&world, "counterfoil.>", From::Start).await;
    for written in &log {
        let Seen::Event { received, finding: None } = next(&mut everything).await else {
            panic!("a finding")
        };
        assert_eq!((received.position, received.event_id), (written.position, written.id));
        assert_eq!(received.stream, written.stream.as_str());
        assert_eq!(received.payload.as_ref(), Some(&written.payload));
    }
    let summary = everything.summary();
    assert_eq!((summary.events, summary.streams, summary.missing, summary.doubles), (60, 5, Some(0), 0));
    assert_eq!(summary.position, log.last().map(|event| event.position));

    let mut later = tap(&world, "counterfoil.>", From::Position(log[41].position)).await;
    assert_eq!(event(&mut later).await, (log[41].stream.to_string(), log[41].revision, None));
    let mut orders = tap(&world, "counterfoil.order.*", From::Start).await;
    assert_eq!(event(&mut orders).await, ("order-1".to_owned(), 0, None));
    assert_eq!(event(&mut orders).await, ("order-2".to_owned(), 0, None));
    let mut new = tap(&world, "counterfoil.>", From::New).await;
    world.write(1).await;
    assert_eq!(event(&mut new).await, ("order-1".to_owned(), 12, None));
}

#[tokio::test]
async fn a_tap_shows_gaps_doubles_and_strangers() {
    let world = World::new().await;
    for _ in 0..6 {
        world.append("order-1", "SomethingHappened", "{}".to_owned()).await;
    }
    let worker = world.start("one", world.nats.address());
    world.holds_everything_once().await;
    worker.stop().await;
    let (jetstream, messages) = (world.jetstream().await, world.messages().await);
    let stream = jetstream.get_stream(relay::STREAM).await.unwrap();
    for sequence in [2, 3] {
        stream.delete_message(sequence).await.unwrap();
    }
    // Past the window in which the server knows a repeat, it takes one.
    for again in [4, 1] {
        let mut headers = async_nats::HeaderMap::new();
        let sent = messages[again].headers.iter();
        for (name, values) in sent.filter(|(name, _)| AsRef::<str>::as_ref(name) != EXPECTED) {
            headers.insert(name.clone(), values[0].clone());
        }
        headers.insert("Nats-Msg-Id", header(&messages[again], "Nats-Msg-Id").to_uppercase());
        let subject = messages[again].subject.clone();
        jetstream.publish_with_headers(subject, headers, "{}".into()).await.unwrap().await.unwrap();
    }
    jetstream.publish("counterfoil.order.Intruder", "{}".into()).await.unwrap().await.unwrap();

    let mut tap = tap(&world, "counterfoil.>", From::Start).await;
    let mut findings = Vec::new();
    for _ in 0..6 {
        let (_, revision, finding) = event(&mut tap).await;
        findings.push((revision, finding));
    }
    let gap = Some(Finding::Gap { first: 1, last: 2 });
    let expected =
        [(0, None), (3, gap), (4, None), (5, None), (4, Some(Finding::Double)), (1, Some(Finding::Late))];
    assert_eq!(findings, expected);
    assert_eq!(next(&mut tap).await, Seen::Strange { subject: "counterfoil.order.Intruder".to_owned() });
    let summary = tap.summary();
    assert_eq!((summary.events, summary.missing, summary.doubles), (6, Some(1), 1));
    assert_eq!((summary.late, summary.strange), (1, 1));
}

#[tokio::test]
async fn a_tap_goes_on_after_the_server_was_away_and_after_its_stream_was_made_anew() {
    let mut world = World::new().await;
    world.write(10).await;
    let _worker = world.start("one", world.nats.address());
    world.caught_up().await;
    let mut tap = tap(&world, "counterfoil.>", From::Start).await;
    for _ in 0..10 {
        assert_eq!(event(&mut tap).await.2, None);
    }
    world.nats.restart();
    world.write(10).await;
    for _ in 0..10 {
        assert_eq!(event(&mut tap).await.2, None);
    }
    world.caught_up().await;
    world.jetstream().await.delete_stream(relay::STREAM).await.unwrap();
    world.write(10).await;
    for _ in 0..10 {
        assert_eq!(event(&mut tap).await.2, None);
    }
}

#[tokio::test]
async fn a_tap_where_nothing_was_ever_published_says_who_would() {
    let world = World::new().await;
    let address: Address = world.nats.url().parse().unwrap();
    let error = Tap::open(&address, "counterfoil.>", From::New).await.unwrap_err();
    assert!(matches!(error, NatsError::NoStream { .. }) && error.to_string().contains("relay"), "{error}");
    relay::check(&address).await.unwrap();
    let error = Tap::open(&address, "elsewhere.>", From::New).await.unwrap_err();
    assert!(matches!(error, NatsError::NoConsumer { .. }), "{error}");
}
