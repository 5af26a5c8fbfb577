//! `growth`: what becomes slower when the log grows, and what does not. At each size a log is held against an
//! empty one on the same server, both measured in turn: appending, whole checkouts, starting, and writers
//! beside a subscriber that is far behind. On the way every read model is rebuilt by a process of its own, whose memory
//! is watched.

mod copies;
mod extent;
mod pairs;
mod panels;
mod writers;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use event_store::EventStore;
use platform::postgres::Databases;
use sqlx::{ConnectOptions, Connection};

use self::{
    copies::Copies,
    extent::{Extent, Left},
    pairs::{Compared, Way, alternate},
    panels::Panels,
};
use super::{
    Aim, Figure, Ground, Plan, Report,
    ground::Server,
    history::{self, Order},
    load::{self, Worker},
    rebuild,
    report::grouped,
    shop::Shop,
};
use crate::{config::Settings, database::Database};

/// How many customers buy at once.
const CUSTOMERS: usize = 32;

/// How many append at once, when there are many.
const WRITERS: usize = 64;

/// How far behind the subscriber is, in events.
const BEHIND: u64 = 1_000_000;

/// How long the log is, in events, when it is looked whether orders that are written again are a history like any
/// other.
const LOOKED_AT: u64 = 20_000;

/// What rates are to keep of those of an empty store.
const KEPT: f64 = 0.9;

/// What a rebuild may have at most, in MiB, whatever the log's size.
const MEMORY_MIB: f64 = 300.0;

/// How much more memory or time is no growth but noise.
const NOISE: f64 = 1.1;

pub(super) async fn measure(ground: &Ground, plan: &Plan<'_>, report: &mut Report) -> Result<()> {
    let extent = Extent::of(plan.events);
    let server = ground.server().await?;
    let measured = async {
        let full = server.make("full").await?;
        let mut growth = Box::pin(Growth::begin(&server, full, plan)).await?;
        let mut left = Left::new(&extent, plan.each);
        for (place, size) in extent.sizes.iter().copied().enumerate() {
            Box::pin(growth.at(place, size, &extent, &mut left, report)).await?;
        }
        report.panels = growth.panels.into();
        anyhow::Ok(())
    };
    let measured = measured.await;
    let closed = server.close();
    measured.and(closed)
}

/// A log that grows, and what was measured of it so far.
struct Growth<'a> {
    server: &'a Server,
    plan: &'a Plan<'a>,
    full: Settings,
    copies: Copies,
    orders: Arc<Vec<Order>>,
    panels: Panels,
    /// What the first rebuild of a log took that is not a small one, in MiB.
    memory_mib: Option<f64>,
}

/// A size of the log, as it is told.
struct Size {
    events: f64,
    text: String,
    /// Whether the log has hardly any events yet.
    is_small: bool,
    is_last: bool,
}

impl<'a> Growth<'a> {
    /// Takes orders through a checkout, sends them out, and looks whether writing them again makes a history like
    /// theirs.
    async fn begin(server: &'a Server, full: Settings, plan: &'a Plan<'a>) -> Result<Self> {
        plan.say("taking orders through a checkout");
        sell(&full, plan.each).await?;
        plan.say("sending out what was sold");
        send_out(&full).await?;
        let database = Database::open(&full).await?;
        let store = database.log.open(&full).await?;
        let mut orders = history::orders(&*store).await?;
        orders.retain(|(_, events)| events.iter().any(|event| event.name == "CheckoutDispatchCompleted"));
        ensure!(!orders.is_empty(), "no order was sent out");
        let mut copies = Copies::of(&orders, &database.roles.owner)?;
        copies.grow(LOOKED_AT.min(plan.events), plan).await?;
        plan.say("checking every invariant of what was written again");
        copies::check(&*store).await?;
        store.close().await;
        let orders = Arc::new(writers::without_stock(&orders));
        Ok(Self { server, plan, full, copies, orders, panels: Panels::new(), memory_mib: None })
    }

    /// Measures everything at one size.
    async fn at(
        &mut self,
        place: usize,
        events: u64,
        extent: &Extent,
        left: &mut Left,
        report: &mut Report,
    ) -> Result<()> {
        let plan = self.plan;
        plan.say(&left.text(place));
        let database = Database::open(&self.full).await?;
        let began = Instant::now();
        self.copies.grow(events.saturating_sub(copies::BEHIND_SNAPSHOTS), plan).await?;
        let store = database.log.open(&self.full).await?;
        plan.say("storing snapshots");
        copies::store_snapshots(&store, &database.roles).await?;
        self.copies.grow(events, plan).await?;
        left.filled(place, began.elapsed());
        plan.say("looking whether the log is dense");
        let size = Size::of(copies::check_density(&database.roles.owner).await?, place, extent);
        let began = Instant::now();
        self.rebuild(&database.roles, &size, report).await?;
        left.rebuilt(place, began.elapsed());
        copies::mark_handled(&database.roles).await?;
        self.rest().await;
        plan.say(&left.text(place));

        let empty = self.server.make(&format!("empty_{place}")).await?;
        sell(&empty, Duration::ZERO).await?;
        self.start_up(&empty, extent, &size, report).await?;
        Box::pin(self.checkouts(&empty, extent, &size, report)).await?;
        self.server.remove(&format!("empty_{place}")).await?;
        let appended = self.appends(&store, extent, &size, report).await?;
        if !size.is_small || size.is_last {
            self.beside_a_subscriber(&store, &database, extent, &size, report).await?;
        }
        for name in appended {
            self.server.remove(&name).await?;
        }
        store.close().await;
        if report.machine.is_none() {
            report.machine = Some(super::Machine::describe(&database.roles.service).await?);
        }
        database.close()
    }

