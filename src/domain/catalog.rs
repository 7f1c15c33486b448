//! Every metric family, declared once: the declaration is the `HELP` line, the OTLP metadata and the reference.
//!
//! `process_*` is not here: these come from the process collector of the crate `prometheus` and are not pushed.

/// What kind of instrument a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only goes up.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
}

/// One metric family.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Which one it is.
    pub id: FamilyId,
    /// Its name in Prometheus.
    pub name: &'static str,
    /// Its name in OTLP.
    pub otlp_name: &'static str,
    /// Its unit in OTLP (UCUM, or `{noun}` for counts).
    pub unit: &'static str,
    /// What kind it is.
    pub kind: Kind,
    /// Its labels, without `le`.
    pub labels: &'static [&'static str],
    /// What it tells, for someone who sees it for the first time.
    pub help: &'static str,
    /// Whether there is a point for each (bot, team).
    pub of_pairs: bool,
}

macro_rules! families {
    ($($id:ident $kind:ident $name:literal $otlp:literal $unit:literal [$($label:literal)*] $pairs:literal $help:literal;)+) => {
        /// Identifies a family in code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum FamilyId {
            $(#[doc = concat!("`", $name, "`")] $id,)+
        }

        /// Every family, in the order in which they are shown.
        pub const FAMILIES: &[Family] = &[$(Family {
            id: FamilyId::$id,
            name: $name,
            otlp_name: $otlp,
            unit: $unit,
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: $help,
            of_pairs: $pairs,
        },)+];
    };
}

