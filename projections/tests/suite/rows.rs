//! What each read model says of a history.

use std::sync::Arc;

use events::{
    Category, Currency, UnitPrice,
    catalog::{CatalogEvent, Repriced, Withdrawn},
    checkout::{self, CheckoutEvent},
    credit::{self, CreditEvent},
    ids::{CreditNoteId, LedgerAdjustmentId, RefundId},
    inventory::InventoryEvent,
    ledger::{self, LedgerEvent},
    payment::{self, Operation, PaymentEvent},
};
use projections::{
    attention::{Attention, AttentionRow},
    catalog::{Catalog, ProductRow},
    feed::{ChangeRow, Feed},
    orders::{OrderLineRow, OrderRow, Orders},
    payments::{PaymentRow, Payments},
    sales::{Sales, SalesRow},
    stock::{Stock, StockRow},
};
use uuid::Uuid;

use crate::{
    history::*,
    world::{World, minute},
};

#[tokio::test]
async fn a_product_shows_its_last_prices_and_whether_it_is_offered() {
    let world = World::new().await;
    world.catalog("mug", &listed("mug", "A mug", 250), minute(0)).await;
    world.catalog("tray", &listed("tray", "A tray", 1000), minute(1)).await;
    world.catch_up(Catalog).await;
    let price = UnitPrice::from_thousandths(255_100, Currency::EUR).unwrap();
    world.catalog("mug", &CatalogEvent::Repriced(Repriced { sku: sku("mug"), price }), minute(2)).await;
    let withdrawn = Withdrawn { sku: sku("tray"), reason: "broken".to_owned() };
    world.catalog("tray", &CatalogEvent::Withdrawn(withdrawn), minute(3)).await;
    world.catch_up(Catalog).await;

    let rows: Vec<ProductRow> = sqlx::query_as("select * from read.products order by sku")
        .fetch_all(&mut world.reader().await)
        .await
        .unwrap();
    let prices: Vec<_> =
        rows[0].prices.iter().map(|price| (price.currency.as_str(), price.thousandths)).collect();
    assert_eq!(prices, [("EUR", 255_100), ("GBP", 250_000)]);
    assert_eq!((rows[0].status.as_str(), rows[0].revision, rows[0].updated_at), ("listed", 1, minute(2)));
    assert_eq!((rows[1].status.as_str(), rows[1].title.as_str()), ("withdrawn", "A tray"));
}

#[tokio::test]
async fn an_order_shows_its_own_status_and_that_of_its_payment() {
    let world = World::new().await;
    let paid = world.paid_order(1, minute(0)).await;
    let rejected = order_id(2);
    world.order(rejected, &placed(rejected, None, vec![line("mug", 1, 250)]), minute(5)).await;
    world.catch_up(Orders).await;
    world.order(rejected, &declined_order(rejected), minute(6)).await;
    world.payment(paid, &refunded(paid, 500), minute(7)).await;
    world.catch_up(Orders).await;

    let mut reader = world.reader().await;
    let rows: Vec<OrderRow> =
        sqlx::query_as("select * from read.orders order by placed_at").fetch_all(&mut reader).await.unwrap();
    let first = &rows[0];
    assert_eq!((first.status.as_str(), first.payment_status.as_str()), ("confirmed", "partially_refunded"));
    assert_eq!(first.display_status, "partially_refunded");
    assert_eq!((first.total, first.units, first.captured, first.refunded), (1500, 3, 1500, 500));
    assert_eq!((first.revision, first.payment_revision), (1, Some(3)));
    assert_eq!(first.customer_id, Some(Uuid::from_u128(1)));
    let second = &rows[1];
    assert_eq!((second.status.as_str(), second.payment_status.as_str()), ("rejected", "none"));
    assert_eq!(second.reason.as_ref().unwrap()["rule"], "payment_declined");
    let lines: Vec<OrderLineRow> =
        sqlx::query_as("select * from read.order_lines where order_id = $1 order by line")
            .bind(paid.0)
            .fetch_all(&mut reader)
            .await
            .unwrap();
    assert_eq!((lines[0].sku.as_str(), lines[0].quantity, lines[0].amount), ("mug", 2, 500));
    assert_eq!((lines[1].line, lines[1].unit_price_thousandths), (1, 1_000_000));
}

