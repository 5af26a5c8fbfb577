//! History goes in through the same handlers and saga as a live checkout, once, however often it is
//! tried and wherever it was killed; and every row of it is accounted for.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{executable, free_port};

const HEADER: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

const SMALL: &str = "\
536365,A,Mug,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom
536365,B,Gift,1,2010-12-01 08:26:00,0.0,17850.0,United Kingdom
536366,A,Mug,2,2010-12-31 23:59:00,2.55,,France
C536379,D,Discount,-1,2011-01-01 09:41:00,27.5,14527.0,United Kingdom
536589,A,,-10,2011-01-02 16:50:00,0.0,,United Kingdom
536590,A,found,3,2011-01-02 16:51:00,0.0,,United Kingdom
536592,C,,0,2011-01-02 16:53:00,1.0,,United Kingdom
A563186,B,Adjust bad debt,1,2011-01-03 14:51:00,-11062.06,,United Kingdom
";

/// An installation of its own, and the executable on it.
struct Installation(TempDir);

impl Installation {
    fn new() -> Self {
        // The database server runs as another user, who has to get to its folder.
        let readable = fs::Permissions::from_mode(0o755);
        Self(tempfile::Builder::new().prefix("counterfoil-import-").permissions(readable).tempdir().unwrap())
    }

    fn file(&self, content: &[u8]) -> PathBuf {
        let path = self.0.path().join("history.csv");
        fs::write(&path, content).unwrap();
        path
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(executable());
        command.args(arguments).arg("--json").arg("--data-dir").arg(self.0.path().join("data"));
        command
    }

    fn import(&self, file: &Path, crash_at: Option<&str>) -> Output {
        let mut command = self.command(&["import", "retail", file.to_str().unwrap()]);
        if let Some(crash_at) = crash_at {
            command.env("COUNTERFOIL_CRASH_AT", crash_at);
        }
        command.output().unwrap()
    }

