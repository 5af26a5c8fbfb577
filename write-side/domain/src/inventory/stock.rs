//! The decisions about the stock of a SKU, and the little that they need to know: how many units are in
//! the house, and which of them are held.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use events::{
    DomainEvent,
    ids::{ReservationId, Sku},
    inventory::{Adjusted, Committed, Dispatched, Expired, InventoryEvent, Received, Released, Reserved},
};
use serde::{Deserialize, Serialize};

use super::{Command, Refusal};
use crate::{Corrupt, Decider, Snapshotted};

/// What the next decision about the stock of a SKU needs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stock {
    /// Nothing was ever received.
    #[default]
    Unknown,
    /// There is or was some.
    Kept(Units),
}

/// The units of a SKU that are in the house, and for whom they are held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenUnits")]
pub struct Units {
    sku: Sku,
    on_hand: i64,
    /// The sum of all holds.
    #[serde(skip_serializing)]
    reserved: i64,
    holds: BTreeMap<ReservationId, Hold>,
}

/// Units as they are written down.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenUnits {
    sku: Sku,
    on_hand: i64,
    holds: BTreeMap<ReservationId, Hold>,
}

impl TryFrom<WrittenUnits> for Units {
    type Error = &'static str;

    fn try_from(written: WrittenUnits) -> Result<Self, Self::Error> {
        let WrittenUnits { sku, on_hand, holds } = written;
        let reserved = holds.values().try_fold(0_i64, |sum, hold| {
            let quantity = hold.quantity();
            if quantity > 0 { sum.checked_add(quantity) } else { None }
        });
        match reserved {
            Some(reserved) if reserved <= on_hand => Ok(Self { sku, on_hand, reserved, holds }),
            Some(_) | None => Err("more units are held than there are"),
        }
    }
}

/// Units that are held for an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Hold {
    /// Until a time.
    Until {
        /// Units.
        quantity: i64,
        /// When it may be expired.
        expires_at: DateTime<Utc>,
    },
    /// Sold.
    Committed {
        /// Units.
        quantity: i64,
    },
}

impl Hold {
    /// Units.
    pub const fn quantity(&self) -> i64 {
        match self {
            Self::Until { quantity, .. } | Self::Committed { quantity } => *quantity,
        }
    }
}

impl Stock {
    /// Units in the house, held or not.
    pub fn on_hand(&self) -> i64 {
        match self {
            Self::Unknown => 0,
            Self::Kept(units) => units.on_hand,
        }
    }

    /// Units that are held for orders.
    pub fn reserved(&self) -> i64 {
        match self {
            Self::Unknown => 0,
            Self::Kept(units) => units.reserved,
        }
    }

    /// Units that can be held for the next order.
    pub fn available(&self) -> i64 {
        self.on_hand() - self.reserved()
    }

    /// Whether there was some, and every unit of it is held or gone.
    pub fn is_sold_out(&self) -> bool {
        matches!(self, Self::Kept(_)) && self.available() == 0
    }

    /// A live hold.
    pub fn hold(&self, id: ReservationId) -> Option<Hold> {
        self.held(id).map(|(_, hold)| hold)
    }

    fn held(&self, id: ReservationId) -> Option<(&Sku, Hold)> {
        match self {
            Self::Unknown => None,
            Self::Kept(units) => units.holds.get(&id).map(|hold| (&units.sku, *hold)),
        }
    }

    fn receive(&self, sku: &Sku, quantity: i64, reference: &str) -> Result<Vec<InventoryEvent>, Refusal> {
        if quantity <= 0 {
            return Err(Refusal::QuantityNotPositive { sku: sku.clone(), quantity });
        }
        let on_hand = self.on_hand();
        if on_hand.checked_add(quantity).is_none() {
            return Err(Refusal::StockTooLarge { sku: sku.clone(), on_hand, delta: quantity });
        }
        Ok(vec![InventoryEvent::Received(Received {
            sku: sku.clone(),
            quantity,
            reference: reference.to_owned(),
        })])
    }

