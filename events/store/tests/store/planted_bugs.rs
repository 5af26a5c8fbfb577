//! The contract is itself tested: with a bug planted, the suite must fail. The bug is chosen by the
//! environment, so that each run is a process of its own, made of this very binary.

use std::process::{Command, Stdio};

/// A rule that the bug breaks every time, whatever the timing.
const RULE: &str =
    "contract::postgres::a_new_stream_begins_at_revision_zero_and_an_empty_log_at_position_one";

fn rule_holds_with(planted: &str) -> bool {
    let this = std::env::current_exe().unwrap();
    let run = Command::new(this)
        .args(["--exact", RULE])
        .env("COUNTERFOIL_PLANTED_BUGS", planted)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(said.contains("running 1 test"), "the rule was not found: {said}");
    run.status.success()
}

#[test]
fn an_acknowledgement_before_the_commit_is_caught_by_the_contract() {
    assert!(rule_holds_with(""));
    assert!(!rule_holds_with("acknowledge-before-commit"));
}
