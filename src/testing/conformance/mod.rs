//! The behaviours every store is held to, as one test for each case.
//!
//! A backend brings a [`Factory`]: an async function that makes a store on a fresh, empty database. The macro
//! [`conformance!`](crate::conformance) turns it into a test for every case.
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # mod example {
//! use std::sync::Arc;
//!
//! use annals::{
//!     Clock, EventStore, SqliteStore,
//!     testing::conformance::{Capabilities, Fixture},
//! };
//! use async_trait::async_trait;
//!
//! struct InMemory(SqliteStore);
//!
//! #[async_trait]
//! impl Fixture for InMemory {
//!     fn store(&self) -> Arc<dyn EventStore> {
//!         Arc::new(self.0.clone())
//!     }
//!
//!     fn capabilities(&self) -> Capabilities {
//!         Capabilities::all().without_restart()
//!     }
//!
//!     async fn reopen(&mut self) {
//!         unreachable!("a database in memory is gone with its store")
//!     }
//! }
//!
//! async fn in_memory(clock: Arc<dyn Clock>) -> InMemory {
//!     InMemory(SqliteStore::options().shared_clock(clock).open_in_memory().await.unwrap())
//! }
//!
//! annals::conformance!(in_memory);
//! # }
//! ```
//!
//! Each case is a function as well, named `store_`, the number of the case, and what it holds; `p1` to `p7` are the
//! promises where the list of cases is silent. Cases of idempotency over HTTP that are the store's are named `http_`. A case panics where the store does not keep to it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a case that does not hold panics: that is what it is for"
)]

mod append;
mod batch;
mod cache;
mod checkpoints;
mod claims;
mod commands;
mod data;
mod due;
mod fixture;
mod idempotent_append;
mod inbox;
mod load;
mod log;
mod read;
mod receipts;
mod replay;
mod requests;
mod responses;
mod retention;
mod runners;
mod sample;
mod settling;
mod steps;
mod subscription;
mod tally;
mod telling;
mod timers;
mod wait;

pub use append::*;
pub use batch::*;
pub use cache::*;
pub use checkpoints::*;
pub use commands::*;
pub use data::*;
pub use fixture::{AnswerStores, Capabilities, Factory, Fixture};
pub use idempotent_append::*;
pub use inbox::*;
pub use load::*;
pub use log::*;
pub use read::*;
pub use receipts::*;
pub use replay::*;
pub use requests::*;
pub use responses::*;
pub use retention::*;
pub use runners::*;
pub use settling::*;
pub use steps::*;
pub use subscription::*;
pub use timers::*;
pub use wait::*;

/// Makes the macro that makes a test of each case: the cases are listed once.
macro_rules! tests_of {
    (($dollar:tt) $($case:ident)+) => {
        /// Makes a test of every conformance case, for the stores of a
        /// [`Factory`](crate::testing::conformance::Factory).
        ///
        /// See [`testing::conformance`](crate::testing::conformance) for how. The tests run on tokio's multi-thread
        /// runtime: the crate that uses this needs tokio with its features `macros` and `rt-multi-thread`.
        #[macro_export]
        macro_rules! conformance {
            ($dollar factory:path) => {
                $(
                    #[tokio::test(flavor = "multi_thread")]
                    async fn $case() {
                        $crate::testing::conformance::$case(&$dollar factory).await;
                    }
                )+
            };
        }
    };
}

