//! I1: no SKU is oversold, at any point of the history. Counted from the events alone.

use std::collections::{BTreeMap, HashMap, HashSet};

use events::{
    ids::{OrderId, ReservationId, Sku},
    inventory::InventoryEvent,
};
use projections::{Event, Fact};

use super::{Violation, report::Findings};

#[derive(Debug, Default)]
pub(super) struct Stock {
    skus: BTreeMap<Sku, Units>,
    holds: u64,
}

#[derive(Debug, Default)]
struct Units {
    received: i128,
    held: i128,
    dispatched: i128,
    holds: HashMap<ReservationId, i128>,
    /// Those of the holds that belong to a sale, and cannot expire any more.
    committed: HashSet<ReservationId>,
}

impl Stock {
    pub(super) fn take(&mut self, fact: &Fact, findings: &mut Findings) {
        let Event::Inventory(event) = &fact.event else { return };
        let sku = sku_of(event);
        let units = self.skus.entry(sku.clone()).or_default();
        let ended = match event {
            InventoryEvent::Received(event) => {
                units.received += i128::from(event.quantity);
                None
            }
            InventoryEvent::Adjusted(event) => {
                units.received += i128::from(event.delta);
                None
            }
            InventoryEvent::Reserved(event) => {
                self.holds += 1;
                units.held += i128::from(event.quantity);
                *units.holds.entry(event.reservation_id).or_default() += i128::from(event.quantity);
                None
            }
            InventoryEvent::Released(event) => Some((event.reservation_id, event.quantity)),
            InventoryEvent::Expired(event) => Some((event.reservation_id, event.quantity)),
            InventoryEvent::Committed(event) => {
                units.check_held(sku, event.reservation_id, event.quantity, fact.position, findings);
                units.committed.insert(event.reservation_id);
                None
            }
            InventoryEvent::Dispatched(event) => {
                units.dispatched += i128::from(event.quantity);
                Some((event.reservation_id, event.quantity))
            }
        };
        if let Some((reservation_id, quantity)) = ended {
            units.check_held(sku, reservation_id, quantity, fact.position, findings);
            units.held -= i128::from(quantity);
            units.holds.remove(&reservation_id);
            units.committed.remove(&reservation_id);
        }
        if units.held < 0 || units.held + units.dispatched > units.received {
            findings.broken(Violation::Oversold {
                sku: sku.clone(),
                position: fact.position,
                received: units.received,
                held: units.held,
                dispatched: units.dispatched,
            });
        }
    }

    /// The units that each order holds now.
    pub(super) fn held_by_order(&self) -> HashMap<OrderId, i128> {
        let mut held: HashMap<OrderId, i128> = HashMap::new();
        for (reservation_id, units) in self.skus.values().flat_map(|units| &units.holds) {
            *held.entry(OrderId(reservation_id.0)).or_default() += units;
        }
        held
    }

    /// The units of a SKU that are held for an order and committed to it.
    pub(super) fn committed_to(&self, order_id: OrderId, sku: &Sku) -> i128 {
        let reservation_id = ReservationId::from(order_id);
        let Some(units) = self.skus.get(sku) else { return 0 };
        let hold = units.holds.get(&reservation_id).filter(|_| units.committed.contains(&reservation_id));
        hold.copied().unwrap_or_default()
    }

    pub(super) fn summary(&self) -> String {
        format!("{} SKUs, {} holds", self.skus.len(), self.holds)
    }
}

impl Units {
    fn check_held(
        &self,
        sku: &Sku,
        reservation_id: ReservationId,
        quantity: i64,
        position: i64,
        findings: &mut Findings,
    ) {
        let held = self.holds.get(&reservation_id).copied().unwrap_or_default();
        if held != i128::from(quantity) {
            let sku = sku.clone();
            findings.broken(Violation::HoldEndsUnheld { sku, position, reservation_id, quantity, held });
        }
    }
}

fn sku_of(event: &InventoryEvent) -> &Sku {
    match event {
        InventoryEvent::Received(event) => &event.sku,
        InventoryEvent::Adjusted(event) => &event.sku,
        InventoryEvent::Reserved(event) => &event.sku,
        InventoryEvent::Released(event) => &event.sku,
        InventoryEvent::Expired(event) => &event.sku,
        InventoryEvent::Committed(event) => &event.sku,
        InventoryEvent::Dispatched(event) => &event.sku,
    }
}
