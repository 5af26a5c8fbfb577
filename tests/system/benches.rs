//! The benches that take too long for a test, on a log that is too short to mean anything: what they measure
//! is measured, what they draw is drawn, and nothing is left.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use crate::harness::executable;

/// Runs one on a disk, as they want it, and answers its report.
fn bench(arguments: &[&str], data_dir: &Path) -> Value {
    let output = Command::new(executable())
        .arg("bench")
        .args(arguments)
        .args(["--seconds", "1", "--json", "--data-dir"])
        .arg(data_dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn growth_is_measured_and_drawn() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let readable = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
    fs::set_permissions(directory.path(), readable).unwrap();
    let (data_dir, plot) = (directory.path().join("data"), directory.path().join("growth.svg"));
    let report = bench(&["growth", "--events", "5000", "--plot", plot.to_str().unwrap()], &data_dir);

    let figures = report["figures"].as_array().unwrap();
    for what in [
        "all read models rebuilt",
        "start to the first paid order",
        "checkouts, 32 at once",
        "append, 64 writers",
        "append, 1 writer",
        "append, 64 writers beside a subscriber",
    ] {
        let figure = figures.iter().find(|figure| figure["what"].as_str().unwrap().starts_with(what));
        let figure = figure.unwrap_or_else(|| panic!("no {what} in {report}"));
        assert!(figure["value"].as_f64().unwrap() > 0.0, "{figure}");
    }
    let drawn = fs::read_to_string(plot).unwrap();
    for panel in report["panels"].as_array().unwrap() {
        assert!(drawn.contains(panel["title"].as_str().unwrap()), "{panel} is not drawn");
    }
    let left: Vec<_> = fs::read_dir(&data_dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, Vec::<std::path::PathBuf>::new());
}
