//! Who is able to do what: read off what members say of themselves and what versions there are. **A read model
//! that a process cannot keep is not counted into its share**: its live version is kept by those who know the same
//! definition, replaced by who knows a higher one, and left to those who can read all of its events.

use super::share::Work;
use crate::partition::Partition;

/// A process that is able to keep a read model of this definition.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Able {
    pub(super) holder: String,
    pub(super) projection: String,
    pub(super) definition: i32,
    /// An event that it cannot read: it goes on with the read model only when that is passed and nobody else
    /// is able to.
    pub(super) stands_back_at: Option<i64>,
    /// Whether it is of a release that can keep a partition.
    pub(super) keeps_partitions: bool,
}

/// A version that is read or built, or a partition of one that is split and read, and who writes it.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Written {
    pub(super) projection: String,
    pub(super) definition: i32,
    pub(super) is_live: bool,
    /// Which, from 1.
    pub(super) partition: i16,
    /// Of how many.
    pub(super) partitions: i16,
    pub(super) holder: Option<String>,
}

/// Takes those from the able who met an event of a newer release, as long as there are others; those who are
/// alone go on when somebody was there meanwhile who could read it.
pub(super) fn leave_to_newer(projection: &str, definition: i32, checkpoint: i64, able: &mut Vec<Able>) {
    let is_of = |able: &Able| able.projection == projection && able.definition == definition;
    let others_are_there = able.iter().any(|able| is_of(able) && able.stands_back_at.is_none());
    able.retain(|able| {
        !is_of(able) || able.stands_back_at.is_none_or(|at| !others_are_there && at <= checkpoint)
    });
}

/// Which definitions of a read model are to be written: that of the live version, and the highest that somebody
/// knows, where that is another one and the live version is to be replaced.
pub(super) fn due(projection: &str, able: &[Able], versions: &[Written]) -> Vec<i32> {
    let live = versions.iter().find(|version| version.is_live && version.projection == projection);
    let live = live.map(|version| version.definition);
    let highest = able.iter().filter(|able| able.projection == projection).map(|able| able.definition).max();
    let next = highest.filter(|highest| live.is_none_or(|live| *highest > live));
    live.into_iter().chain(next).collect()
}

/// The pieces that a read model of this definition is kept in: the partitions of the live version, or one.
pub(super) fn pieces(
    projection: &str,
    definition: i32,
    versions: &[Written],
) -> impl Iterator<Item = Partition> + use<> {
    let is_it = |version: &&Written| version.projection == projection && version.definition == definition;
    let live = versions.iter().filter(is_it).find(|version| version.is_live);
    let of = live.map_or(1, |live| live.partitions);
    (1..=of).map(move |number| Partition { number, of })
}

/// Who may write a piece of a read model by this definition, and who does.
pub(super) fn work<'a>(
    projection: &str,
    definition: i32,
    piece: Partition,
    able: &'a [Able],
    versions: &'a [Written],
) -> Work<'a> {
    let is_it = |of: &str, by: i32| of == projection && by == definition;
    let candidates = able
        .iter()
        .filter(|able| is_it(&able.projection, able.definition))
        .filter(|able| able.keeps_partitions || !piece.is_part());
    let written = versions.iter().filter(|version| {
        is_it(&version.projection, version.definition) && version.partition == piece.number
    });
    Work {
        is_part: piece.is_part(),
        candidates: candidates.map(|able| able.holder.as_str()).collect(),
        // Where one is built beside a live one of the same definition, a person has asked for that.
        holder: written.max_by_key(|version| version.is_live).and_then(|version| version.holder.as_deref()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn able(holder: &str, definition: i32) -> Able {
        let projection = "orders".to_owned();
        let holder = holder.to_owned();
        Able { holder, projection, definition, stands_back_at: None, keeps_partitions: true }
    }

    fn version(definition: i32, is_live: bool) -> Written {
        partition(1, 1, definition, is_live)
    }

    fn partition(partition: i16, partitions: i16, definition: i32, is_live: bool) -> Written {
        let projection = "orders".to_owned();
        Written { projection, definition, is_live, partition, partitions, holder: None }
    }

    fn whole<'a>(definition: i32, able: &'a [Able], versions: &'a [Written]) -> Work<'a> {
        work("orders", definition, Partition::WHOLE, able, versions)
    }

    #[test]
    fn a_partition_is_nothing_for_a_release_that_knows_none() {
        let older = Able { keeps_partitions: false, ..able("older", 2) };
        let members = [older, able("newer", 2)];
        let held = |number, holder: &str| Written {
            holder: Some(holder.to_owned()),
            ..partition(number, 2, 2, true)
        };
        let split = [held(1, "newer"), held(2, "newest")];
        let pieces: Vec<Partition> = pieces("orders", 2, &split).collect();
        assert_eq!(pieces, [Partition { number: 1, of: 2 }, Partition { number: 2, of: 2 }]);
        let works = pieces.iter().map(|piece| work("orders", 2, *piece, &members, &split));
        let works: Vec<_> = works.map(|work| (work.candidates, work.holder)).collect();
        assert_eq!(works, [(vec!["newer"], Some("newer")), (vec!["newer"], Some("newest"))]);
        assert_eq!(whole(2, &members, &[version(2, true)]).candidates, ["older", "newer"]);
    }

    #[test]
    fn the_live_version_is_kept_by_those_of_its_release_while_a_newer_one_replaces_it() {
        let members = [able("old", 2), able("new", 3)];
        let live = [version(2, true)];
        assert_eq!(due("orders", &members, &live), [2, 3]);
        assert_eq!(whole(2, &members, &live).candidates, ["old"]);
        assert_eq!(whole(3, &members, &live).candidates, ["new"]);
    }

    fn left(members: &[(&str, Option<i64>)], checkpoint: i64) -> Vec<String> {
        let with = |(holder, stands_back_at): &(&str, _)| Able {
            stands_back_at: *stands_back_at,
            ..able(holder, 2)
        };
        let mut able: Vec<Able> = members.iter().map(with).collect();
        leave_to_newer("orders", 2, checkpoint, &mut able);
        able.into_iter().map(|able| able.holder).collect()
    }

    #[test]
    fn who_met_an_event_of_a_newer_release_leaves_the_read_model_to_others_and_waits_when_alone() {
        assert_eq!(left(&[("old", Some(7)), ("new", None)], 6), ["new"]);
        assert_eq!(left(&[("old", Some(7)), ("new", None)], 9), ["new"]);
        assert_eq!(left(&[("old", Some(7))], 6), [""; 0]);
        assert_eq!(left(&[("old", Some(7)), ("older", Some(5))], 6), ["older"]);
        // The newer release was there and has gone again.
        assert_eq!(left(&[("old", Some(7))], 7), ["old"]);
    }

    #[test]
    fn what_a_newer_release_has_replaced_is_nothing_for_an_older_one() {
        let members = [able("old", 2), able("new", 3)];
        let live = [version(3, true)];
        assert_eq!(due("orders", &members, &live), [3]);
        assert_eq!(whole(3, &members, &live).candidates, ["new"]);
        assert!(whole(3, &members[..1], &live).candidates.is_empty());
    }
}
