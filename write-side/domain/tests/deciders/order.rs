//! Orders: every command in every state.

use domain::{
    Decider,
    lines::Fault,
    order::{Command, Order, Refusal},
};
use events::{
    Currency, Money, UnitPrice,
    ids::{CustomerId, OrderId},
    order::{
        CancellationReason, Cancelled, Completed, Confirmed, DispatchRecorded, Line, OrderEvent, Origin,
        Placed, Rejected, RejectionReason,
    },
    sealed::{PersonKey, Sealed},
};

use crate::scenario::{gbp, given, id, price, sku};

fn order_id() -> OrderId {
    OrderId(id(1))
}

fn line(quantity: i64, unit_price: UnitPrice, pence: i64) -> Line {
    Line { sku: sku("MUG"), quantity, unit_price, amount: gbp(pence) }
}

fn contact() -> Sealed {
    let key = PersonKey::from_bytes([7; PersonKey::BYTES]);
    Sealed::seal(id(9), &key, &"Ada, 1 Mill Lane").unwrap()
}

fn place(lines: Vec<Line>) -> Command {
    Command::Place {
        order_id: order_id(),
        customer_id: Some(CustomerId(id(9))),
        contact: None,
        lines,
        payment_method: "tok_approve".to_owned(),
        origin: Origin::Live,
    }
}

fn placed() -> OrderEvent {
    OrderEvent::Placed(Placed {
        order_id: order_id(),
        customer_id: Some(CustomerId(id(9))),
        contact: None,
        lines: vec![line(2, price(250), 500), line(1, price(240), 240)],
        total: gbp(740),
        payment_method: "tok_approve".to_owned(),
        origin: Origin::Live,
    })
}

fn place_again() -> Command {
    place(vec![line(2, price(250), 500), line(1, price(240), 240)])
}

fn confirmed() -> OrderEvent {
    OrderEvent::Confirmed(Confirmed { order_id: order_id(), total: gbp(740) })
}

fn rejected(reason: RejectionReason) -> OrderEvent {
    OrderEvent::Rejected(Rejected { order_id: order_id(), reason })
}

fn cancelled(reason: CancellationReason) -> OrderEvent {
    OrderEvent::Cancelled(Cancelled { order_id: order_id(), reason })
}

fn dispatch_recorded() -> OrderEvent {
    OrderEvent::DispatchRecorded(DispatchRecorded { order_id: order_id() })
}

fn dispatch() -> Command {
    Command::RecordDispatch { captured: Some(gbp(740)) }
}

fn completed() -> OrderEvent {
    OrderEvent::Completed(Completed { order_id: order_id() })
}

fn reject() -> Command {
    Command::Reject { reason: RejectionReason::DeadlinePassed }
}

fn cancel() -> Command {
    Command::Cancel { reason: CancellationReason::CustomerRequest }
}

fn history_until(last: &OrderEvent) -> Vec<OrderEvent> {
    let mut history = vec![placed()];
    let path = match last {
        OrderEvent::Placed(_) => vec![],
        OrderEvent::Confirmed(_) => vec![confirmed()],
        OrderEvent::DispatchRecorded(_) => vec![confirmed(), dispatch_recorded()],
        OrderEvent::Completed(_) => vec![confirmed(), dispatch_recorded(), completed()],
        OrderEvent::Rejected(_) | OrderEvent::Cancelled(_) => vec![last.clone()],
    };
    history.extend(path);
    history
}

fn was_rejected() -> Vec<OrderEvent> {
    history_until(&rejected(RejectionReason::DeadlinePassed))
}

fn was_cancelled() -> Vec<OrderEvent> {
    history_until(&cancelled(CancellationReason::CustomerRequest))
}

#[test]
fn an_order_comes_to_the_sum_of_its_lines() {
    given::<Order>([]).when(place_again()).then([placed()]);
}

#[test]
fn placing_the_same_again_is_nothing_although_it_is_sealed_differently() {
    let mut again = place_again();
    if let Command::Place { contact: sealed, .. } = &mut again {
        *sealed = Some(contact());
    }
    given::<Order>([placed()]).when(again).then_nothing();
}

#[test]
fn an_order_is_not_placed_otherwise() {
    given::<Order>([placed()])
        .when(place(vec![line(2, price(250), 500)]))
        .then_refused(&Refusal::AlreadyPlaced { order_id: order_id() });
}

#[test]
fn an_order_that_went_on_is_not_placed_again() {
    for last in [confirmed(), dispatch_recorded(), completed()] {
        given::<Order>(history_until(&last))
            .when(place_again())
            .then_refused(&Refusal::AlreadyPlaced { order_id: order_id() });
    }
    for history in [was_rejected(), was_cancelled()] {
        given::<Order>(history)
            .when(place_again())
            .then_refused(&Refusal::AlreadyPlaced { order_id: order_id() });
    }
}