tests_of! {
    ($)
    store_001_new_makes_versions_from_one
    store_002_new_on_an_aggregate_with_events_is_a_conflict
    store_003_exists_without_events_is_a_conflict
    store_004_exists_appends_at_whatever_version
    store_005_an_exact_version_never_leaves_a_hole
    store_006_only_the_exact_version_is_taken
    store_008_an_append_with_an_unsound_event_writes_none
    store_009_of_two_writers_at_one_version_one_wins
    store_010_twenty_appends_at_any_version_all_succeed
    store_011_of_twenty_creators_one_succeeds
    store_012_appends_to_different_aggregates_never_meet
    store_015_payloads_come_back_byte_by_byte
    store_016_times_are_cut_to_microseconds
    store_p2_each_append_of_a_batch_has_its_own_answer
    store_p2_one_aggregate_in_a_batch_is_taken_in_order
    store_p3_in_a_batch_the_first_at_a_version_wins
    store_p2_an_empty_batch_has_no_answers
    store_p2_batches_of_every_size_are_kept_whole
    store_p2_histories_at_named_versions_are_whole
    store_p2_in_a_batch_each_is_held_to_what_it_expects
    store_p1_an_id_belongs_to_one_type
    store_p3_an_append_that_follows_another_falls_with_it
    store_021_an_append_sent_again_gets_its_first_answer
    store_022_a_late_retry_gets_its_first_answer
    store_023_a_retry_after_a_restart_gets_its_first_answer
    store_025_a_partly_known_append_is_refused
    store_026_a_command_id_with_other_content_is_refused
    store_027_command_ids_are_scoped_by_aggregate
    store_030_a_retry_is_known_before_its_version_is_checked
    store_032_an_append_sent_many_times_at_once_is_written_once
    store_033_an_append_dropped_half_way_is_there_once
    store_p2_equal_events_of_two_appends_are_two
    store_p4_a_receipt_says_what_was_answered
    store_p4_the_first_check_that_fits_answers
    store_045_an_append_without_events_leaves_a_receipt
    store_038_a_rejection_is_kept_only_at_the_version_it_was_decided_at
    store_p4_a_rejection_has_a_key_and_no_events
    store_035_different_requests_under_one_key_at_once
    store_p4_an_expired_receipt_frees_its_key
    store_p4_a_pinned_retry_outlives_its_receipt
    store_p4_receipts_are_kept_for_ever_by_default
    store_034_a_command_sent_again_is_not_decided_again
    store_034_a_retry_is_answered_before_anything_is_checked
    store_035_another_request_under_a_used_key_is_refused
    store_036_fifty_calls_at_once_have_one_effect
    store_037_a_command_lost_before_its_commit_is_executed_by_its_retry
    store_p5_a_lost_reply_is_found_out_about
    store_p5_a_rejection_with_a_lost_reply_stands
    store_p5_a_dead_attempt_is_decided_again
    store_038_a_rejection_is_replayed
    store_038_an_overtaken_rejection_is_decided_again
    store_039_a_conflict_uses_no_key_up
    store_039_a_pinned_aggregate_that_is_not_there_is_a_conflict
    store_040_a_failed_database_uses_no_key_up
    store_042_keys_are_scoped_by_aggregate
    store_090_natural_keys_that_hold_the_tenant_keep_tenants_apart
    store_045_a_command_without_events_is_replayed
    store_046_keys_have_bounds
    store_047_a_stream_is_read_by_windows_both_ways
    store_047_an_unknown_stream_is_version_zero
    store_048_a_stream_up_to_a_time_is_its_longest_beginning
    store_048_a_selection_does_not_change_what_was_there_at_a_time
    store_049_a_selection_still_tells_the_whole_version
    store_101_a_visitor_that_fails_ends_the_read
    store_048_the_past_is_the_fold_of_its_events
    store_050_replaying_twice_gives_the_same_and_decides_nothing
    store_051_old_shapes_are_lifted
    store_051_an_unknown_event_is_a_named_error
    store_053_a_used_repository_decides_on_what_is_stored
    store_053_a_kept_state_hides_no_conflict
    store_053_a_kept_state_hides_no_receipt
    store_053_commands_on_one_aggregate_at_once_all_take_effect
    store_053_a_dropped_command_leaves_no_wrong_state
    store_p6_the_log_shows_every_event_in_one_order
    store_p6_a_selection_chooses_by_aggregate_type_and_event_type
    store_p6_a_read_goes_on_where_the_last_one_ended
    store_p6_a_cursor_of_another_log_has_diverged
    store_p6_a_read_ends_at_an_event_chosen_or_not
    store_p6_a_reader_among_writers_misses_nothing
    store_p6_a_waiter_is_woken_by_an_append
    store_p6_who_waits_for_what_is_there_does_not_wait
    store_p6_a_waiter_is_woken_by_an_append_of_another_handle
    store_p6_who_follows_the_log_by_waiting_misses_nothing
    store_068_of_many_claims_at_once_one_gets_the_lease
    store_068_a_lapsed_lease_is_taken_over_with_a_greater_fence
    store_068_a_late_holder_changes_nothing
    store_068_a_lease_that_is_let_go_is_free_at_once
    store_068_a_claim_that_does_not_fit_is_refused
    store_070_partitions_that_are_split_anew_go_on_where_the_last_one_stood
    store_070_what_cannot_be_split_is_refused
    store_071_parked_events_are_listed_in_order_with_their_error_once
    store_071_what_parked_events_hold_is_cut_and_bounded
    store_077_a_paused_consumer_is_run_by_nobody_until_it_is_resumed
    store_077_a_forgotten_name_can_be_used_anew
    store_p7_a_step_from_a_wrong_position_moves_nothing
    store_p7_what_went_wrong_counts_until_the_position_moves
    store_p7_who_waits_is_told_of_a_move
    store_p6_what_comes_after_a_position_is_counted
    store_065_what_was_and_what_comes_is_told_once_and_in_order
    store_066_it_starts_where_it_is_told_and_goes_on_where_it_stood
    store_065_a_selection_is_passed_over_and_the_checkpoint_with_it
    store_065_batches_hold_every_event_once_and_in_order
    store_068_a_batch_is_broken_off_with_its_lease
    store_071_in_a_batch_that_fails_the_event_at_fault_is_found
    store_068_when_the_runner_dies_the_one_that_stands_by_takes_over
    store_068_a_late_runner_moves_nothing
    store_070_partitions_keep_the_order_of_each_aggregate_and_leave_none_out
    store_070_a_partition_that_is_told_the_whole_log_chooses_for_itself
    store_071_a_poisoned_event_is_parked_and_its_aggregate_waits_behind_it
    store_071_by_default_a_poisoned_event_ends_the_runner_loudly
    store_073_an_event_that_kills_its_runners_is_parked
    store_065_at_most_once_tells_nothing_twice
    store_077_a_subscription_is_paused_resumed_stopped_and_forgotten
    store_071_a_runner_handles_the_parked_events_it_is_asked_for
    store_071_what_fails_again_is_asked_for_no_longer
    store_071_at_most_once_a_replay_that_fails_is_parked_still
    store_071_live_events_go_on_between_replays
    store_071_a_runner_killed_within_a_replay_is_followed_by_one_that_does_it
    store_071_partitions_tell_their_own_parked_events
    store_073_a_parked_event_that_kills_its_runners_is_left_parked
    store_066_a_subscription_that_is_moved_is_told_everything_from_there
    store_066_parked_events_behind_the_new_place_are_told_again
    store_068_a_subscription_that_was_moved_is_moved_by_no_late_holder
    store_080_waiting_for_a_position_ends_when_it_is_handled
    store_102_names_and_settings_of_consumers_have_bounds
    store_102_texts_are_data
    store_102_natural_keys_are_data
    store_102_names_of_types_have_bounds
    store_102_events_have_at_most_a_mebibyte
    store_102_appends_have_at_most_500_events_and_four_mebibytes
    store_103_many_tasks_never_stall
    http_c08_of_a_hundred_claims_at_once_one_is_taken
    http_f03_headers_and_bodies_come_back_byte_by_byte
    http_d02_a_lapsed_lease_is_taken_over_with_a_greater_fence
    http_d03_a_late_owner_changes_nothing
    http_d04_a_late_owner_frees_nothing
    http_d16_another_request_takes_nothing_over
    http_d18_a_request_that_was_begun_too_often_is_given_up
    http_e05_what_is_let_go_of_is_free_at_once
    http_g01_scopes_never_meet
    http_g07_a_scope_has_so_many_keys_at_once
    http_g07_the_endpoints_of_a_principal_share_its_keys
    http_h01_an_answer_lives_to_its_last_microsecond
    http_h03_an_expired_row_is_used_anew
    http_h09_a_clock_that_is_set_back_takes_no_lease_away
    http_d12_abandoned_requests_are_found_with_their_bodies
    http_n04_an_operator_expires_releases_and_revives
    http_n04_rows_are_listed_page_by_page
    http_d02_steps_go_forward_and_are_found_again
    http_d03_a_late_owner_writes_no_step
    http_d03_a_step_that_is_written_again_belongs_to_the_higher_fence
    http_h04_a_row_that_is_used_anew_is_not_swept
    http_h05_a_live_lease_is_never_swept
    http_h06_what_expired_first_goes_first
    http_h07_sweepers_at_once_do_no_work_twice
    http_h06_receipts_and_steps_are_forgotten_after_their_time
    store_085_timers_are_forgotten_after_their_time
    store_086_a_lease_taken_twice_is_freed_by_its_last_holding_alone
    store_084_no_timer_is_taken_before_it_is_due
    store_084_setting_a_timer_again_changes_nothing
    store_084_owners_share_what_is_due
    store_084_what_became_due_first_is_taken_first
    store_084_a_timer_is_not_lost_with_its_holder
    store_084_signs_of_life_keep_a_timer
    store_084_a_moved_timer_waits_for_its_new_time
    store_084_a_cancelled_timer_does_not_fire
    store_084_queues_know_nothing_of_each_other
    store_084_timers_survive_a_restart
    store_084_calls_that_are_repeated_have_one_effect
    store_084_a_failed_timer_is_tried_again_after_its_pause
    store_084_a_timer_that_is_given_back_is_due_as_it_was
    store_084_a_parked_timer_waits_until_it_is_resumed
    store_084_waking_makes_and_hastens
    store_084_what_is_woken_while_it_is_held_is_looked_at_again
    store_084_what_there_is_to_do_is_counted
    store_084_timers_are_listed_page_by_page
    store_102_timers_have_bounds
    http_k01_a_message_delivered_again_has_no_effect
    http_k01_other_content_under_the_same_id_is_found_out
    http_k02_of_many_deliveries_at_once_one_has_an_effect
    http_k02_of_many_messages_at_one_place_one_has_an_effect
    http_k03_consumers_have_inboxes_of_their_own
    http_k04_a_message_falls_with_its_transaction
    http_k07_a_place_is_remembered_when_the_message_is_not
    http_k07_a_message_before_its_turn_is_refused
    store_085_handled_messages_are_pruned_after_their_time
    store_102_messages_have_bounds
}
