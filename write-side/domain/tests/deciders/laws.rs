//! What holds for any sequence of commands whatever, sensible or not: deciders and the histories that
//! they write obey these laws.

use domain::{Decider, catalog, inventory, order, payment};
use events::{
    Currency, Money, UnitPrice,
    ids::{CaptureId, OrderId, PaymentId, RefundId, ReservationId},
    inventory::InventoryEvent,
    order::{CancellationReason, Line, Origin, RejectionReason},
    payment::{Operation, PaymentEvent},
};
use proptest::{collection::vec, prelude::*};

use crate::scenario::{at, gbp, id, sku};

/// Runs the commands as a command handler would, and returns the history that they leave.
///
/// On the way: what is decided can be taken; replaying equals stepping; and a command decided again
/// right after is nothing or refused, unless `always_new` says that each such command is a new fact.
fn obey_the_laws<D>(commands: &[D::Command], always_new: fn(&D::Command) -> bool) -> Vec<D::Event>
where
    D: Decider + PartialEq + std::fmt::Debug,
{
    let mut state = D::default();
    let mut history: Vec<D::Event> = Vec::new();
    for command in commands {
        let Ok(events) = state.decide(command) else { continue };
        for event in &events {
            state = state.evolve(event).unwrap_or_else(|corrupt| panic!("{command:?}: {corrupt}"));
        }
        history.extend(events);
        assert_eq!(D::replay(&history).unwrap(), state, "replaying differs from stepping");
        if !always_new(command) {
            let again = state.decide(command);
            assert!(again.as_ref().is_ok_and(Vec::is_empty) || again.is_err(), "{command:?}: {again:?}");
        }
    }
    history
}

/// Small numbers that meet each other, and those at the limits.
fn quantity() -> impl Strategy<Value = i64> {
    prop_oneof![8 => -2..12_i64, 1 => Just(i64::MAX), 1 => Just(i64::MIN), 1 => any::<i64>()]
}

fn amount() -> impl Strategy<Value = Money> {
    (quantity(), prop_oneof![9 => Just(Currency::GBP), 1 => Just(Currency::EUR)])
        .prop_map(|(amount, currency)| Money::new(amount, currency))
}

fn unit_price() -> impl Strategy<Value = UnitPrice> {
    amount().prop_map(|money| {
        UnitPrice::from_thousandths(money.amount.max(0), money.currency).expect("it is not negative")
    })
}

fn catalog_command() -> impl Strategy<Value = catalog::Command> {
    use catalog::Command;
    prop_oneof![
        ("[ A]", vec(unit_price(), 0..3)).prop_map(|(title, prices)| Command::List {
            sku: sku("MUG"),
            title,
            prices
        }),
        unit_price().prop_map(|price| Command::Reprice { sku: sku("MUG"), price }),
        "[ab]".prop_map(|reason| Command::Withdraw { sku: sku("MUG"), reason }),
    ]
}

fn inventory_command() -> impl Strategy<Value = inventory::Command> {
    use inventory::Command;
    let hold = || (0..4_u128).prop_map(|n| ReservationId(id(n)));
    prop_oneof![
        quantity().prop_map(|quantity| Command::Receive {
            sku: sku("MUG"),
            quantity,
            reference: String::new()
        }),
        quantity().prop_map(|delta| Command::Adjust { sku: sku("MUG"), delta, reason: String::new() }),
        (hold(), quantity(), 0..3_i64).prop_map(|(reservation_id, quantity, seconds)| {
            Command::Reserve { sku: sku("MUG"), reservation_id, quantity, expires_at: at(seconds) }
        }),
        hold().prop_map(|reservation_id| Command::Release { reservation_id }),
        hold().prop_map(|reservation_id| Command::Commit { reservation_id }),
        hold().prop_map(|reservation_id| Command::Dispatch { reservation_id }),
        (hold(), 0..3_i64)
            .prop_map(|(reservation_id, seconds)| Command::Expire { reservation_id, now: at(seconds) }),
    ]
}

