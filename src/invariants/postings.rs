//! I6: the double-entry postings that follow from the history. Every transaction sums to zero in each
//! currency, and so do all of them.
//!
//! | what happened | debit | credit |
//! |---|---|---|
//! | an order is confirmed | receivable, its total | sales, each of its lines |
//! | a confirmed order is rejected or cancelled | sales, each of its lines | receivable, its total |
//! | money is captured | clearing | receivable |
//! | money is refunded | receivable | clearing |
//! | a credit note is issued | returns, each of its lines | customer credits, its total |
//! | the ledger is adjusted | adjustments | equity |
//!
//! An authorization moves nothing. What a customer keeps the goods for and got money back for stays in
//! the receivable, as goodwill, until somebody writes it off.

use std::collections::{BTreeMap, HashMap};

use events::{Currency, Money, credit::CreditEvent, ids::OrderId, order::OrderEvent, payment::PaymentEvent};
use projections::{Event, Fact};
use serde::Serialize;

use super::{Violation, report::Findings};

/// An account of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Account {
    Clearing,
    Receivable,
    Sales,
    Returns,
    CustomerCredits,
    Adjustments,
    Equity,
}

/// What an account comes to. Debits are positive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Balance {
    account: Account,
    currency: Currency,
    /// Minor units.
    amount: i128,
}

/// One side of a transaction. Debits are positive.
type Posting = (Account, Currency, i128);

#[derive(Debug, Default)]
pub(super) struct Postings {
    agreed: HashMap<OrderId, Agreed>,
    balances: BTreeMap<(Account, Currency), i128>,
    transactions: u64,
}

/// What an order comes to, as a whole and line by line.
#[derive(Debug)]
struct Agreed {
    total: Money,
    lines: Vec<Money>,
    confirmed: bool,
}

impl Postings {
    pub(super) fn take(&mut self, fact: &Fact, findings: &mut Findings) {
        let postings = match &fact.event {
            Event::Order(event) => self.of_order(event),
            Event::Payment(event) => of_payment(event),
            Event::Credit(CreditEvent::Issued(issued)) => {
                let lines = issued.lines.iter().map(|line| debit(Account::Returns, line.amount));
                lines.chain([credit(Account::CustomerCredits, issued.total)]).collect()
            }
            Event::Ledger(events::ledger::LedgerEvent::Adjusted(adjusted)) => {
                vec![debit(Account::Adjustments, adjusted.amount), credit(Account::Equity, adjusted.amount)]
            }
            Event::Catalog(_) | Event::Inventory(_) | Event::Checkout(_) | Event::Webhook(_) => vec![],
        };
        self.post(transaction(&fact.event), fact.position, &postings, findings);
    }

    /// The balance of every account.
    pub(super) fn finish(&self, findings: &mut Findings) -> Vec<Balance> {
        let mut sums: BTreeMap<Currency, i128> = BTreeMap::new();
        for ((_, currency), amount) in &self.balances {
            *sums.entry(*currency).or_default() += amount;
        }
        for (currency, sum) in sums.into_iter().filter(|(_, sum)| *sum != 0) {
            findings.broken(Violation::UnbalancedInAll { currency, sum });
        }
        let balances = self.balances.iter();
        balances
            .map(|((account, currency), amount)| Balance {
                account: *account,
                currency: *currency,
                amount: *amount,
            })
            .collect()
    }

    pub(super) fn summary(&self) -> String {
        format!("{} transactions", self.transactions)
    }

    fn post(
        &mut self,
        transaction: &'static str,
        position: i64,
        postings: &[Posting],
        findings: &mut Findings,
    ) {
        if postings.is_empty() {
            return;
        }
        self.transactions += 1;
        let mut sums: BTreeMap<Currency, i128> = BTreeMap::new();
        for (account, currency, amount) in postings {
            *self.balances.entry((*account, *currency)).or_default() += amount;
            *sums.entry(*currency).or_default() += amount;
        }
        for (currency, sum) in sums.into_iter().filter(|(_, sum)| *sum != 0) {
            findings.broken(Violation::Unbalanced { transaction, position, currency, sum });
        }
    }

    fn of_order(&mut self, event: &OrderEvent) -> Vec<Posting> {
        match event {
            OrderEvent::Placed(placed) => {
                let lines = placed.lines.iter().map(|line| line.amount).collect();
                let agreed = Agreed { total: placed.total, lines, confirmed: false };
                self.agreed.insert(placed.order_id, agreed);
                vec![]
            }
            OrderEvent::Confirmed(confirmed) => {
                let Some(agreed) = self.agreed.get_mut(&confirmed.order_id) else { return vec![] };
                agreed.confirmed = true;
                let lines = agreed.lines.iter().map(|line| credit(Account::Sales, *line));
                lines.chain([debit(Account::Receivable, confirmed.total)]).collect()
            }
            OrderEvent::Rejected(rejected) => self.reverse(rejected.order_id),
            OrderEvent::Cancelled(cancelled) => self.reverse(cancelled.order_id),
            OrderEvent::Completed(completed) => {
                self.agreed.remove(&completed.order_id);
                vec![]
            }
            OrderEvent::DispatchRecorded(_) => vec![],
        }
    }

    fn reverse(&mut self, order_id: OrderId) -> Vec<Posting> {
        match self.agreed.remove(&order_id) {
            Some(Agreed { total, lines, confirmed: true }) => {
                let lines = lines.iter().map(|line| debit(Account::Sales, *line));
                lines.chain([credit(Account::Receivable, total)]).collect()
            }
            Some(Agreed { confirmed: false, .. }) | None => vec![],
        }
    }
}

fn of_payment(event: &PaymentEvent) -> Vec<Posting> {
    match event {
        PaymentEvent::Captured(captured) => {
            vec![debit(Account::Clearing, captured.amount), credit(Account::Receivable, captured.amount)]
        }
        PaymentEvent::Refunded(refunded) => {
            vec![debit(Account::Receivable, refunded.amount), credit(Account::Clearing, refunded.amount)]
        }
        PaymentEvent::Requested(_)
        | PaymentEvent::Authorized(_)
        | PaymentEvent::Declined(_)
        | PaymentEvent::OutcomeUnknown(_)
        | PaymentEvent::CaptureRequested(_)
        | PaymentEvent::CaptureFailed(_)
        | PaymentEvent::VoidRequested(_)
        | PaymentEvent::Voided(_)
        | PaymentEvent::RefundRequested(_)
        | PaymentEvent::RefundFailed(_)
        | PaymentEvent::DiscrepancyFound(_)
        | PaymentEvent::AttentionRequired(_) => vec![],
    }
}

fn debit(account: Account, money: Money) -> Posting {
    (account, money.currency, i128::from(money.amount))
}

fn credit(account: Account, money: Money) -> Posting {
    (account, money.currency, -i128::from(money.amount))
}

fn transaction(event: &Event) -> &'static str {
    use events::DomainEvent;
    match event {
        Event::Catalog(event) => event.wire_name(),
        Event::Inventory(event) => event.wire_name(),
        Event::Order(event) => event.wire_name(),
        Event::Payment(event) => event.wire_name(),
        Event::Checkout(event) => event.wire_name(),
        Event::Credit(event) => event.wire_name(),
        Event::Ledger(event) => event.wire_name(),
        Event::Webhook(event) => event.wire_name(),
    }
}
