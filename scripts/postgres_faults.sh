#!/usr/bin/env bash
# Runs the fault campaigns against PostgreSQL in their long form, and prints a line of figures for each.
#
#   scripts/postgres_faults.sh [FACTOR]     how much longer than in the suite: 10 by default
#
# With the default: at least 100 processes killed, 10 crashes of the server, 500 connections cut, 100 backends ended; and
# under a subscription and a projector 200 holders of each killed, 30 crashes, 250 requests cut, 300 backends ended. Each
# campaign ends with the check of the whole log. Servers are started from PostgreSQL's programs (ANNALS_TEST_PG_BIN,
# /usr/lib/postgresql/*/bin or PATH), with fsync on. Fails where anything was lost, doubled or answered otherwise.
set -euo pipefail

if [ $# -gt 1 ] || ! [[ "${1:-10}" =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: $0 [FACTOR]" >&2
    exit 2
fi
cd "$(dirname "$0")/.."
export ANNALS_CAMPAIGN="${1:-10}"

campaigns=(
    postgres::faults::kill::killed_at_random_points_processes_leave_every_acknowledged_command_once
    postgres::faults::restarts::a_server_that_crashes_in_mid_load_keeps_every_acknowledged_command_once
    postgres::faults::cuts::cut_connections_lose_and_double_no_command
    postgres::faults::backends::ended_backends_lose_and_double_no_command
    takeover::kills::postgres::store_099_killed_holders_of_a_subscription_lose_no_event_and_keep_the_order
    takeover::kills::postgres::store_099_killed_holders_of_a_projector_apply_every_event_once
    takeover::outages::store_099_a_server_that_crashes_keeps_no_consumer_from_being_told_everything
    takeover::outages::store_099_ended_backends_keep_no_consumer_from_being_told_everything
    takeover::outages::store_099_cut_connections_keep_no_consumer_from_being_told_everything
)
# Built once: what is measured is one state of the code.
binary="$(cargo test --quiet --locked --features postgres --test it --no-run --message-format=json |
    grep -o '"executable":"[^"]*"' | cut -d'"' -f4)"
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
failed=0
for campaign in "${campaigns[@]}"; do
    if "$binary" "$campaign" --exact --nocapture >"$log" 2>&1 && grep '^figures: ' "$log"; then
        continue
    fi
    failed=1
    echo "FAILED: $campaign" >&2
    tail -n 40 "$log" >&2
done
exit "$failed"