families! {
    ReplyTime Histogram "jelou_operator_reply_time_seconds" "jelou.operator.reply_time" "s" ["account" "bot" "team"] true
        "Time customers waited for the first reply of a human operator, once per conversation that got one.";
    Duration Histogram "jelou_conversation_duration_seconds" "jelou.conversation.duration" "s" ["account" "bot" "team"] true
        "Time from start to end of conversations, once per conversation that ended.";
    Started Counter "jelou_conversations_started_total" "jelou.conversations.started" "{conversation}" ["account" "bot" "team" "origin"] true
        "Conversations seen for the first time, by what opened them.";
    Ended Counter "jelou_conversations_ended_total" "jelou.conversations.ended" "{conversation}" ["account" "bot" "team" "state" "reason"] true
        "Conversations that ended, by state and reason; of every origin.";
    Unanswered Counter "jelou_conversations_unanswered_total" "jelou.conversations.unanswered" "{conversation}" ["account" "bot" "team"] true
        "Conversations with a waiting customer that ended without any operator's reply.";
    Decided Counter "jelou_operator_reply_decided_total" "jelou.operator.reply.decided" "{conversation}" ["account" "bot" "team" "result"] true
        "Conversations whose reply target is decided: met by a reply in time; missed by a late one, by an end without one, or by the clock.";
    Reopened Counter "jelou_conversations_reopened_total" "jelou.conversations.reopened" "{conversation}" ["account" "bot" "team"] true
        "Ended conversations that were seen active again.";
    Active Gauge "jelou_conversations_active" "jelou.conversations.active" "{conversation}" ["account" "bot" "team"] true
        "Conversations that are active now.";
    Waiting Gauge "jelou_conversations_waiting" "jelou.conversations.waiting" "{conversation}" ["account" "bot" "team"] true
        "Active conversations in which a customer still waits for the first reply.";
    OldestWaiting Gauge "jelou_conversations_oldest_waiting_start_timestamp_seconds" "jelou.conversations.oldest_waiting_start_timestamp" "s" ["account" "bot" "team"] true
        "Start of the conversation that has waited longest for its first reply, Unix time; 0 when none waits.";
    ReplyRecent Gauge "jelou_operator_reply_time_recent_seconds" "jelou.operator.reply_time.recent" "s" ["account" "bot" "team" "percentile"] true
        "Percentile of the reply times of replies given within the recent window; NaN when there were none. Do not average.";
    DurationRecent Gauge "jelou_conversation_duration_recent_seconds" "jelou.conversation.duration.recent" "s" ["account" "bot" "team" "percentile"] true
        "Percentile of the durations of conversations that ended within the recent window; NaN when there were none. Do not average.";

    Up Gauge "jelou_up" "jelou.up" "" ["account"] false
        "1 when the last poll of the Jelou API succeeded, else 0.";
    AccountInfo Gauge "jelou_account_info" "jelou.account_info" "" ["account" "company"] false
        "The company that the credentials belong to; always 1.";
    ReplyTarget Gauge "jelou_operator_reply_target_seconds" "jelou.operator_reply_target" "s" ["account"] false
        "The promised reply time that jelou_operator_reply_decided_total measures.";
    BuildInfo Gauge "jelou_exporter_build_info" "jelou.exporter.build_info" "" ["version" "revision"] false
        "Version and revision of the exporter; always 1.";
    PollInterval Gauge "jelou_exporter_poll_interval_seconds" "jelou.exporter.poll_interval" "s" ["account"] false
        "Configured time from the start of one poll to the start of the next.";
    Polls Counter "jelou_exporter_polls_total" "jelou.exporter.polls" "{poll}" ["account" "result"] false
        "Polls of the Jelou API by result.";
    PollDuration Histogram "jelou_exporter_poll_duration_seconds" "jelou.exporter.poll_duration" "s" ["account"] false
        "How long polls took.";
    LastPoll Gauge "jelou_exporter_last_poll_timestamp_seconds" "jelou.exporter.last_poll_timestamp" "s" ["account"] false
        "When the last poll began, successful or not, Unix time.";
    LastSuccessfulPoll Gauge "jelou_exporter_last_successful_poll_timestamp_seconds" "jelou.exporter.last_successful_poll_timestamp" "s" ["account"] false
        "When the last successful poll ended, Unix time; a failure does not move it.";
    LastSweep Gauge "jelou_exporter_last_sweep_timestamp_seconds" "jelou.exporter.last_sweep_timestamp" "s" ["account"] false
        "When everything back to the horizon was last read again, Unix time.";
    DataComplete Gauge "jelou_exporter_data_complete_timestamp_seconds" "jelou.exporter.data_complete_timestamp" "s" ["account"] false
        "Every conversation that started before this instant has been read, Unix time.";
    StateStart Gauge "jelou_exporter_state_start_timestamp_seconds" "jelou.exporter.state_start_timestamp" "s" ["account"] false
        "When the kept state began, Unix time; jumps when state was lost.";
    Walks Counter "jelou_exporter_walks_total" "jelou.exporter.walks" "{walk}" ["account" "result"] false
        "Readings of all pages of one date range, by result.";
    ApiRequests Counter "jelou_exporter_api_requests_total" "jelou.exporter.api_requests" "{request}" ["account" "outcome"] false
        "Requests to the Jelou API by outcome.";
    ApiRequestDuration Histogram "jelou_exporter_api_request_duration_seconds" "jelou.exporter.api_request_duration" "s" ["account"] false
        "How long requests to the Jelou API took, failed ones included.";
    ApiRetries Counter "jelou_exporter_api_retries_total" "jelou.exporter.api_retries" "{request}" ["account"] false
        "Requests to the Jelou API that repeated a failed one.";
    ApiBudgetWait Counter "jelou_exporter_api_budget_wait_seconds_total" "jelou.exporter.api_budget_wait" "s" ["account"] false
        "Time that requests waited for the request budget.";
    ApiClockOffset Gauge "jelou_exporter_api_clock_offset_seconds" "jelou.exporter.api_clock_offset" "s" ["account"] false
        "The clock of the Jelou API minus the local one, from the Date header; accurate to a second.";
    Records Counter "jelou_exporter_records_total" "jelou.exporter.records" "{record}" ["account" "result"] false
        "Rows read from the Jelou API, at every reading, by what became of them; rejected: without an id or a readable start.";
    Amendments Counter "jelou_exporter_amendments_total" "jelou.exporter.amendments" "{amendment}" ["account" "field"] false
        "Values that changed after they were counted; these are not counted again.";
    UnknownValues Counter "jelou_exporter_unknown_values_total" "jelou.exporter.unknown_values" "{value}" ["account" "field"] false
        "States, reasons and origins that the exporter does not know and shows as other.";
    OutsideWindow Counter "jelou_exporter_records_outside_window_total" "jelou.exporter.records_outside_window" "{conversation}" ["account"] false
        "Conversations dated outside the range that listed them: api.timezone is probably wrong.";
    Vanished Counter "jelou_exporter_conversations_vanished_total" "jelou.exporter.conversations_vanished" "{conversation}" ["account"] false
        "Conversations that the Jelou API stopped listing while they could still change.";
    AgedOut Counter "jelou_exporter_conversations_aged_out_total" "jelou.exporter.conversations_aged_out" "{conversation}" ["account"] false
        "Conversations that could still change when they passed poll.horizon; they are no longer asked for.";
    Abandoned Counter "jelou_exporter_abandoned_seconds_total" "jelou.exporter.abandoned" "s" ["account"] false
        "Length of the time whose conversations were never read, for it passed poll.horizon first, as after a long stop.";
    LedgerEntries Gauge "jelou_exporter_ledger_entries" "jelou.exporter.ledger_entries" "{conversation}" ["account"] false
        "Conversations that are remembered so as not to count them twice.";
    Unsettled Gauge "jelou_exporter_unsettled_conversations" "jelou.exporter.unsettled_conversations" "{conversation}" ["account"] false
        "Conversations that may still change and so are asked for at every poll.";
    LabelSets Gauge "jelou_exporter_label_sets" "jelou.exporter.label_sets" "{label_set}" ["account"] false
        "Pairs of bot and team that are shown.";
    Overflowed Counter "jelou_exporter_label_sets_overflowed_total" "jelou.exporter.label_sets_overflowed" "{conversation}" ["account"] false
        "Conversations first seen when metrics.max_label_sets left no room for their bot and team.";
    CheckpointLastSuccess Gauge "jelou_exporter_checkpoint_last_success_timestamp_seconds" "jelou.exporter.checkpoint_last_success_timestamp" "s" ["account"] false
        "When the state was last kept on the disk, Unix time.";
    CheckpointFailures Counter "jelou_exporter_checkpoint_failures_total" "jelou.exporter.checkpoint_failures" "{failure}" ["account"] false
        "Times that the state could not be kept; what was kept before is still shown.";
    CheckpointDuration Gauge "jelou_exporter_checkpoint_duration_seconds" "jelou.exporter.checkpoint_duration" "s" ["account"] false
        "How long keeping the state took last.";
    CheckpointSize Gauge "jelou_exporter_checkpoint_size_bytes" "jelou.exporter.checkpoint_size_bytes" "By" ["account"] false
        "Size of the file that the state is kept in.";
    OtlpExports Counter "jelou_exporter_otlp_exports_total" "jelou.exporter.otlp_exports" "{export}" ["account" "result"] false
        "OTLP exports by result.";
    OtlpLastSuccess Gauge "jelou_exporter_otlp_last_success_timestamp_seconds" "jelou.exporter.otlp_last_success_timestamp" "s" ["account"] false
        "When an OTLP receiver last took everything, Unix time.";
    ConfigReloadSuccessful Gauge "jelou_exporter_config_last_reload_successful" "jelou.exporter.config_last_reload_successful" "" ["account"] false
        "1 when the last attempt to load the configuration succeeded, else 0: then the one before holds.";
    ConfigReloadSuccess Gauge "jelou_exporter_config_last_reload_success_timestamp_seconds" "jelou.exporter.config_last_reload_success_timestamp" "s" ["account"] false
        "When the configuration that holds was loaded, Unix time.";
    HttpRequests Counter "jelou_exporter_http_requests_total" "jelou.exporter.http_requests" "{request}" ["code"] false
        "Requests to the exporter's own web server by status code.";
    HttpDropped Counter "jelou_exporter_http_connections_dropped_total" "jelou.exporter.http_connections_dropped" "{connection}" ["reason"] false
        "Connections that the exporter's own web server closed before their time, by reason.";
    LogMessages Counter "jelou_exporter_log_messages_total" "jelou.exporter.log_messages" "{message}" ["level"] false
        "Log messages by level.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn otlp_names_translate_to_the_prometheus_names() {
        // As Prometheus translates OTLP: dots to underscores, the unit as a suffix, then _total for counters.
        for family in FAMILIES {
            let mut name = family.otlp_name.replace('.', "_");
            // A unit that the name ends with already is not appended again.
            let unit = if family.unit == "s" {
                "_seconds"
            } else if family.unit == "By" {
                "_bytes"
            } else {
                ""
            };
            if !name.ends_with(unit) {
                name += unit;
            }
            if family.kind == Kind::Counter {
                name += "_total";
            }
            assert_eq!(name, family.name);
            assert_ne!(family.unit, "1", "{name}: Prometheus would append _ratio");
        }
    }

    /// What users rely on, as it was promised: names, types and labels (`*`: `account`, `bot` and `team` before them).
    /// A difference is a change of the interface: it breaks dashboards and alerts.
    const PROMISED: &str = "\
histogram jelou_operator_reply_time_seconds *
histogram jelou_conversation_duration_seconds *
counter jelou_conversations_started_total * origin
counter jelou_conversations_ended_total * state reason
counter jelou_conversations_unanswered_total *
counter jelou_operator_reply_decided_total * result
counter jelou_conversations_reopened_total *
gauge jelou_conversations_active *
gauge jelou_conversations_waiting *
gauge jelou_conversations_oldest_waiting_start_timestamp_seconds *
gauge jelou_operator_reply_time_recent_seconds * percentile
gauge jelou_conversation_duration_recent_seconds * percentile
gauge jelou_up account
gauge jelou_account_info account company
gauge jelou_operator_reply_target_seconds account
gauge jelou_exporter_build_info version revision
gauge jelou_exporter_poll_interval_seconds account
counter jelou_exporter_polls_total account result
histogram jelou_exporter_poll_duration_seconds account
gauge jelou_exporter_last_poll_timestamp_seconds account
gauge jelou_exporter_last_successful_poll_timestamp_seconds account
gauge jelou_exporter_last_sweep_timestamp_seconds account
gauge jelou_exporter_data_complete_timestamp_seconds account
gauge jelou_exporter_state_start_timestamp_seconds account
counter jelou_exporter_walks_total account result
counter jelou_exporter_api_requests_total account outcome
histogram jelou_exporter_api_request_duration_seconds account
counter jelou_exporter_api_retries_total account
counter jelou_exporter_api_budget_wait_seconds_total account
gauge jelou_exporter_api_clock_offset_seconds account
counter jelou_exporter_records_total account result
counter jelou_exporter_amendments_total account field
counter jelou_exporter_unknown_values_total account field
counter jelou_exporter_records_outside_window_total account
counter jelou_exporter_conversations_vanished_total account
counter jelou_exporter_conversations_aged_out_total account
counter jelou_exporter_abandoned_seconds_total account
gauge jelou_exporter_ledger_entries account
gauge jelou_exporter_unsettled_conversations account
gauge jelou_exporter_label_sets account
counter jelou_exporter_label_sets_overflowed_total account
gauge jelou_exporter_checkpoint_last_success_timestamp_seconds account
counter jelou_exporter_checkpoint_failures_total account
gauge jelou_exporter_checkpoint_duration_seconds account
gauge jelou_exporter_checkpoint_size_bytes account
counter jelou_exporter_otlp_exports_total account result
gauge jelou_exporter_otlp_last_success_timestamp_seconds account
gauge jelou_exporter_config_last_reload_successful account
gauge jelou_exporter_config_last_reload_success_timestamp_seconds account
counter jelou_exporter_http_requests_total code
counter jelou_exporter_http_connections_dropped_total reason
counter jelou_exporter_log_messages_total level
";

    #[test]
    fn families_are_those_that_were_promised() {
        let shown: Vec<String> = FAMILIES
            .iter()
            .map(|family| {
                let kind = format!("{:?}", family.kind).to_lowercase();
                format!("{kind} {} {}", family.name, family.labels.join(" ")).replace("account bot team", "*")
            })
            .collect();
        let promised: Vec<&str> = PROMISED.lines().collect();
        assert_eq!(shown, promised);
        assert!(FAMILIES.iter().all(|family| family.of_pairs == family.labels.contains(&"team")));
    }
}