fn order_command() -> impl Strategy<Value = order::Command> {
    use order::Command;
    let line = (quantity(), unit_price(), any::<bool>()).prop_map(|(quantity, unit_price, adds_up)| {
        let computed = unit_price.times(quantity).unwrap_or(gbp(0));
        let amount = if adds_up { computed } else { gbp(7) };
        Line { sku: sku("MUG"), quantity, unit_price, amount }
    });
    prop_oneof![
        vec(line, 0..3).prop_map(|lines| Command::Place {
            order_id: OrderId(id(1)),
            customer_id: None,
            contact: None,
            lines,
            payment_method: "tok_approve".to_owned(),
            origin: Origin::Live,
        }),
        Just(Command::Confirm),
        prop_oneof![Just(RejectionReason::DeadlinePassed), Just(RejectionReason::PaymentDiffers)]
            .prop_map(|reason| Command::Reject { reason }),
        prop_oneof![Just(CancellationReason::Fraud), Just(CancellationReason::Operator)]
            .prop_map(|reason| Command::Cancel { reason }),
        prop_oneof![Just(None), Just(Some(gbp(1))), Just(Some(gbp(i64::MAX)))]
            .prop_map(|captured| Command::RecordDispatch { captured }),
        Just(Command::Complete),
    ]
}

fn capture_id() -> impl Strategy<Value = CaptureId> {
    (0..4_u128).prop_map(|n| CaptureId(id(n)))
}

fn refund_id() -> impl Strategy<Value = RefundId> {
    (0..4_u128).prop_map(|n| RefundId(id(n)))
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        Just(Operation::Authorize),
        capture_id().prop_map(|capture_id| Operation::Capture { capture_id }),
        Just(Operation::Void),
        refund_id().prop_map(|refund_id| Operation::Refund { refund_id }),
    ]
}

/// The amount that was asked for comes often, so that most histories get past the authorization.
fn whole_amount() -> impl Strategy<Value = Money> {
    prop_oneof![3 => Just(gbp(10)), 1 => amount()]
}

fn payment_request() -> impl Strategy<Value = payment::Command> {
    use payment::Command;
    prop_oneof![
        whole_amount().prop_map(|amount| Command::Request {
            payment_id: PaymentId(id(1)),
            order_id: OrderId(id(1)),
            amount,
            method: "tok_approve".to_owned(),
        }),
        (capture_id(), amount()).prop_map(|(capture_id, amount)| Command::Capture { capture_id, amount }),
        Just(Command::Void),
        (refund_id(), amount()).prop_map(|(refund_id, amount)| Command::Refund {
            refund_id,
            amount,
            reason: String::new()
        }),
        (operation(), 0..4_u32).prop_map(|(operation, attempt)| Command::RecordUnknown {
            operation,
            attempt,
            reason: String::new()
        }),
        (operation(), 0..4_u32)
            .prop_map(|(operation, attempts)| Command::RequireAttention { operation, attempts }),
    ]
}

fn payment_answer() -> impl Strategy<Value = payment::Command> {
    use payment::Command;
    prop_oneof![
        whole_amount()
            .prop_map(|amount| Command::RecordAuthorized { amount, provider_reference: String::new() }),
        Just(Command::RecordDeclined { code: String::new() }),
        (capture_id(), amount())
            .prop_map(|(capture_id, amount)| Command::RecordCaptured { capture_id, amount }),
        capture_id().prop_map(|capture_id| Command::RecordCaptureFailed { capture_id, code: String::new() }),
        Just(Command::RecordVoided),
        (refund_id(), amount()).prop_map(|(refund_id, amount)| Command::RecordRefunded { refund_id, amount }),
        refund_id().prop_map(|refund_id| Command::RecordRefundFailed { refund_id, code: String::new() }),
    ]
}

fn payment_command() -> impl Strategy<Value = payment::Command> {
    prop_oneof![payment_request(), payment_answer()]
}

