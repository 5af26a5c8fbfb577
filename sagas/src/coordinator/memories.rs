//! What the coordinator remembers of the keys that it worked on last, so that it need not read their streams
//! for every event. **All of it may be forgotten at any time**, and is when it grows.

use std::collections::HashMap;

use super::{saga::Saga, state::Key};

/// What is remembered of one key.
#[derive(Debug, Default)]
pub(super) enum Memory {
    /// Nothing.
    #[default]
    None,
    /// The checkout, as of its last event.
    Checkout(Box<Saga>),
    /// No call was open when the payment's stream was at this revision.
    Quiet {
        /// The revision.
        revision: u64,
    },
}

/// Memories in two generations: when the younger is full it becomes the older, and the older is forgotten.
#[derive(Debug)]
pub(super) struct Memories {
    young: HashMap<Key, Memory>,
    old: HashMap<Key, Memory>,
    generation: usize,
}

impl Memories {
    /// At most twice as many as a generation has.
    pub(super) fn of_generation(generation: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), generation }
    }

    /// Hands over what is remembered of a key.
    pub(super) fn take(&mut self, key: &Key) -> Memory {
        self.young.remove(key).or_else(|| self.old.remove(key)).unwrap_or_default()
    }

    /// Remembers.
    pub(super) fn keep(&mut self, key: Key, memory: Memory) {
        match memory {
            Memory::None => {}
            Memory::Checkout(_) | Memory::Quiet { .. } => {
                if self.young.len() >= self.generation {
                    self.old = std::mem::take(&mut self.young);
                }
                self.young.insert(key, memory);
            }
        }
    }
}
