//! What is drawn of growth.

use super::{KEPT, MEMORY_MIB};
use crate::bench::plot::Panel;

/// One for each thing that is promised, and one for the rate of rebuilding.
pub(super) struct Panels {
    pub(super) append: Panel,
    pub(super) checkout: Panel,
    pub(super) subscriber: Panel,
    pub(super) start_up: Panel,
    pub(super) memory: Panel,
    pub(super) rebuild: Panel,
}

impl Panels {
    /// Nothing is measured yet.
    pub(super) fn new() -> Self {
        Self {
            append: Panel::new("append: rate, beside an empty store", Some(KEPT)),
            checkout: Panel::new("checkouts: rate, beside an empty store", Some(KEPT)),
            subscriber: Panel::new("writers beside a subscriber far behind: rate, beside none", Some(KEPT)),
            start_up: Panel::new("from start to the first paid order, s", None),
            memory: Panel::new("most memory while rebuilding, MiB", Some(MEMORY_MIB)),
            rebuild: Panel::new("all read models rebuilt, events/s", None),
        }
    }
}

impl From<Panels> for Vec<Panel> {
    fn from(panels: Panels) -> Self {
        vec![
            panels.append,
            panels.checkout,
            panels.subscriber,
            panels.start_up,
            panels.memory,
            panels.rebuild,
        ]
    }
}