    fn adjust(&self, sku: &Sku, delta: i64, reason: &str) -> Result<Vec<InventoryEvent>, Refusal> {
        if delta == 0 {
            return Err(Refusal::DeltaIsZero { sku: sku.clone() });
        }
        let (on_hand, reserved) = (self.on_hand(), self.reserved());
        let Some(adjusted) = on_hand.checked_add(delta) else {
            return Err(Refusal::StockTooLarge { sku: sku.clone(), on_hand, delta });
        };
        if adjusted < reserved {
            return Err(Refusal::AdjustsBelowReserved { sku: sku.clone(), on_hand, reserved, delta });
        }
        Ok(vec![InventoryEvent::Adjusted(Adjusted { sku: sku.clone(), delta, reason: reason.to_owned() })])
    }

    fn reserve(
        &self,
        sku: &Sku,
        reservation_id: ReservationId,
        quantity: i64,
        expires_at: DateTime<Utc>,
    ) -> Result<Vec<InventoryEvent>, Refusal> {
        if quantity <= 0 {
            return Err(Refusal::QuantityNotPositive { sku: sku.clone(), quantity });
        }
        match self.hold(reservation_id) {
            Some(Hold::Until { quantity: held, expires_at: until }) => {
                if (held, until) == (quantity, expires_at) {
                    return Ok(vec![]);
                }
                return Err(Refusal::ReservedOtherwise { reservation_id });
            }
            Some(Hold::Committed { quantity: held }) => {
                if held == quantity {
                    return Ok(vec![]);
                }
                return Err(Refusal::ReservedOtherwise { reservation_id });
            }
            None => {}
        }
        let available = self.available();
        if quantity > available {
            return Err(Refusal::InsufficientStock { sku: sku.clone(), requested: quantity, available });
        }
        Ok(vec![InventoryEvent::Reserved(Reserved {
            sku: sku.clone(),
            reservation_id,
            quantity,
            expires_at,
        })])
    }

    fn release(&self, reservation_id: ReservationId) -> Vec<InventoryEvent> {
        let Some((sku, hold)) = self.held(reservation_id) else { return vec![] };
        vec![InventoryEvent::Released(Released {
            sku: sku.clone(),
            reservation_id,
            quantity: hold.quantity(),
        })]
    }

    fn commit(&self, reservation_id: ReservationId) -> Result<Vec<InventoryEvent>, Refusal> {
        match self.held(reservation_id) {
            None => Err(Refusal::NoSuchReservation { reservation_id }),
            Some((_, Hold::Committed { .. })) => Ok(vec![]),
            Some((sku, Hold::Until { quantity, .. })) => {
                Ok(vec![InventoryEvent::Committed(Committed { sku: sku.clone(), reservation_id, quantity })])
            }
        }
    }

    fn dispatch(&self, reservation_id: ReservationId) -> Result<Vec<InventoryEvent>, Refusal> {
        let (sku, hold) = self.held(reservation_id).ok_or(Refusal::NoSuchReservation { reservation_id })?;
        Ok(vec![InventoryEvent::Dispatched(Dispatched {
            sku: sku.clone(),
            reservation_id,
            quantity: hold.quantity(),
        })])
    }

    fn expire(
        &self,
        reservation_id: ReservationId,
        now: DateTime<Utc>,
    ) -> Result<Vec<InventoryEvent>, Refusal> {
        match self.held(reservation_id) {
            None => Ok(vec![]),
            Some((_, Hold::Committed { .. })) => Err(Refusal::CommittedDoesNotExpire { reservation_id }),
            Some((_, Hold::Until { expires_at, .. })) if now < expires_at => {
                Err(Refusal::NotYetExpired { reservation_id, expires_at, now })
            }
            Some((sku, Hold::Until { quantity, .. })) => {
                Ok(vec![InventoryEvent::Expired(Expired { sku: sku.clone(), reservation_id, quantity })])
            }
        }
    }
}

impl Decider for Stock {
    type Command = Command;
    type Event = InventoryEvent;
    type Refusal = Refusal;

