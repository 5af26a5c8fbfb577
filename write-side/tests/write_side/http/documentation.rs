//! The OpenAPI document is what is served, and the schemas in it are what bodies are judged by.

use serde_json::{Value, json};

use super::Shop;

#[tokio::test]
async fn every_documented_route_is_served() {
    let shop = Shop::new();
    let document = json!(write_side::api::openapi());
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));

    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 10);
    for path in paths.keys() {
        let path = path.replace("{sku}", "MUG").replace("{id}", "00000000-0000-0000-0000-000000000000");
        let answer = shop.post(&path, "key", &Value::Null).await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (400, "invalid-request"), "{path}");
    }
}

#[test]
fn every_reference_in_the_document_leads_somewhere() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    found.push(reference.clone());
                }
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let document = json!(write_side::api::openapi());
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 10);
    for reference in found {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}

#[test]
fn limits_are_in_the_document() {
    let document = json!(write_side::api::openapi());
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["Checkout"]["properties"]["lines"]["maxItems"], 1_000);
    assert_eq!(schemas["CheckoutLine"]["properties"]["quantity"]["maximum"], 1_000_000);
    assert_eq!(schemas["CheckoutLine"]["additionalProperties"], false);
}

#[test]
fn each_problem_type_has_a_name_of_its_own() {
    let kinds = write_side::api::PROBLEM_TYPES;
    let names: std::collections::BTreeSet<_> = kinds.iter().map(|kind| kind.name).collect();
    assert_eq!(names.len(), kinds.len());
    // What is no refusal is an outage, which all share a type for, or this one.
    let outages: Vec<_> = kinds.iter().filter(|kind| kind.status >= 500).map(|kind| kind.name).collect();
    assert_eq!(outages, ["newer-release"]);
    assert!(kinds.iter().all(|kind| kind.status >= 400));
}
