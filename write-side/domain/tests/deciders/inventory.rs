//! Stock, command by command.

use domain::{
    Decider, Snapshotted,
    inventory::{Command, Hold, Refusal, Stock},
};
use events::{
    ids::ReservationId,
    inventory::{Adjusted, Committed, Dispatched, Expired, InventoryEvent, Received, Released, Reserved},
};

use crate::scenario::{at, given, id, sku};

fn hold(n: u128) -> ReservationId {
    ReservationId(id(n))
}

fn receive(quantity: i64) -> Command {
    Command::Receive { sku: sku("MUG"), quantity, reference: "note 1".to_owned() }
}

fn received(quantity: i64) -> InventoryEvent {
    InventoryEvent::Received(Received { sku: sku("MUG"), quantity, reference: "note 1".to_owned() })
}

fn adjust(delta: i64) -> Command {
    Command::Adjust { sku: sku("MUG"), delta, reason: "counted".to_owned() }
}

fn adjusted(delta: i64) -> InventoryEvent {
    InventoryEvent::Adjusted(Adjusted { sku: sku("MUG"), delta, reason: "counted".to_owned() })
}

fn reserve(n: u128, quantity: i64) -> Command {
    Command::Reserve { sku: sku("MUG"), reservation_id: hold(n), quantity, expires_at: at(60) }
}

fn reserved(n: u128, quantity: i64) -> InventoryEvent {
    InventoryEvent::Reserved(Reserved {
        sku: sku("MUG"),
        reservation_id: hold(n),
        quantity,
        expires_at: at(60),
    })
}

fn release(n: u128) -> Command {
    Command::Release { reservation_id: hold(n) }
}

fn released(n: u128, quantity: i64) -> InventoryEvent {
    InventoryEvent::Released(Released { sku: sku("MUG"), reservation_id: hold(n), quantity })
}

fn commit(n: u128) -> Command {
    Command::Commit { reservation_id: hold(n) }
}

fn committed(n: u128, quantity: i64) -> InventoryEvent {
    InventoryEvent::Committed(Committed { sku: sku("MUG"), reservation_id: hold(n), quantity })
}

fn dispatch(n: u128) -> Command {
    Command::Dispatch { reservation_id: hold(n) }
}

fn dispatched(n: u128, quantity: i64) -> InventoryEvent {
    InventoryEvent::Dispatched(Dispatched { sku: sku("MUG"), reservation_id: hold(n), quantity })
}

fn expire(n: u128, seconds: i64) -> Command {
    Command::Expire { reservation_id: hold(n), now: at(seconds) }
}

fn expired(n: u128, quantity: i64) -> InventoryEvent {
    InventoryEvent::Expired(Expired { sku: sku("MUG"), reservation_id: hold(n), quantity })
}

#[test]
fn units_come_in() {
    given::<Stock>([]).when(receive(10)).then([received(10)]);
}

#[test]
fn units_are_counted_from_one() {
    for quantity in [0, -1, i64::MIN] {
        let refusal = Refusal::QuantityNotPositive { sku: sku("MUG"), quantity };
        given::<Stock>([received(10)]).when(receive(quantity)).then_refused(&refusal);
        given::<Stock>([received(10)]).when(reserve(1, quantity)).then_refused(&refusal);
    }
}

#[test]
fn no_more_comes_in_than_can_be_counted() {
    let refusal = |delta| Refusal::StockTooLarge { sku: sku("MUG"), on_hand: i64::MAX, delta };
    given::<Stock>([received(i64::MAX)]).when(receive(1)).then_refused(&refusal(1));
    given::<Stock>([received(i64::MAX)]).when(adjust(i64::MAX)).then_refused(&refusal(i64::MAX));
}

#[test]
fn a_count_finds_or_loses_units() {
    given::<Stock>([received(10)]).when(adjust(3)).then([adjusted(3)]);
    given::<Stock>([received(10)]).when(adjust(-10)).then([adjusted(-10)]);
    given::<Stock>([]).when(adjust(3)).then([adjusted(3)]);
}

#[test]
fn an_adjustment_of_nothing_is_refused() {
    given::<Stock>([received(10)]).when(adjust(0)).then_refused(&Refusal::DeltaIsZero { sku: sku("MUG") });
}

