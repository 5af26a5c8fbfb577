//! The end of every scenario: the shop comes to rest, the process stops, and its whole history is checked.
//! **Nothing passes by not having been looked at**: each invariant was checked, each read model has come to
//! the end of the log before it is compared, and nothing is left to a deadline or to a person.

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};

use super::{Acknowledged, Server, eventually};

impl Server {
    /// Waits until everything in the log is handled and in every read model. Gives the streams that some
    /// read model keeps back.
    pub(crate) async fn come_to_rest(&self) -> BTreeSet<String> {
        let client = self.client();
        let status = eventually("everything in the log is handled and in every read model", || async {
            let status = client.try_get("/status").await?.body;
            let read_models = status["projections"].as_array().filter(|list| !list.is_empty())?;
            let head = json!(self.log().head().await);
            let is_done = read_models.iter().all(|read_model| read_model["checkpoint"] == head)
                && status["sagas"]["checkpoint"] == head
                && status["head"] == head;
            is_done.then_some(status)
        })
        .await;
        let read_models = status["projections"].as_array().unwrap();
        let parked = read_models.iter().flat_map(|read_model| read_model["parked"].as_array().unwrap());
        parked.map(|parked| parked["stream"].as_str().unwrap().to_owned()).collect()
    }

    /// Lets it come to rest, stops it, and checks every invariant over its whole history. Fails unless each
    /// was checked and holds, and there is nothing that a person should see.
    pub(crate) async fn stop_and_verify(&mut self) -> Value {
        self.stop_and_verify_told(&Acknowledged::default()).await
    }

    /// The same, also holding what clients were told against the log.
    pub(crate) async fn stop_and_verify_told(&mut self, told: &Acknowledged) -> Value {
        let report = self.stop_and_verify_noting(told, &BTreeSet::new()).await;
        assert_eq!(report["notes"], json!([]), "{report:#}");
        report
    }

    /// The same where these streams are kept back and there is something for a person to see, which the
    /// scenario has to judge.
    pub(crate) async fn stop_and_verify_noting(
        &mut self,
        told: &Acknowledged,
        kept_back: &BTreeSet<String>,
    ) -> Value {
        assert_eq!(self.come_to_rest().await, *kept_back, "other streams are kept back");
        self.stop().await;
        self.verify_all_held(told).await
    }

    /// Fails unless each of the nine invariants was checked on the data of the stopped server, and holds.
    pub(crate) async fn verify_all_held(&self, told: &Acknowledged) -> Value {
        let report = self.verify_told(told).await;
        assert_eq!(report["held"], true, "{report:#}");
        let checks = report["checks"].as_array().unwrap();
        assert_eq!(checks.len(), 9, "{report:#}");
        for check in checks {
            assert_eq!(check["verdict"], "held", "{} of {report:#}", check["invariant"]);
        }
        report
    }

    /// The report of `counterfoil verify` on the stopped server and what its clients were told.
    pub(crate) async fn verify_told(&self, told: &Acknowledged) -> Value {
        let file = self.file("acknowledged.jsonl");
        fs::write(&file, told.to_lines()).unwrap();
        self.verify(&["--acknowledged", file.to_str().unwrap()]).await
    }
}

/// The verdict on one invariant in a report: `held`, `broken` or `not_checked`.
pub(crate) fn verdict<'a>(report: &'a Value, invariant: &str) -> &'a str {
    let checks = report["checks"].as_array().unwrap_or_else(|| panic!("{report:#}"));
    let check = checks.iter().find(|check| check["invariant"] == invariant).unwrap();
    check["verdict"].as_str().unwrap()
}
