//! The choice of an adapter by URL.

use event_store::{ExpectedRevision, OpenError, open};

use crate::history::{some, stream};

#[tokio::test]
async fn the_scheme_of_a_url_chooses_the_adapter() {
    let store = open("memory:").await.unwrap();
    store.append(&stream("a"), ExpectedRevision::NoStream, some(1)).await.unwrap();
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
