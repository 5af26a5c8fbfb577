//! The choice of an adapter by URL.

use event_store::{ExpectedRevision, OpenError, StoreError, open, postgres::migrate};
use platform::postgres::testing::fresh_database;
use sqlx::ConnectOptions;

use crate::history::{some, stream};

#[tokio::test]
async fn the_scheme_of_a_url_chooses_the_adapter() {
    let store = open("memory:").await.unwrap();
    store.append(&stream("a"), ExpectedRevision::NoStream, some(1)).await.unwrap();
}

#[tokio::test]
async fn a_postgres_url_opens_a_database_that_was_migrated_and_no_other() {
    let databases = fresh_database().await;
    let url = databases.service.to_url_lossy();
    match open(url.as_str()).await {
        Err(OpenError::Store(StoreError::Unavailable { reason, .. })) => {
            assert!(reason.contains("migrated"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    migrate(&databases.owner).await.unwrap();
    migrate(&databases.owner).await.unwrap();
    let store = open(url.as_str()).await.unwrap();
    store.append(&stream("a"), ExpectedRevision::NoStream, some(1)).await.unwrap();
}

#[tokio::test]
async fn a_postgres_url_that_cannot_be_read_is_refused_without_repeating_the_password() {
    let refusal = open("postgres://shop:secret@db.example:port/log").await.unwrap_err();
    assert!(matches!(refusal, OpenError::Unreadable { .. }));
    assert!(!refusal.to_string().contains("secret"), "{refusal}");
}

#[tokio::test]
async fn an_unknown_scheme_is_refused_without_repeating_the_password() {
    let refusal = open("mysql://shop:secret@db.example/log").await.unwrap_err();
    assert!(matches!(&refusal, OpenError::UnknownScheme { scheme } if scheme == "mysql"));
    let said = refusal.to_string();
    assert!(said.contains("memory:") && !said.contains("secret"), "{said}");
}

#[tokio::test]
async fn a_text_without_a_scheme_is_refused() {
    assert!(matches!(open("memory").await.unwrap_err(), OpenError::NoScheme { .. }));
}
