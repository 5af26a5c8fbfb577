//! The sandbox provider as a process of its own, with a proxy before it that can lose calls and answers.

use std::{
    fs::File,
    process::{Child, Stdio},
};

use platform::proxy::Proxy;
use sagas::gateway::{
    Answer, Call, PaymentGateway,
    sandbox::{client::SandboxGateway, signature::Secrets},
};
use tempfile::TempDir;

use super::{
    Books, eventually,
    launch::{ServerOptions, command, free_port},
    server::{folder, wait_for_the_database_to_leave},
    webhook,
};

/// A provider beyond a network that a test can break.
#[derive(Debug)]
pub(crate) struct Sandbox {
    process: Child,
    port: u16,
    /// What stands before it.
    pub(crate) proxy: Proxy,
    folder: TempDir,
}

impl Sandbox {
    /// Starts one that delivers its webhooks to a server on `shop_port`.
    pub(crate) async fn start(shop_port: u16) -> Self {
        let (folder, port) = (folder(), free_port());
        let log = File::create(folder.path().join("log")).unwrap();
        let process = command(folder.path(), &ServerOptions::default(), "sandbox")
            .args(["--sandbox-listen", &format!("127.0.0.1:{port}")])
            .args(["--webhook-url", &format!("http://127.0.0.1:{shop_port}{}", webhook::PATH)])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let books = format!("http://127.0.0.1:{port}/books");
        eventually("the provider answers", || async {
            reqwest::get(&books).await.ok().filter(|answer| answer.status().is_success())
        })
        .await;
        let proxy = Proxy::before(([127, 0, 0, 1], port).into()).await.unwrap();
        Self { process, port, proxy, folder }
    }

    /// Where the shop calls it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.proxy.address())
    }

    /// Its books, asked for past the proxy.
    pub(crate) async fn books(&self) -> Books {
        Books::fetch(&format!("http://127.0.0.1:{}/books", self.port)).await
    }

    /// Has it do something that the shop does not know of: what the customer's browser starts there, what
    /// it does by itself, what an employee does on its pages. Fails unless it is done.
    pub(crate) async fn performs(&self, call: &Call) {
        let secrets = Secrets::new(webhook::SECRET);
        let past_the_proxy =
            SandboxGateway::new(&format!("http://127.0.0.1:{}", self.port), secrets).unwrap();
        let answer = past_the_proxy.perform(call).await;
        assert!(matches!(answer, Answer::Approved { .. }), "{answer:?}");
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        wait_for_the_database_to_leave(self.folder.path());
    }
}