#[test]
fn what_is_held_cannot_be_adjusted_away() {
    for delta in [-7, i64::MIN] {
        given::<Stock>([received(10), reserved(1, 4)]).when(adjust(delta)).then_refused(
            &Refusal::AdjustsBelowReserved { sku: sku("MUG"), on_hand: 10, reserved: 4, delta },
        );
    }
    given::<Stock>([received(10), reserved(1, 4)]).when(adjust(-6)).then([adjusted(-6)]);
}

#[test]
fn units_are_held_down_to_the_last() {
    given::<Stock>([received(10), reserved(1, 4)]).when(reserve(2, 6)).then([reserved(2, 6)]);
}

#[test]
fn nothing_is_held_that_is_not_there() {
    let refusal = |requested, available| Refusal::InsufficientStock { sku: sku("MUG"), requested, available };
    given::<Stock>([received(10), reserved(1, 4)]).when(reserve(2, 7)).then_refused(&refusal(7, 6));
    given::<Stock>([]).when(reserve(1, i64::MAX)).then_refused(&refusal(i64::MAX, 0));
    given::<Stock>([received(10), reserved(1, 4), dispatched(1, 4)])
        .when(reserve(2, 7))
        .then_refused(&refusal(7, 6));
}

#[test]
fn holding_the_same_again_is_nothing_also_once_it_is_sold() {
    given::<Stock>([received(10), reserved(1, 10)]).when(reserve(1, 10)).then_nothing();
    given::<Stock>([received(10), reserved(1, 10), committed(1, 10)]).when(reserve(1, 10)).then_nothing();
}

#[test]
fn a_hold_is_not_made_otherwise() {
    let refusal = Refusal::ReservedOtherwise { reservation_id: hold(1) };
    given::<Stock>([received(10), reserved(1, 4)]).when(reserve(1, 5)).then_refused(&refusal);
    given::<Stock>([received(10), reserved(1, 4), committed(1, 4)])
        .when(reserve(1, 5))
        .then_refused(&refusal);
    given::<Stock>([received(10), reserved(1, 4)])
        .when(Command::Reserve { sku: sku("MUG"), reservation_id: hold(1), quantity: 4, expires_at: at(61) })
        .then_refused(&refusal);
}

#[test]
fn a_hold_is_given_up_and_its_units_are_free() {
    given::<Stock>([received(10), reserved(1, 4)]).when(release(1)).then([released(1, 4)]);
    let stock = given::<Stock>([received(10), reserved(1, 4), released(1, 4)]).state();
    assert_eq!((stock.on_hand(), stock.reserved(), stock.available()), (10, 0, 10));
}

#[test]
fn a_sale_is_given_up_too() {
    given::<Stock>([received(10), reserved(1, 4), committed(1, 4)]).when(release(1)).then([released(1, 4)]);
}

#[test]
fn giving_up_what_is_not_held_is_nothing() {
    given::<Stock>([]).when(release(1)).then_nothing();
    given::<Stock>([received(10), reserved(1, 4), released(1, 4)]).when(release(1)).then_nothing();
    given::<Stock>([received(10), reserved(1, 4), dispatched(1, 4)]).when(release(1)).then_nothing();
}

#[test]
fn a_hold_becomes_a_sale_once() {
    given::<Stock>([received(10), reserved(1, 4)]).when(commit(1)).then([committed(1, 4)]);
    given::<Stock>([received(10), reserved(1, 4), committed(1, 4)]).when(commit(1)).then_nothing();
    let stock = given::<Stock>([received(10), reserved(1, 4), committed(1, 4)]).state();
    assert_eq!(stock.hold(hold(1)), Some(Hold::Committed { quantity: 4 }));
    assert_eq!(stock.available(), 6);
}

#[test]
fn nothing_is_sold_or_dispatched_without_a_hold() {
    let refusal = Refusal::NoSuchReservation { reservation_id: hold(1) };
    for history in [vec![received(10)], vec![received(10), reserved(1, 4), expired(1, 4)]] {
        given::<Stock>(&history).when(commit(1)).then_refused(&refusal);
        given::<Stock>(&history).when(dispatch(1)).then_refused(&refusal);
    }
}

#[test]
fn units_leave_the_house() {
    given::<Stock>([received(10), reserved(1, 4), committed(1, 4)])
        .when(dispatch(1))
        .then([dispatched(1, 4)]);
    let history = [received(10), reserved(1, 4), committed(1, 4), dispatched(1, 4)];
    let stock = given::<Stock>(history).state();
    assert_eq!((stock.on_hand(), stock.reserved(), stock.available()), (6, 0, 6));
}

