//! A place for shops to be in: a database with the provider behind HTTP, whose webhooks come back.

use std::{sync::Arc, time::Duration};

use event_store::postgres::{PostgresStore, migrate as migrate_store};
use platform::{
    clock::Clock,
    postgres::{Databases, Statements, testing::fresh_database},
};
use sagas::{
    coordinator::{PostgresState, migrate},
    gateway::sandbox::{
        self,
        books::PaymentBook,
        client::SandboxGateway,
        server::{ServerOptions, serve},
        signature::Secrets,
    },
    webhook,
};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use write_side::Commands;

use crate::shop::{PATIENCE, Shop};

pub(crate) struct Place {
    pub(crate) databases: Databases,
    pub(crate) pool: PgPool,
    /// Where the provider is.
    provider: String,
}

impl Place {
    pub(crate) async fn new() -> Self {
        let databases = fresh_database().await;
        migrate_store(&databases.owner).await.unwrap();
        platform::releases::migrate(&databases.owner).await.unwrap();
        migrate(&databases.owner).await.unwrap();
        sandbox::migrate(&databases.owner).await.unwrap();
        let pool = PgPool::connect_with(databases.service.clone()).await.unwrap();
        let (provider, webhooks) = (listener().await, listener().await);
        let url = format!("http://{}", provider.local_addr().unwrap());
        let webhook_url = format!("http://{}/webhooks/payments/sandbox", webhooks.local_addr().unwrap());
        let options = ServerOptions { secret: b"secret".to_vec(), webhook_url, clock: Clock::system() };
        let books = Statements::over(databases.service.clone(), 8, Duration::from_secs(10));
        tokio::spawn(serve(provider, books, options, CancellationToken::new()));
        let place = Self { databases, pool, provider: url };
        let shop = place.shop().await;
        let door = webhook::router(shop.gateway, shop.store, Clock::system());
        tokio::spawn(async move { axum::serve(webhooks, door).await });
        place
    }

    /// The shop as another process has it: with connections of its own.
    pub(crate) async fn shop(&self) -> Shop {
        let store = Arc::new(PostgresStore::connect(self.databases.service.clone()).await.unwrap());
        Shop {
            commands: Commands::new(store.clone()),
            store,
            gateway: Arc::new(SandboxGateway::new(&self.provider, Secrets::new("secret")).unwrap()),
            state: Arc::new(PostgresState::new(&self.databases.service)),
        }
    }

    pub(crate) async fn books(&self) -> Vec<PaymentBook> {
        reqwest::get(format!("{}/books", self.provider)).await.unwrap().json().await.unwrap()
    }

    /// How many partitions each process has, as the database sees it.
    pub(crate) async fn holders(&self) -> Vec<(String, i64)> {
        sqlx::query_as(
            "select holder, count(*) from sagas.partition where runs_out_at > clock_timestamp()
             group by holder order by holder",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }

    /// Waits until the partitions are shared out like this.
    pub(crate) async fn wait_for_holders(&self, expected: &[(&str, i64)]) {
        let expected: Vec<_> = expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let waiting = async {
            while self.holders().await != expected {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let shared = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(shared.is_ok(), "not {expected:?} but {:?}", self.holders().await);
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}