    /// Rebuilds every read model in one reading of the log, in a process of its own, and looks at the memory of that.
    async fn rebuild(&mut self, roles: &Databases, size: &Size, report: &mut Report) -> Result<()> {
        let began = Instant::now();
        self.plan.say(&format!("rebuilding every read model from {}", size.text));
        let most = rebuild::all_in_a_process(&self.full, roles).await?;
        let rate = size.events / began.elapsed().as_secs_f64();
        ensure_nothing_is_parked(roles).await?;
        report.add(Figure::new(format!("all read models rebuilt, {}", size.text), rate, "events/s"));
        self.panels.rebuild.add("all at once", size.events, rate);
        let Some(most) = most else {
            report.remark("How much memory a rebuild takes cannot be found out on this machine.");
            return Ok(());
        };
        let figure = Figure::new(format!("most memory of that process, {}", size.text), most, "MiB");
        let figure = figure.aiming(Aim::Below(MEMORY_MIB));
        report.add(match self.memory_mib {
            Some(first) if size.is_last => {
                figure.against("for a tenth of that", first).aiming(Aim::AtMostOf(NOISE))
            }
            _ => figure,
        });
        if !size.is_small {
            self.memory_mib.get_or_insert(most);
        }
        self.panels.memory.add("all at once", size.events, most);
        Ok(())
    }

    /// From the start of everything until the first customer has paid.
    async fn start_up(
        &mut self,
        empty: &Settings,
        extent: &Extent,
        size: &Size,
        report: &mut Report,
    ) -> Result<()> {
        self.plan.say(&format!("starting, with {}", size.text));
        let compared = alternate(extent.rounds, async |way| {
            let began = Instant::now();
            let shop = Shop::open(if way == Way::Plain { empty } else { &self.full }).await?;
            let bought = async { shop.customers(1).await?[0].step().await };
            let bought = bought.await;
            let took = began.elapsed().as_secs_f64();
            shop.close().await?;
            bought.map(|_| took)
        });
        let compared = compared.await?;
        self.panels.start_up.add("empty store", size.events, compared.plain);
        self.panels.start_up.add("log of this size", size.events, compared.other);
        let ms = Compared { plain: compared.plain * 1e3, other: compared.other * 1e3, ..compared };
        report.add(size.figure("start to the first paid order", &ms, "ms", Aim::AtMostOf(NOISE)));
        Ok(())
    }

    async fn checkouts(
        &mut self,
        empty: &Settings,
        extent: &Extent,
        size: &Size,
        report: &mut Report,
    ) -> Result<()> {
        self.plan.say(&format!("{CUSTOMERS} customers at once, with {}", size.text));
        let empty = Shop::open(empty).await?;
        let compared = match Shop::open(&self.full).await {
            Ok(full) => {
                let compared = alternate(extent.rounds, async |way| {
                    let shop = if way == Way::Plain { &empty } else { &full };
                    let (measured, customers) =
                        load::closed(shop.customers(CUSTOMERS).await?, self.plan.each).await?;
                    drop(customers);
                    shop.settle().await?;
                    Ok(measured.rate())
                });
                let compared = compared.await;
                full.close().await?;
                compared
            }
            Err(error) => Err(error),
        };
        empty.close().await?;
        let compared = compared?;
        self.panels.checkout.add("32 customers at once", size.events, compared.ratio);
        report.add(size.figure("checkouts, 32 at once", &compared, "checkouts/s", Aim::OfFloor(KEPT)));
        Ok(())
    }