    /// Lets every read model come to the end of the log, which an import does not wait for.
    fn catch_up(&self) {
        let address = format!("127.0.0.1:{}", free_port());
        let mut serve = Command::new(executable());
        serve.args(["serve", "--roles", "projections", "--listen", &address, "--data-dir"]);
        let mut server = serve
            .arg(self.0.path().join("data"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut ask = Command::new(executable());
        ask.args(["status", "--json", "--url", &format!("http://{address}")]);
        let deadline = Instant::now() + Duration::from_mins(10);
        loop {
            let output = ask.output().unwrap();
            let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            let read_models = status["projections"].as_array().map(Vec::as_slice).unwrap_or_default();
            assert!(read_models.iter().all(|read_model| read_model["parked"] == json!([])), "{status:#}");
            if !read_models.is_empty() && read_models.iter().all(|read_model| read_model["lag"] == 0) {
                break;
            }
            assert!(Instant::now() < deadline, "the read models do not catch up: {status:#}");
            std::thread::sleep(Duration::from_millis(100));
        }
        kill(Pid::from_raw(server.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        assert!(server.wait().unwrap().success());
    }

    /// Fails unless every read model comes to the end of the log, and every invariant was checked and
    /// holds, with nothing left for a person to see.
    fn verify(&self) {
        self.catch_up();
        let output = self.command(&["verify"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        for check in report["checks"].as_array().unwrap() {
            assert_eq!(check["verdict"], "held", "{report:#}");
        }
        assert_eq!(report["notes"], json!([]), "{report:#}");
    }
}

fn imported(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Sales, credits and adjustments of each month in pence, credits as they lower what was sold.
fn months(imported: &Value) -> BTreeMap<String, [i64; 3]> {
    let pence = |tally: &Value| tally["amount"]["amount"].as_i64().unwrap();
    let items = imported["months"].as_array().unwrap().iter();
    items
        .map(|month| {
            let figures = [pence(&month["sales"]), -pence(&month["credits"]), pence(&month["adjustments"])];
            (month["period"].as_str().unwrap().to_owned(), figures)
        })
        .collect()
}

#[test]
fn every_row_is_accounted_for_and_importing_twice_is_importing_once() {
    let installation = Installation::new();
    let file = installation.file(format!("{HEADER}{SMALL}").as_bytes());
    let first = imported(&installation.import(&file, None));
    let account = &first["account"];
    assert_eq!(account["rows_ordered"], 3);
    assert_eq!(account["rows_credited"], 1);
    assert_eq!(account["rows_stock_adjusted"], 2);
    assert_eq!(account["rows_ledger_adjusted"], 1);
    assert_eq!(account["rows_refused"], json!({"neither a sale nor a credit": 1}));
    assert_eq!((&account["orders"], &account["repeated"]), (&json!(2), &json!(0)));
    let expected = [("2010-12".to_owned(), [2040, 0, 0]), ("2011-01".to_owned(), [0, -2750, -1_106_206])];
    assert_eq!(months(&first), BTreeMap::from(expected));

    let second = imported(&installation.import(&file, None));
    assert_eq!(second["account"]["repeated"], 4);
    assert_eq!(second["account"]["orders"], 2);
    assert_eq!(months(&second), months(&first));
    installation.verify();
}

#[test]
fn an_import_that_was_killed_goes_on_and_doubles_nothing() {
    let installation = Installation::new();
    let file = installation.file(format!("{HEADER}{SMALL}").as_bytes());
    for crash_at in ["write.appended:3", "write.decided:9", "write.appended:12"] {
        let killed = installation.import(&file, Some(crash_at));
        assert_eq!(
            killed.status.signal(),
            Some(9),
            "{crash_at}: {}",
            String::from_utf8_lossy(&killed.stderr)
        );
    }
    let finished = imported(&installation.import(&file, None));
    assert_eq!(finished["account"]["orders"], 2);
    let expected = [("2010-12".to_owned(), [2040, 0, 0]), ("2011-01".to_owned(), [0, -2750, -1_106_206])];
    assert_eq!(months(&finished), BTreeMap::from(expected));
    installation.verify();
}

#[test]
fn a_damaged_file_is_refused_with_its_line_and_leaves_nothing() {
    let installation = Installation::new();
    let cut = format!("{HEADER}{}", SMALL.trim_end());
    let broken_utf8 = [HEADER.as_bytes(), b"536365,A,CAF\xe9,6,2010-12-01 08:26:00,2.55,,France\n"].concat();
    for (content, expected) in [
        (cut.into_bytes(), "cut off"),
        (b"Invoice,Code\n1,2\n".to_vec(), "InvoiceNo,StockCode"),
        (broken_utf8, "line 2: "),
        (HEADER.as_bytes().to_vec(), "no rows"),
    ] {
        let output = installation.import(&installation.file(&content), None);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(expected), "{said}");
        assert!(!installation.0.path().join("data").exists(), "something was left behind");
    }
}

#[test]
#[ignore = "needs COUNTERFOIL_RETAIL_DATA, the folder with the real history"]
fn real_history_comes_to_the_expected_figures_although_it_was_killed() {
    let folder = std::env::var("COUNTERFOIL_RETAIL_DATA").expect("it names the folder");
    let file = Path::new(&folder).join("2010-12_2011-08.csv.gz");
    let text = fs::read_to_string(Path::new(&folder).join("expected.json")).unwrap();
    let expected: Value = serde_json::from_str(&text).unwrap();

    let installation = Installation::new();
    let killed = installation.import(&file, Some("write.appended:20000"));
    assert_eq!(killed.status.signal(), Some(9), "{}", String::from_utf8_lossy(&killed.stderr));
    let began = Instant::now();
    let finished = imported(&installation.import(&file, None));
    println!("the rest took {:?}: {:#}", began.elapsed(), finished["account"]);

    let account = &finished["account"];
    assert_eq!(account["orders"], expected["total"]["sales_invoices"]);
    assert_eq!(account["credit_notes"], expected["total"]["credit_invoices"]);
    assert_eq!(account["rows_refused"], json!({}));
    let rows = ["rows_ordered", "rows_credited", "rows_stock_adjusted", "rows_ledger_adjusted"];
    let rows: u64 = rows.iter().map(|kind| account[kind].as_u64().unwrap()).sum();
    assert_eq!(rows, expected["total"]["rows"].as_u64().unwrap());
    let expected_months: BTreeMap<String, [i64; 3]> = expected["months"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(month, figures)| {
            let pence = |name: &str| figures[name].as_i64().unwrap();
            (month.clone(), [pence("sales_pence"), pence("credits_pence"), pence("other_pence")])
        })
        .collect();
    assert_eq!(months(&finished), expected_months);
    installation.verify();
}
