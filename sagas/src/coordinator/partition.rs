//! How the work is shared out: every key belongs to one of a fixed number of partitions, and each partition to
//! one process at a time. **An order and its payment are in the same partition**; a delivery of the provider
//! is in that of its own id, and meets the payment in the payment's stream.

use std::fmt;

use sha2::{Digest, Sha256};

use super::state::Key;

/// How many partitions there are, and so how many processes can work at once. It must never change for a
/// database that is in use: a key would be in another partition, whose checkpoint may be past what the key
/// waits for. With another number the tables of the coordinator have to be emptied while none runs, and are
/// filled again from the log.
pub const PARTITIONS: u8 = 16;

/// One share of all keys, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(u8);

impl Partition {
    /// The partition that a key belongs to: the same in every release and on every machine.
    pub fn of(key: &Key) -> Self {
        let digest = Sha256::digest(key.id());
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        // Less than the number of partitions, whatever the digest is.
        #[allow(clippy::cast_possible_truncation)]
        Self((u64::from_be_bytes(first) % u64::from(PARTITIONS)) as u8)
    }

    /// All of them, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..PARTITIONS).map(Self)
    }

    pub(super) fn to_column(self) -> i16 {
        i16::from(self.0)
    }

    pub(super) fn from_column(column: i16) -> Option<Self> {
        u8::try_from(column).ok().filter(|number| *number < PARTITIONS).map(Self)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many partitions a process is to have of all, when so many of its fellows come before it.
pub(super) fn fair_share(processes: usize, before: usize) -> usize {
    let all = usize::from(PARTITIONS);
    let processes = processes.max(1);
    all / processes + usize::from(before < all % processes)
}

/// Their numbers, for a log line.
pub(super) fn listed(partitions: &[Partition]) -> String {
    let numbers: Vec<String> = partitions.iter().map(ToString::to_string).collect();
    numbers.join(", ")
}

#[cfg(test)]
mod tests {
    use events::ids::{OrderId, PaymentId};
    use uuid::Uuid;

    use super::*;

    fn order(number: u128) -> OrderId {
        OrderId(Uuid::from_u128(number))
    }

    #[test]
    fn a_key_is_in_the_same_partition_in_every_release() {
        let of = |key: &Key| Partition::of(key).0;
        assert_eq!(of(&Key::Checkout(order(0))), 4);
        assert_eq!(of(&Key::Checkout(order(1))), 13);
        assert_eq!(of(&Key::Checkout(OrderId(Uuid::from_u128(u128::MAX)))), 2);
        assert_eq!(of(&Key::Webhook("ntf_1".to_owned())), 11);
        assert_eq!(of(&Key::Webhook(String::new())), 4);
    }

    #[test]
    fn an_order_and_its_payment_are_in_one_partition() {
        for number in 0..1000 {
            let (order_id, payment_id) = (order(number), PaymentId::from(order(number)));
            assert_eq!(Partition::of(&Key::Checkout(order_id)), Partition::of(&Key::Payment(payment_id)));
        }
    }

    #[test]
    fn no_partition_has_much_more_than_its_part_of_the_keys() {
        let mut counts = [0; PARTITIONS as usize];
        for number in 0..16_000 {
            counts[usize::from(Partition::of(&Key::Checkout(order(number))).0)] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn fair_shares_are_all_there_is_and_differ_by_one_at_most() {
        for processes in 1..=20 {
            let shares: Vec<usize> = (0..processes).map(|before| fair_share(processes, before)).collect();
            assert_eq!(shares.iter().sum::<usize>(), usize::from(PARTITIONS), "{shares:?}");
            assert!(shares[0] - shares[processes - 1] <= 1, "{shares:?}");
        }
        assert_eq!([0, 1, 2].map(|before| fair_share(3, before)), [6, 5, 5]);
    }
}
