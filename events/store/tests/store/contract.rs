//! The contract of the port, as one list of rules that every adapter is held to. A rule gets an empty
//! store and knows nothing else about it; an adapter is added by one word at the end of this file.

pub(crate) mod contention;

mod appending;
mod closing;
mod following;
mod limits;
mod reading;
mod repeating;

macro_rules! hold_to_the_contract {
    ($( $adapter:ident ),+ $(,)?) => { $( hold_to_the_contract! { @rules $adapter
        appending::a_new_stream_begins_at_revision_zero_and_an_empty_log_at_position_one,
        appending::an_append_that_expects_the_last_revision_goes_behind_it,
        appending::a_wrong_expectation_is_a_conflict_that_names_the_current_revision,
        appending::any_revision_is_never_a_conflict,
        appending::the_events_of_one_append_have_consecutive_positions,
        appending::what_is_refused_takes_no_position,
        appending::what_is_read_is_what_was_written_byte_for_byte,
        appending::streams_are_told_apart_by_every_byte_of_their_names,
        appending::one_of_many_who_expect_the_same_revision_wins,
        repeating::the_same_append_again_answers_as_the_first_time,
        repeating::a_repeat_is_recognized_behind_later_events,
        repeating::the_same_append_many_times_at_once_is_written_once,
        repeating::the_same_ids_with_another_expectation_are_not_a_repeat,
        repeating::an_append_that_holds_something_old_and_something_new_is_refused,
        repeating::the_same_ids_in_another_order_are_not_a_repeat,
        repeating::an_id_of_another_stream_is_refused_and_found_there,
        repeating::the_events_of_two_appends_are_not_one_append,
        reading::a_stream_is_read_both_ways_from_any_revision,
        reading::a_stream_that_does_not_exist_has_no_events,
        reading::the_log_is_read_page_by_page_in_order,
        reading::a_page_says_whether_the_log_goes_on,
        reading::large_pages_say_what_small_ones_say,
        reading::everything_is_read_to_the_end_and_nothing_twice,
        reading::a_filter_passes_what_it_names_and_scans_the_rest,
        reading::an_event_is_found_by_its_id,
        following::a_follower_catches_up_and_goes_on_live,
        following::a_follower_begins_behind_any_position,
        following::a_follower_with_a_filter_is_moved_past_what_it_does_not_want,
        following::a_follower_that_waits_in_vain_is_woken_by_the_first_event,
        following::a_page_that_nobody_waited_for_is_not_lost,
        contention::with_64_writers_no_reader_ever_skips_or_reorders,
        limits::nothing_and_the_same_twice_are_malformed,
        limits::an_append_at_its_limits_is_taken,
        limits::an_append_over_a_limit_is_refused_by_the_name_of_the_limit,
        closing::a_closed_store_takes_no_more_and_ends_its_followers,
        closing::what_was_begun_before_closing_is_finished,
    } )+ };
    (@rules $adapter:ident $( $room:ident :: $rule:ident ),+ $(,)?) => {
        mod $adapter { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $rule() {
                let store = crate::adapters::$adapter().await;
                crate::history::in_time(super::$room::$rule(store)).await;
            }
        )+ }
    };
}

hold_to_the_contract!(memory, postgres);
#[cfg(feature = "eventstoredb")]
hold_to_the_contract!(eventstoredb);