#[tokio::test]
async fn stock_moves_from_available_to_reserved_to_committed_to_dispatched() {
    let world = World::new().await;
    let (first, second, third) = (order_id(1), order_id(2), order_id(3));
    world.stock("mug", &received("mug", 100), minute(0)).await;
    world.stock("mug", &reserved("mug", first, 5), minute(1)).await;
    world.stock("mug", &reserved("mug", second, 7), minute(1)).await;
    world.catch_up(Stock).await;
    world.stock("mug", &committed("mug", first, 5), minute(2)).await;
    world.stock("mug", &released("mug", second, 7), minute(2)).await;
    world.stock("mug", &reserved("mug", third, 11), minute(2)).await;
    world.stock("mug", &committed("mug", third, 11), minute(2)).await;
    world.catch_up(Stock).await;
    world.stock("mug", &dispatched("mug", first, 5), minute(3)).await;
    world.catch_up(Stock).await;

    let row: StockRow =
        sqlx::query_as("select * from read.stock").fetch_one(&mut world.reader().await).await.unwrap();
    assert_eq!((row.received, row.reserved, row.committed, row.dispatched), (100, 0, 11, 5));
    assert_eq!((row.available, row.revision), (84, 7));
    let held: Vec<(Uuid, i64, bool)> =
        sqlx::query_as("select reservation_id, quantity, committed from read.holds")
            .fetch_all(&mut world.reader().await)
            .await
            .unwrap();
    assert_eq!(held, [(third.0, 11, true)]);
}

