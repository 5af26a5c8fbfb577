//! Every crate that we build on comes under a licence that `deny.toml` allows. `cargo deny` checks the
//! same and more; this needs nothing but cargo, so that it is checked everywhere.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{collections::BTreeSet, process::Command};

use serde::Deserialize;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
}

#[derive(Deserialize)]
struct Deny {
    licenses: Licenses,
}

#[derive(Deserialize)]
struct Licenses {
    allow: BTreeSet<String>,
}

fn allowed() -> BTreeSet<String> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deny.toml")).unwrap();
    toml::from_str::<Deny>(&text).unwrap().licenses.allow
}

/// Whether an SPDX expression can be met with these licences: any side of `OR`, all sides of `AND`, which
/// binds tighter. A `/` is how crates of old said `OR`.
fn can_be_met(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let met = any_side(&mut words, allowed);
    assert_eq!(words.next(), None, "{expression} was not read to its end");
    met
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_side(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut met = all_sides(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        met |= all_sides(words, allowed);
    }
    met
}

fn all_sides(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut met = one_licence(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        met &= one_licence(words, allowed);
    }
    met
}

fn one_licence(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let word = words.next().expect("a licence");
    if word == "(" {
        let met = any_side(words, allowed);
        assert_eq!(words.next(), Some(")"));
        return met;
    }
    let mut licence = word.to_owned();
    if words.next_if_eq(&"WITH").is_some() {
        licence = format!("{licence} WITH {}", words.next().expect("an exception"));
    }
    allowed.contains(&licence)
}

#[test]
fn an_expression_is_met_by_any_side_of_or_and_all_sides_of_and() {
    let allowed = BTreeSet::from(["MIT".to_owned(), "Zlib".to_owned()]);
    for met in ["MIT", "GPL-3.0 OR MIT", "GPL-3.0/MIT", "(GPL-3.0 OR MIT) AND Zlib", "GPL-3.0 AND X OR MIT"] {
        assert!(can_be_met(met, &allowed), "{met}");
    }
    for unmet in ["GPL-3.0", "MIT AND GPL-3.0", "MIT WITH Strange-exception", "(GPL-3.0 OR MIT) AND X"] {
        assert!(!can_be_met(unmet, &allowed), "{unmet}");
    }
}

#[test]
fn every_dependency_has_a_licence_that_is_allowed() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Metadata = serde_json::from_slice(&output.stdout).unwrap();
    let foreign: Vec<_> = metadata.packages.into_iter().filter(|package| package.source.is_some()).collect();
    assert!(foreign.len() > 100, "cargo told of {} dependencies only", foreign.len());

    let allowed = allowed();
    let refused: Vec<String> = foreign
        .iter()
        .filter(|package| !package.license.as_deref().is_some_and(|licence| can_be_met(licence, &allowed)))
        .map(|package| format!("{} {}: {:?}", package.name, package.version, package.license))
        .collect();
    assert!(refused.is_empty(), "not allowed by deny.toml: {refused:#?}");
}
