//! How the streams of a read model are shared out: by a hash of the stream's id, so that what is about one
//! order, payment or SKU stays together. **The hash is the same in every release**, because checkpoints rest
//! on it: under another one an event would be where it was passed already.

use events::StreamName;

/// The most partitions that a version can have.
pub const PARTITIONS_MAX: u8 = 16;

/// A partition of a version; of one that is not split, the only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Partition {
    /// Which, from 1.
    pub(crate) number: i16,
    /// Of how many.
    pub(crate) of: i16,
}

impl Partition {
    /// All of a version.
    pub(crate) const WHOLE: Self = Self { number: 1, of: 1 };

    /// The partition that a stream belongs to.
    pub(crate) fn of_stream(stream: &StreamName, of: i16) -> Self {
        let share = share_of(stream, usize::try_from(of).unwrap_or(1));
        Self { number: i16::try_from(share + 1).unwrap_or(1), of }
    }

    /// Whether a stream belongs to it.
    pub(crate) fn has(self, stream: &StreamName) -> bool {
        self == Self::of_stream(stream, self.of)
    }

    /// Whether there are others beside it.
    pub(crate) fn is_part(self) -> bool {
        self.of > 1
    }

    /// Where its checkpoint is. Shards above 0 are those of the workers that fill a version.
    pub(crate) fn shard(self) -> i16 {
        if self.is_part() { -self.number } else { 0 }
    }
}

/// Which of so many shares a stream belongs to, from 0.
pub(crate) fn share_of(stream: &StreamName, shares: usize) -> usize {
    usize::try_from(hash(stream.id().as_bytes()) % shares.max(1) as u64).unwrap_or(0)
}

/// SipHash-1-3 with a key of zeros over the bytes and one that ends them, 0xff: what `DefaultHasher` makes of
/// a string, written out because that one may change with the compiler.
fn hash(id: &[u8]) -> u64 {
    fn rounds(state: &mut [u64; 4], times: u32) {
        let [v0, v1, v2, v3] = state;
        for _ in 0..times {
            *v0 = v0.wrapping_add(*v1);
            *v1 = v1.rotate_left(13) ^ *v0;
            *v0 = v0.rotate_left(32);
            *v2 = v2.wrapping_add(*v3);
            *v3 = v3.rotate_left(16) ^ *v2;
            *v0 = v0.wrapping_add(*v3);
            *v3 = v3.rotate_left(21) ^ *v0;
            *v2 = v2.wrapping_add(*v1);
            *v1 = v1.rotate_left(17) ^ *v2;
            *v2 = v2.rotate_left(32);
        }
    }
    let mut bytes = id.to_vec();
    bytes.push(0xff);
    let length = bytes.len() as u64;
    // The last word is what is left of the bytes, and the length in its highest byte.
    bytes.resize(bytes.len() / 8 * 8 + 8, 0);
    if let Some(last) = bytes.last_mut() {
        *last = length.to_le_bytes()[0];
    }
    // "somepseudorandomlygeneratedbytes", as the algorithm has it.
    let mut state =
        [0x736f_6d65_7073_6575, 0x646f_7261_6e64_6f6d, 0x6c79_6765_6e65_7261, 0x7465_6462_7974_6573];
    for word in bytes.chunks_exact(8) {
        let word = word.iter().rev().fold(0, |word, byte| (word << 8) | u64::from(*byte));
        state[3] ^= word;
        rounds(&mut state, 1);
        state[0] ^= word;
    }
    state[2] ^= 0xff;
    rounds(&mut state, 3);
    state.into_iter().fold(0, |hash, word| hash ^ word)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::hash::{DefaultHasher, Hash, Hasher};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_stream_is_in_the_same_partition_for_ever() {
        let partitions = ["order-0190c2f4", "payment-0190c2f4", "inventory-MUG", "catalog-x"]
            .map(|stream| Partition::of_stream(&stream.parse().unwrap(), 16).number);
        assert_eq!(partitions, [3, 3, 3, 2]);
    }

    proptest! {
        /// A build that a release before this one began goes on: that one asked the library.
        #[test]
        fn the_hash_is_the_one_that_builds_were_begun_with(id in ".{0,40}") {
            let mut hasher = DefaultHasher::new();
            id.hash(&mut hasher);
            prop_assert_eq!(hash(id.as_bytes()), hasher.finish());
        }
    }
}