    /// Each round has an empty store of its own, because it is not empty for long. Answers their names: they are removed
    /// when nothing is measured any more, because removing one makes the server bring everything to the disk, and right
    /// after that it writes every page that it touches to its own log as a whole, of which a large log has more.
    async fn appends(
        &mut self,
        store: &Arc<dyn EventStore>,
        extent: &Extent,
        size: &Size,
        report: &mut Report,
    ) -> Result<Vec<String>> {
        let mut appended = Vec::new();
        for (count, label) in [(WRITERS, "64 writers"), (1, "1 writer")] {
            self.plan.say(&format!("{label}, with {}", size.text));
            let compared = alternate(extent.rounds, async |way| {
                if way == Way::Other {
                    return writers::rate(store, &self.orders, count, self.plan.each).await;
                }
                let name = format!("appended_{}", appended.len());
                let settings = self.server.make(&name).await?;
                appended.push(name);
                let database = Database::open(&settings).await?;
                let store = database.log.open(&settings).await?;
                let rate = writers::rate(&store, &self.orders, count, self.plan.each).await;
                store.close().await;
                rate
            });
            let compared = compared.await?;
            self.panels.append.add(label, size.events, compared.ratio);
            let figure = size.figure(&format!("append, {label}"), &compared, "events/s", Aim::OfFloor(KEPT));
            report.add(figure);
        }
        Ok(appended)
    }

    /// The same writers, with and without somebody who reads as fast as he can.
    async fn beside_a_subscriber(
        &mut self,
        store: &Arc<dyn EventStore>,
        database: &Database,
        extent: &Extent,
        size: &Size,
        report: &mut Report,
    ) -> Result<()> {
        let behind = BEHIND.min(writers::events(&**store).await?);
        let who = format!("a subscriber {} events behind", grouped(as_number(behind)));
        self.plan.say(&format!("64 writers beside {who}, with {}", size.text));
        // As in another process: what writers know of the end of the log is not shared with it.
        let reading = database.log.open_to_read(&self.full).await?;
        let compared = alternate(extent.rounds, async |way| {
            let subscriber = (way == Way::Other)
                .then(|| tokio::spawn(writers::keep_catching_up(Arc::clone(&reading), behind)));
            let rate = writers::rate(store, &self.orders, WRITERS, self.plan.each).await;
            if let Some(subscriber) = subscriber {
                ensure!(!subscriber.is_finished(), "the subscriber has stopped: {:?}", subscriber.await);
                subscriber.abort();
            }
            rate
        });
        let compared = compared.await?;
        reading.close().await;
        self.panels.subscriber.add("64 writers", size.events, compared.ratio);
        let what = format!("append, 64 writers beside {who}");
        let figure = Figure::new(format!("{what}, {}", size.text), compared.other, "events/s");
        let figure = figure.beside("without the subscriber", compared.plain, compared.ratio);
        report.add(if size.is_last { figure.aiming(Aim::OfFloor(KEPT)) } else { figure });
        Ok(())
    }

    /// What was written last is brought to the disk before anything is measured.
    async fn rest(&self) {
        let checkpoint = async {
            let mut db = self.server.admin.clone().disable_statement_logging().connect().await?;
            sqlx::raw_sql("checkpoint").execute(&mut db).await?;
            db.close().await
        };
        if let Err(error) = checkpoint.await {
            self.plan.say(&format!("the server writes its checkpoint when it likes: {error}"));
        }
    }
}

impl Size {
    fn of(events: u64, place: usize, extent: &Extent) -> Self {
        let (events, is_last) = (as_number(events), place + 1 == extent.sizes.len());
        Self { events, text: format!("{} events", grouped(events)), is_small: place == 0, is_last }
    }

    /// A figure at this size beside that of the empty store. Only the largest log has to reach anything.
    fn figure(&self, what: &str, compared: &Compared, unit: &'static str, aim: Aim) -> Figure {
        let figure = Figure::new(format!("{what}, {}", self.text), compared.other, unit);
        let figure = figure.beside("in an empty store", compared.plain, compared.ratio);
        if self.is_last { figure.aiming(aim) } else { figure }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a number for people and plots")]
fn as_number(events: u64) -> f64 {
    events as f64
}

/// Opens a shop, and sells for a while.
async fn sell(settings: &Settings, time: Duration) -> Result<()> {
    let shop = Shop::open(settings).await?;
    let sold = async {
        shop.fill_shelves().await?;
        load::closed(shop.customers(CUSTOMERS).await?, time).await?;
        shop.settle().await
    };
    let sold = sold.await;
    shop.close().await?;
    sold
}

/// Sends out what was sold: in a history of which nothing ever leaves the house, what is held of each SKU grows
/// without end.
async fn send_out(settings: &Settings) -> Result<()> {
    let shop = Shop::open(settings).await?;
    let sent_out = async {
        let orders = history::orders(shop.store()).await?;
        shop.send_out(&orders.into_iter().map(|(id, _)| id).collect::<Vec<_>>()).await?;
        shop.settle().await
    };
    let sent_out = sent_out.await;
    shop.close().await?;
    sent_out
}

/// A read model keeps back what it cannot apply, and is not of the whole log then.
async fn ensure_nothing_is_parked(roles: &Databases) -> Result<()> {
    let mut db = roles.owner.connect().await?;
    let sql = "select count(*) from projections.parked_streams";
    let parked: i64 = sqlx::query_scalar(sql).fetch_one(&mut db).await?;
    db.close().await?;
    ensure!(parked == 0, "{parked} streams of the log could not be applied to read models");
    Ok(())
}