/// Counts units by itself, from the events alone.
fn assert_nothing_is_oversold(history: &[InventoryEvent]) {
    let (mut came_in, mut held, mut gone) = (0_i128, 0_i128, 0_i128);
    for event in history {
        match event {
            InventoryEvent::Received(event) => came_in += i128::from(event.quantity),
            InventoryEvent::Adjusted(event) => came_in += i128::from(event.delta),
            InventoryEvent::Reserved(event) => held += i128::from(event.quantity),
            InventoryEvent::Released(event) => held -= i128::from(event.quantity),
            InventoryEvent::Expired(event) => held -= i128::from(event.quantity),
            InventoryEvent::Committed(_) => {}
            InventoryEvent::Dispatched(event) => {
                held -= i128::from(event.quantity);
                gone += i128::from(event.quantity);
            }
        }
        assert!(held >= 0 && held + gone <= came_in, "{held} held, {gone} gone of {came_in}: {event:?}");
    }
}

/// Counts money by itself, from the events alone, in the order in which they were written.
fn assert_no_money_moves_beyond_its_limit(history: &[PaymentEvent]) {
    let (mut authorized, mut captured, mut refunded) = (0_i128, 0_i128, 0_i128);
    for event in history {
        match event {
            PaymentEvent::Authorized(event) => authorized += i128::from(event.amount.amount),
            PaymentEvent::Captured(event) => captured += i128::from(event.amount.amount),
            PaymentEvent::Refunded(event) => refunded += i128::from(event.amount.amount),
            PaymentEvent::Requested(_)
            | PaymentEvent::Declined(_)
            | PaymentEvent::OutcomeUnknown(_)
            | PaymentEvent::CaptureRequested(_)
            | PaymentEvent::CaptureFailed(_)
            | PaymentEvent::VoidRequested(_)
            | PaymentEvent::Voided(_)
            | PaymentEvent::RefundRequested(_)
            | PaymentEvent::RefundFailed(_)
            | PaymentEvent::DiscrepancyFound(_)
            | PaymentEvent::AttentionRequired(_) => {}
        }
        assert!(captured == 0 || captured <= authorized, "{captured} of {authorized}: {event:?}");
        assert!(refunded <= captured, "{refunded} of {captured}: {event:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_catalog_obeys_the_laws(commands in vec(catalog_command(), 0..40)) {
        obey_the_laws::<catalog::Product>(&commands, |_| false);
    }

    #[test]
    fn stock_obeys_the_laws_and_is_never_oversold(commands in vec(inventory_command(), 0..80)) {
        // Two deliveries on one note are two deliveries: only the id of a command tells a repeat.
        let history = obey_the_laws::<inventory::Stock>(&commands, |command| {
            use inventory::Command::{Adjust, Receive};
            matches!(command, Receive { .. } | Adjust { .. })
        });
        assert_nothing_is_oversold(&history);
    }

    #[test]
    fn stock_goes_on_from_where_it_was_written_down(
        commands in vec(inventory_command(), 0..80), cut in 0..80_usize
    ) {
        let history = obey_the_laws::<inventory::Stock>(&commands, |_| true);
        let (before, behind) = history.split_at(cut.min(history.len()));
        let written = serde_json::to_string(&inventory::Stock::replay(before).unwrap()).unwrap();
        let read: inventory::Stock = serde_json::from_str(&written).unwrap();
        let resumed = behind.iter().try_fold(read, Decider::evolve).unwrap();
        prop_assert_eq!(resumed, inventory::Stock::replay(&history).unwrap());
    }

    #[test]
    fn orders_obey_the_laws(commands in vec(order_command(), 0..40)) {
        obey_the_laws::<order::Order>(&commands, |_| false);
    }

    #[test]
    fn payments_obey_the_laws_and_no_money_moves_beyond_its_limit(
        commands in vec(payment_command(), 0..80)
    ) {
        let history = obey_the_laws::<payment::Payment>(&commands, |_| false);
        assert_no_money_moves_beyond_its_limit(&history);
    }

    #[test]
    fn what_the_provider_says_is_never_refused(
        commands in vec(payment_command(), 0..40),
        answer in payment_answer(),
    ) {
        let history = obey_the_laws::<payment::Payment>(&commands, |_| false);
        let state = payment::Payment::replay(&history).unwrap();
        prop_assert!(state.account().is_none() || state.decide(&answer).is_ok());
    }
}