#[test]
fn the_lines_of_an_order_add_up() {
    given::<Order>([]).when(place(vec![])).then_refused(&Refusal::Lines(Fault::NoLines));
    given::<Order>([]).when(place(vec![line(2, price(250), 499)])).then_refused(&Refusal::Lines(
        Fault::AmountDiffers { sku: sku("MUG"), given: gbp(499), computed: gbp(500) },
    ));
}

#[test]
fn an_order_comes_to_something() {
    given::<Order>([])
        .when(place(vec![line(2, price(0), 0)]))
        .then_refused(&Refusal::TotalNotPositive { total: gbp(0) });
}

#[test]
fn nothing_is_done_to_an_order_that_was_never_placed() {
    for command in [Command::Confirm, reject(), cancel(), dispatch(), Command::Complete] {
        given::<Order>([]).when(command).then_refused(&Refusal::NotPlaced);
    }
}

#[test]
fn a_placed_order_is_confirmed_once() {
    given::<Order>([placed()]).when(Command::Confirm).then([confirmed()]);
    for last in [confirmed(), dispatch_recorded(), completed()] {
        given::<Order>(history_until(&last)).when(Command::Confirm).then_nothing();
    }
}

#[test]
fn an_order_is_rejected_until_it_is_dispatched() {
    for last in [placed(), confirmed()] {
        given::<Order>(history_until(&last)).when(reject()).then([rejected(RejectionReason::DeadlinePassed)]);
    }
    for last in [dispatch_recorded(), completed()] {
        given::<Order>(history_until(&last)).when(reject()).then_refused(&Refusal::AlreadyDispatched);
    }
}

#[test]
fn an_order_is_cancelled_until_it_is_dispatched() {
    for last in [placed(), confirmed()] {
        given::<Order>(history_until(&last))
            .when(cancel())
            .then([cancelled(CancellationReason::CustomerRequest)]);
    }
    for last in [dispatch_recorded(), completed()] {
        given::<Order>(history_until(&last)).when(cancel()).then_refused(&Refusal::AlreadyDispatched);
    }
}

#[test]
fn nothing_happens_to_a_rejected_order() {
    let refusal = Refusal::AlreadyRejected { reason: RejectionReason::DeadlinePassed };
    given::<Order>(was_rejected()).when(reject()).then_nothing();
    let another = Command::Reject { reason: RejectionReason::PaymentDiffers };
    for command in [Command::Confirm, another, cancel(), dispatch(), Command::Complete] {
        given::<Order>(was_rejected()).when(command).then_refused(&refusal);
    }
}

#[test]
fn nothing_happens_to_a_cancelled_order() {
    let refusal = Refusal::AlreadyCancelled { reason: CancellationReason::CustomerRequest };
    given::<Order>(was_cancelled()).when(cancel()).then_nothing();
    let another = Command::Cancel { reason: CancellationReason::Fraud };
    for command in [Command::Confirm, reject(), another, dispatch(), Command::Complete] {
        given::<Order>(was_cancelled()).when(command).then_refused(&refusal);
    }
}

#[test]
fn dispatch_comes_after_confirmation_and_once() {
    given::<Order>([placed()]).when(dispatch()).then_refused(&Refusal::NotConfirmed);
    given::<Order>(history_until(&confirmed())).when(dispatch()).then([dispatch_recorded()]);
    for last in [dispatch_recorded(), completed()] {
        given::<Order>(history_until(&last)).when(dispatch()).then_nothing();
    }
}

#[test]
fn goods_leave_once_the_whole_total_is_captured() {
    let euros = Money::new(740, Currency::EUR);
    for captured in [None, Some(gbp(0)), Some(gbp(739)), Some(euros)] {
        given::<Order>(history_until(&confirmed()))
            .when(Command::RecordDispatch { captured })
            .then_refused(&Refusal::NotCaptured { captured, total: gbp(740) });
    }
}

#[test]
fn completion_comes_after_dispatch_and_once() {
    for last in [placed(), confirmed()] {
        given::<Order>(history_until(&last)).when(Command::Complete).then_refused(&Refusal::NotDispatched);
    }
    given::<Order>(history_until(&dispatch_recorded())).when(Command::Complete).then([completed()]);
    given::<Order>(history_until(&completed())).when(Command::Complete).then_nothing();
}

#[test]
fn histories_that_cannot_be_are_corrupt() {
    let impossible: [&[OrderEvent]; 7] = [
        &[confirmed()],
        &[placed(), placed()],
        &[placed(), dispatch_recorded()],
        &[placed(), confirmed(), completed()],
        &[placed(), confirmed(), dispatch_recorded(), cancelled(CancellationReason::Fraud)],
        &[placed(), cancelled(CancellationReason::Fraud), rejected(RejectionReason::PaymentDiffers)],
        &[placed(), rejected(RejectionReason::PaymentDiffers), confirmed()],
    ];
    for history in impossible {
        assert!(Order::replay(history).is_err(), "{history:?}");
    }
}