/// Each SKU has the same history, and the border of a batch is somewhere else in it.
#[tokio::test]
async fn stock_is_the_same_wherever_a_batch_ends() {
    fn history(name: &str) -> Vec<InventoryEvent> {
        let [sold, again, kept, gone, undone, late] = [1, 2, 3, 4, 5, 6].map(order_id);
        vec![
            received(name, 100),
            reserved(name, sold, 5),
            reserved(name, again, 7),
            reserved(name, kept, 11),
            committed(name, sold, 5),
            committed(name, again, 7),
            released(name, again, 7),
            // An id may be used again for another hold.
            reserved(name, again, 9),
            reserved(name, late, 2),
            reserved(name, gone, 3),
            released(name, gone, 3),
            committed(name, kept, 11),
            dispatched(name, sold, 5),
            reserved(name, undone, 4),
            committed(name, undone, 4),
            expired(name, late, 2),
            released(name, undone, 4),
        ]
    }
    let world = World::new().await;
    let histories: Vec<(String, Vec<InventoryEvent>)> = (0..=history("mug").len())
        .map(|border| format!("mug-{border:02}"))
        .map(|name| (name.clone(), history(&name)))
        .collect();
    for (border, (name, events)) in histories.iter().enumerate() {
        for event in &events[..border] {
            world.stock(name, event, minute(0)).await;
        }
    }
    world.catch_up(Stock).await;
    for (border, (name, events)) in histories.iter().enumerate() {
        for event in &events[border..] {
            world.stock(name, event, minute(1)).await;
        }
    }
    world.catch_up(Stock).await;

    let rows: Vec<StockRow> = sqlx::query_as("select * from read.stock order by sku")
        .fetch_all(&mut world.reader().await)
        .await
        .unwrap();
    let holds: Vec<(String, Uuid, i64, bool)> = sqlx::query_as(
        "select sku, reservation_id, quantity, committed from read.holds order by sku, quantity",
    )
    .fetch_all(&mut world.reader().await)
    .await
    .unwrap();
    assert_eq!(rows.len(), histories.len());
    for (row, (name, events)) in rows.iter().zip(&histories) {
        assert_eq!((&row.sku, row.revision), (name, i64::try_from(events.len()).unwrap() - 1));
        let units = (row.received, row.reserved, row.committed, row.dispatched, row.available);
        assert_eq!(units, (100, 9, 11, 5, 75), "{name}");
        let held = holds.iter().filter(|hold| hold.0 == *name).map(|hold| (hold.1, hold.2, hold.3));
        assert_eq!(
            held.collect::<Vec<_>>(),
            [(order_id(2).0, 9, false), (order_id(3).0, 11, true)],
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_payment_shows_what_was_held_taken_and_given_back() {
    let world = World::new().await;
    let paid = world.paid_order(1, minute(0)).await;
    let voided = order_id(2);
    world.payment(voided, &requested(voided, 900), minute(1)).await;
    world.catch_up(Payments).await;
    world.payment(paid, &refunded(paid, 1500), minute(2)).await;
    let payment_id = voided.into();
    let void = PaymentEvent::VoidRequested(payment::VoidRequested { payment_id });
    world.payment(voided, &void, minute(2)).await;
    world.payment(voided, &authorized(voided, 900), minute(3)).await;
    world.catch_up(Payments).await;

    let rows: Vec<PaymentRow> = sqlx::query_as("select * from read.payments order by requested_at")
        .fetch_all(&mut world.reader().await)
        .await
        .unwrap();
    assert_eq!(rows[0].status, "refunded");
    assert_eq!((rows[0].authorized, rows[0].captured, rows[0].refunded), (1500, 1500, 1500));
    assert_eq!((rows[1].status.as_str(), rows[1].captured), ("voiding", 0));
}

#[tokio::test]
async fn sales_count_what_was_confirmed_on_the_day_on_which_it_happened() {
    let world = World::new().await;
    let today = minute(0);
    let tomorrow = minute(24 * 60);
    let first = world.paid_order(1, today).await;
    world.paid_order(2, today).await;
    let never = order_id(3);
    world.order(never, &placed(never, None, vec![line("mug", 1, 250)]), today).await;
    world.order(never, &cancelled(never), today).await;
    world.catch_up(Sales).await;
    world.order(first, &cancelled(first), tomorrow).await;
    world.payment(first, &refunded(first, 1500), tomorrow).await;
    let credit_note_id = CreditNoteId(Uuid::from_u128(4));
    let credit = CreditEvent::Issued(credit::Issued {
        credit_note_id,
        reference: "C4".to_owned(),
        customer_id: None,
        lines: Vec::new(),
        total: gbp(700),
    });
    world.append(&Category::Credit.stream(credit_note_id), &credit, tomorrow).await;
    let adjustment_id = LedgerAdjustmentId(Uuid::from_u128(5));
    let (reference, reason) = ("A5".to_owned(), "bad debt".to_owned());
    let adjusted = ledger::Adjusted { adjustment_id, reference, amount: gbp(-300), reason };
    world.append(&Category::Ledger.stream(adjustment_id), &LedgerEvent::Adjusted(adjusted), tomorrow).await;
    world.catch_up(Sales).await;

    let rows: Vec<SalesRow> = sqlx::query_as("select * from read.sales_days order by day")
        .fetch_all(&mut world.reader().await)
        .await
        .unwrap();
    assert_eq!(
        (rows[0].day, rows[0].orders, rows[0].units, rows[0].amount),
        (today.date_naive(), 2, 6, 3000)
    );
    assert_eq!((rows[0].cancelled_orders, rows[0].refunds), (0, 0), "a closed day stays as it is");
    assert_eq!((rows[1].orders, rows[1].amount), (0, 0));
    assert_eq!((rows[1].cancelled_orders, rows[1].cancelled_units, rows[1].cancelled_amount), (1, 3, 1500));
    assert_eq!((rows[1].refunds, rows[1].refunded_amount), (1, 1500));
    assert_eq!((rows[1].credits, rows[1].credited_amount), (1, 700));
    assert_eq!((rows[1].adjustments, rows[1].adjusted_amount), (1, -300));
}

#[tokio::test]
async fn what_was_confirmed_and_is_rejected_is_no_sale_any_more() {
    let world = World::new().await;
    let today = minute(0);
    let tomorrow = minute(24 * 60);
    let order = world.paid_order(1, today).await;
    let never = order_id(2);
    world.order(never, &placed(never, None, vec![line("mug", 1, 250)]), today).await;
    world.order(never, &declined_order(never), today).await;
    world.catch_up(Sales).await;
    world.order(order, &declined_order(order), tomorrow).await;
    world.catch_up(Sales).await;

    let rows: Vec<SalesRow> = sqlx::query_as("select * from read.sales_days order by day")
        .fetch_all(&mut world.reader().await)
        .await
        .unwrap();
    assert_eq!((rows[0].orders, rows[0].cancelled_orders), (1, 0), "a closed day stays as it is");
    assert_eq!((rows[1].day, rows[1].orders), (tomorrow.date_naive(), 0));
    assert_eq!((rows[1].cancelled_orders, rows[1].cancelled_units, rows[1].cancelled_amount), (1, 3, 1500));
}

#[tokio::test]
async fn what_needs_a_person_stays_until_the_log_says_that_it_is_settled() {
    let world = World::new().await;
    let order = order_id(1);
    let refund_id = RefundId(Uuid::from_u128(9));
    let stuck = PaymentEvent::AttentionRequired(payment::AttentionRequired {
        payment_id: order.into(),
        operation: Operation::Refund { refund_id },
        attempts: 8,
    });
    world.payment(order, &stuck, minute(0)).await;
    let differs = PaymentEvent::DiscrepancyFound(payment::DiscrepancyFound {
        payment_id: order.into(),
        operation: Operation::Authorize,
        expected: Some(gbp(1500)),
        reported: Some(gbp(1400)),
        code: "amount_differs".to_owned(),
    });
    world.payment(order, &differs, minute(1)).await;
    let checkout = CheckoutEvent::AttentionRequired(checkout::AttentionRequired {
        order_id: order,
        step: "refund".to_owned(),
    });
    world.append(&Category::Checkout.stream(order), &checkout, minute(2)).await;
    world.catch_up(Attention).await;
    let settled =
        PaymentEvent::Refunded(payment::Refunded { payment_id: order.into(), refund_id, amount: gbp(1) });
    world.payment(order, &settled, minute(3)).await;
    world.catch_up(Attention).await;

    let rows: Vec<AttentionRow> = sqlx::query_as("select * from read.attention order by raised_position")
        .fetch_all(&mut world.reader().await)
        .await
        .unwrap();
    let seen: Vec<_> = rows.iter().map(|row| (row.kind.as_str(), row.resolved_at)).collect();
    assert_eq!(
        seen,
        [("payment_stuck", Some(minute(3))), ("payment_discrepancy", None), ("checkout_stuck", None)]
    );
    assert!(rows.iter().all(|row| row.order_id == Some(order.0)));
}

#[tokio::test]
async fn what_is_settled_twice_was_settled_the_first_time_however_the_log_is_cut() {
    let mut seen = Vec::new();
    for events_max in [1, 100] {
        let world = World::new().await;
        let stuck = order_id(1);
        let stream = Category::Checkout.stream(stuck);
        world.append(&stream, &stuck_checkout(stuck, "commit"), minute(0)).await;
        for (event, at) in checked_out(stuck).iter().zip(1..) {
            world.append(&stream, event, minute(at)).await;
        }
        world.catch_up_in_pieces(Arc::new(Attention), events_max, 0).await;
        let rows: Vec<AttentionRow> = sqlx::query_as("select * from read.attention")
            .fetch_all(&mut world.reader().await)
            .await
            .unwrap();
        assert_eq!(rows[0].resolved_at, Some(minute(1)), "up to {events_max} at a time");
        seen.push(rows);
    }
    assert_eq!(seen[0], seen[1]);
}

#[tokio::test]
async fn the_feed_tells_what_happened_without_what_is_private() {
    let world = World::new().await;
    let order = world.paid_order(1, minute(0)).await;
    world.catch_up(Feed).await;

    let rows: Vec<ChangeRow> = sqlx::query_as("select * from read.order_changes order by position")
        .fetch_all(&mut world.reader().await)
        .await
        .unwrap();
    let seen: Vec<_> =
        rows.iter().map(|row| (row.position, row.name.as_str(), row.status.as_deref())).collect();
    assert_eq!(
        seen,
        [
            (1, "OrderPlaced", Some("placed")),
            (2, "PaymentRequested", None),
            (3, "PaymentAuthorized", None),
            (4, "OrderConfirmed", Some("confirmed")),
            (5, "PaymentCaptured", None),
        ]
    );
    assert!(rows.iter().all(|row| row.order_id == order.0));
    assert!(rows.iter().all(|row| !row.data.to_string().contains("tok_approve")));
}