    fn decide(&self, command: &Command) -> Result<Vec<InventoryEvent>, Refusal> {
        match command {
            Command::Receive { sku, quantity, reference } => self.receive(sku, *quantity, reference),
            Command::Adjust { sku, delta, reason } => self.adjust(sku, *delta, reason),
            Command::Reserve { sku, reservation_id, quantity, expires_at } => {
                self.reserve(sku, *reservation_id, *quantity, *expires_at)
            }
            Command::Release { reservation_id } => Ok(self.release(*reservation_id)),
            Command::Commit { reservation_id } => self.commit(*reservation_id),
            Command::Dispatch { reservation_id } => self.dispatch(*reservation_id),
            Command::Expire { reservation_id, now } => self.expire(*reservation_id, *now),
        }
    }

    fn evolve(self, event: &InventoryEvent) -> Result<Self, Corrupt> {
        let mut units = match self {
            Self::Kept(units) => units,
            Self::Unknown => Units::of(event)?,
        };
        units.take(event)?;
        Ok(Self::Kept(units))
    }
}

/// The history of a SKU is as long as it sells well.
impl Snapshotted for Stock {
    const VERSION: i32 = 1;
}

impl Units {
    /// No units, before a first event: it must be one by which units come in.
    fn of(event: &InventoryEvent) -> Result<Self, Corrupt> {
        match event {
            InventoryEvent::Received(Received { sku, .. })
            | InventoryEvent::Adjusted(Adjusted { sku, .. }) => {
                Ok(Self { sku: sku.clone(), on_hand: 0, reserved: 0, holds: BTreeMap::new() })
            }
            InventoryEvent::Reserved(_)
            | InventoryEvent::Released(_)
            | InventoryEvent::Expired(_)
            | InventoryEvent::Committed(_)
            | InventoryEvent::Dispatched(_) => {
                Err(Corrupt { event: event.wire_name(), state: "a SKU that was never stocked" })
            }
        }
    }

    fn take(&mut self, event: &InventoryEvent) -> Result<(), Corrupt> {
        match event {
            InventoryEvent::Received(received) => self.add(received.quantity, event),
            InventoryEvent::Adjusted(adjusted) => self.add(adjusted.delta, event),
            InventoryEvent::Reserved(reserved) => {
                let Reserved { reservation_id, quantity, expires_at, .. } = reserved;
                if *quantity <= 0 || *quantity > self.on_hand - self.reserved {
                    return Err(Corrupt { event: event.wire_name(), state: "too few available units" });
                }
                let hold = Hold::Until { quantity: *quantity, expires_at: *expires_at };
                if self.holds.insert(*reservation_id, hold).is_some() {
                    return Err(Corrupt { event: event.wire_name(), state: "a live hold of the same id" });
                }
                self.reserved += quantity;
                Ok(())
            }
            InventoryEvent::Committed(Committed { reservation_id, quantity, .. }) => {
                self.end(*reservation_id, *quantity, event)?;
                self.holds.insert(*reservation_id, Hold::Committed { quantity: *quantity });
                self.reserved += quantity;
                Ok(())
            }
            InventoryEvent::Released(Released { reservation_id, quantity, .. })
            | InventoryEvent::Expired(Expired { reservation_id, quantity, .. }) => {
                self.end(*reservation_id, *quantity, event)
            }
            InventoryEvent::Dispatched(Dispatched { reservation_id, quantity, .. }) => {
                self.end(*reservation_id, *quantity, event)?;
                self.on_hand -= quantity;
                Ok(())
            }
        }
    }

    fn add(&mut self, delta: i64, event: &InventoryEvent) -> Result<(), Corrupt> {
        let on_hand = self.on_hand.checked_add(delta).filter(|on_hand| *on_hand >= self.reserved);
        self.on_hand = on_hand.ok_or(Corrupt {
            event: event.wire_name(),
            state: "stock that it would take below what is held, or beyond what can be counted",
        })?;
        Ok(())
    }

    fn end(&mut self, id: ReservationId, quantity: i64, event: &InventoryEvent) -> Result<(), Corrupt> {
        let hold = self.holds.remove(&id).filter(|hold| hold.quantity() == quantity);
        if hold.is_none() {
            return Err(Corrupt { event: event.wire_name(), state: "no hold of this id and quantity" });
        }
        self.reserved -= quantity;
        Ok(())
    }
}
