//! The rule by which read models are shared out: everybody has as many as everybody else, give or take one,
//! of what each is able to keep. **Whoever applies it to the same members and holders comes to the same
//! shares**, so nobody has to hand them out; the lease of each read model settles what is seen differently for
//! a moment.

use std::collections::HashMap;

/// Something that one process has to do: to keep a read model or a partition of it up to date, or to replace its
/// live version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Work<'a> {
    /// Whether it is one partition of several.
    pub(super) is_part: bool,
    /// Those who are able to do it.
    pub(super) candidates: Vec<&'a str>,
    /// Who does it now.
    pub(super) holder: Option<&'a str>,
}

/// Who is to do what. What few are able to do is given away first; each piece goes to who has least so far, and
/// among those to who has it already, so that nothing moves without need. Partitions are given away last: a release
/// that knows none of them has to come to the same shares of all the rest.
pub(super) fn share_out<'a>(all: &[Work<'a>]) -> Vec<Option<&'a str>> {
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|nth| (all[*nth].is_part, all[*nth].candidates.len()));
    let mut load: HashMap<&str, usize> = HashMap::new();
    let mut given = vec![None; all.len()];
    for nth in order {
        let work = &all[nth];
        let has = |member: &str| load.get(member).copied().unwrap_or_default();
        let best = |member: &&'a str| (has(member), work.holder != Some(*member), *member);
        given[nth] = work.candidates.iter().copied().min_by_key(best);
        if let Some(member) = given[nth] {
            *load.entry(member).or_default() += 1;
        }
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work<'a>(candidates: &[&'a str], holder: Option<&'a str>) -> Work<'a> {
        Work { is_part: false, candidates: candidates.to_vec(), holder }
    }

    fn counts(given: &[Option<&str>], members: &[&str]) -> Vec<usize> {
        members.iter().map(|member| given.iter().filter(|given| **given == Some(*member)).count()).collect()
    }

    #[test]
    fn shares_are_all_there_is_and_differ_by_one_at_most() {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
        for members in 1..=names.len() {
            let members = &names[..members];
            let given = share_out(&vec![work(members, Some("a")); 7]);
            let counts = counts(&given, members);
            assert_eq!(counts.iter().sum::<usize>(), 7);
            assert!(counts.iter().max() <= counts.iter().min().map(|least| least + 1).as_ref(), "{counts:?}");
        }
        assert_eq!(counts(&share_out(&vec![work(&["a", "b"], Some("b")); 7]), &["a", "b"]), [3, 4]);
    }

    #[test]
    fn what_was_shared_out_stays_where_it_is_also_while_it_is_still_on_the_move() {
        let members = ["a", "b", "c"];
        let first = share_out(&vec![work(&members, Some("a")); 7]);
        for moved in 0..=7 {
            // So many were handed over by now; the others were given back, or are still held by who had all.
            for holder in [None, Some("a")] {
                let now: Vec<_> = (0..7)
                    .map(|nth| {
                        let stays = first[nth] == Some("a");
                        work(&members, if nth < moved || stays { first[nth] } else { holder })
                    })
                    .collect();
                assert_eq!(share_out(&now), first, "{moved} moved, the others with {holder:?}");
            }
        }
    }

    #[test]
    fn a_read_model_that_only_one_is_able_to_keep_is_in_the_share_of_that_one() {
        let (all, newer) = (["old", "new"], ["new"]);
        let mut works = vec![work(&all, Some("old")); 6];
        works.insert(3, work(&newer, None));
        let given = share_out(&works);
        assert_eq!(given[3], Some("new"));
        assert_eq!(counts(&given, &all), [4, 3]);
        assert_eq!(share_out(&[work(&[], Some("old"))]), [None]);
    }

    #[test]
    fn partitions_fill_up_the_shares_and_change_nothing_about_the_rest() {
        let (all, newer) = (["old", "new"], ["new"]);
        let whole = vec![work(&all, Some("old")); 6];
        let parts = vec![Work { is_part: true, ..work(&newer, None) }; 4];
        let given = share_out(&[&parts[..], &whole[..]].concat());
        assert_eq!(given[..4], [Some("new"); 4]);
        assert_eq!(given[4..], share_out(&whole));

        let both = vec![Work { is_part: true, ..work(&all, None) }; 4];
        let given = share_out(&[&both[..], &whole[..5]].concat());
        assert_eq!(counts(&given, &all), [4, 5]);
    }
}