#[test]
fn units_do_not_leave_twice() {
    given::<Stock>([received(10), reserved(1, 4), dispatched(1, 4)])
        .when(dispatch(1))
        .then_refused(&Refusal::NoSuchReservation { reservation_id: hold(1) });
}

#[test]
fn a_hold_expires_when_its_time_is_over_and_not_before() {
    let history = [received(10), reserved(1, 4)];
    given::<Stock>(&history).when(expire(1, 59)).then_refused(&Refusal::NotYetExpired {
        reservation_id: hold(1),
        expires_at: at(60),
        now: at(59),
    });
    given::<Stock>(&history).when(expire(1, 60)).then([expired(1, 4)]);
}

#[test]
fn expiring_what_has_ended_is_nothing() {
    given::<Stock>([]).when(expire(1, 99)).then_nothing();
    given::<Stock>([received(10), reserved(1, 4), expired(1, 4)]).when(expire(1, 99)).then_nothing();
}

#[test]
fn a_sale_does_not_expire() {
    given::<Stock>([received(10), reserved(1, 4), committed(1, 4)])
        .when(expire(1, 99))
        .then_refused(&Refusal::CommittedDoesNotExpire { reservation_id: hold(1) });
}

#[test]
fn the_state_is_as_small_after_a_thousand_sales_as_before() {
    let sales = (1..=1000).flat_map(|n| [reserved(n, 1), committed(n, 1), dispatched(n, 1)]);
    let history: Vec<_> = [received(1001)].into_iter().chain(sales).collect();
    assert_eq!(given::<Stock>(history).state(), given::<Stock>([received(1)]).state());
}

#[test]
fn histories_that_cannot_be_are_corrupt() {
    let impossible: [&[InventoryEvent]; 9] = [
        &[reserved(1, 1)],
        &[received(1), reserved(1, 2)],
        &[received(2), reserved(1, 1), reserved(1, 1)],
        &[received(1), released(1, 1)],
        &[received(1), expired(1, 1)],
        &[received(1), committed(1, 1)],
        &[received(2), reserved(1, 2), dispatched(1, 1)],
        &[received(1), adjusted(-2)],
        &[received(i64::MAX), received(1)],
    ];
    for history in impossible {
        assert!(Stock::replay(history).is_err(), "{history:?}");
    }
}

/// What is written in databases. Where this fails, the form or the rules have changed: raise the version, and write
/// down here what it is now.
#[test]
fn a_state_is_written_down_like_this() {
    let history = [
        received(10),
        adjusted(5),
        reserved(1, 2),
        reserved(2, 3),
        committed(2, 3),
        reserved(3, 1),
        dispatched(3, 1),
        reserved(4, 1),
        released(4, 1),
        reserved(5, 1),
        expired(5, 1),
    ];
    let state = given::<Stock>(history).state();
    let written = r#"{"kept":{"sku":"MUG","on_hand":14,"holds":{
        "00000000-0000-0000-0000-000000000001":{"until":{"quantity":2,"expires_at":"2027-01-15T08:01:00Z"}},
        "00000000-0000-0000-0000-000000000002":{"committed":{"quantity":3}}}}}"#;
    assert_eq!(
        (Stock::VERSION, serde_json::to_string(&state).unwrap()),
        (1, written.replace("\n        ", ""))
    );
    assert_eq!(serde_json::to_string(&Stock::default()).unwrap(), r#""unknown""#);
}

#[test]
fn what_contradicts_itself_is_no_state() {
    let of = |on_hand: i64, quantities: &[i64]| {
        let holds = quantities.iter().enumerate();
        let holds =
            holds.map(|(n, held)| format!(r#""{}":{{"committed":{{"quantity":{held}}}}}"#, id(n as u128)));
        let holds = holds.collect::<Vec<_>>().join(",");
        let written = format!(r#"{{"kept":{{"sku":"MUG","on_hand":{on_hand},"holds":{{{holds}}}}}}}"#);
        serde_json::from_str::<Stock>(&written).map(|stock| (stock.on_hand(), stock.reserved()))
    };
    assert_eq!(of(5, &[2, 3]).unwrap(), (5, 5));
    assert_eq!(of(0, &[]).unwrap(), (0, 0));
    for (on_hand, quantities) in
        [(4, &[2, 3][..]), (5, &[-1, 3]), (5, &[0]), (-1, &[]), (i64::MAX, &[i64::MAX, 1])]
    {
        let refused = of(on_hand, quantities);
        assert!(refused.is_err(), "{on_hand} {quantities:?}: {refused:?}");
    }
}
