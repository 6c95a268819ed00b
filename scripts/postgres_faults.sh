#!/usr/bin/env bash
# Runs the fault campaigns against PostgreSQL in their long form, and prints a line of figures for each.
#
#   scripts/postgres_faults.sh [FACTOR]     how much longer than in the suite: 10 by default
#
# With the default: at least 100 processes killed, 10 crashes of the server, 500 connections cut, 100 backends ended. Each
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
    kill::killed_at_random_points_processes_leave_every_acknowledged_command_once
    restarts::a_server_that_crashes_in_mid_load_keeps_every_acknowledged_command_once
    cuts::cut_connections_lose_and_double_no_command
    backends::ended_backends_lose_and_double_no_command
)
# Built once: what is measured is one state of the code.
binary="$(cargo test --quiet --locked --features postgres --test it --no-run --message-format=json |
    grep -o '"executable":"[^"]*"' | cut -d'"' -f4)"
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
failed=0
for campaign in "${campaigns[@]}"; do
    if "$binary" "postgres::faults::$campaign" --exact --nocapture >"$log" 2>&1 && grep '^figures: ' "$log"; then
        continue
    fi
    failed=1
    echo "FAILED: $campaign" >&2
    tail -n 40 "$log" >&2
done
exit "$failed"
