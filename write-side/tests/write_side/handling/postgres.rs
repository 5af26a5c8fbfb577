//! The same over a real database, where two processes have two connections and commits take time.

use std::sync::Arc;

use event_store::{
    Direction, EventStore,
    postgres::{PostgresStore, migrate},
};
use events::Category;
use futures::future::join_all;
use platform::postgres::testing::fresh_database;
use write_side::{Commands, Handled};

use super::{Answer, SKU, command_id, receive, reserve, send};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_flash_sale_over_two_processes_sells_what_there_is_and_knows_its_repeats() {
    const UNITS: u32 = 10;
    let databases = fresh_database().await;
    migrate(&databases.owner).await.unwrap();
    let mut processes = Vec::new();
    for _ in 0..2 {
        let store = PostgresStore::connect(databases.service.clone()).await.unwrap();
        processes.push((Commands::new(Arc::new(store.clone())), store));
    }
    let (first, store) = &processes[0];
    send(first, "receive", receive(UNITS.into())).await.unwrap();
    let buyers: Vec<_> = (0..400).map(|n| (n, format!("buyer-{n}"))).collect();
    let run = |shift: usize| {
        join_all(buyers.iter().map(|(n, name)| {
            let (commands, _) = processes[(n + shift) % 2].clone();
            let name = name.clone();
            async move { tokio::spawn(async move { send(&commands, &name, reserve(&name, 1)).await }).await }
        }))
    };

    let answers: Vec<Answer> = run(0).await.into_iter().map(Result::unwrap).collect();
    // Each asks again, at the other process.
    let again: Vec<Answer> = run(1).await.into_iter().map(Result::unwrap).collect();

    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), UNITS as usize);
    for (answer, again) in answers.iter().zip(&again) {
        match (answer, again) {
            (Ok(first), Ok(again)) => assert_eq!(*again, Handled { replayed: true, ..*first }),
            (Err(first), Err(again)) => assert_eq!(first.to_string(), again.to_string()),
            (first, again) => panic!("{first:?} became {again:?}"),
        }
    }
    let stream = Category::Inventory.stream(SKU);
    let history = store.read_stream(&stream, Direction::Forwards, Some(1), 1_000).await.unwrap();
    let mut acknowledged: Vec<_> = buyers
        .iter()
        .zip(&answers)
        .filter_map(|((_, name), answer)| Some((answer.as_ref().ok()?.position, command_id(name))))
        .collect();
    acknowledged.sort_unstable();
    let recorded: Vec<_> = history.iter().map(|event| (event.position, event.metadata.command_id)).collect();
    assert_eq!(acknowledged, recorded);
}
