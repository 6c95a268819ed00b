#!/usr/bin/env bash
# Races and kills the payments example in the long form, and prints a line of figures for each campaign.
#
#   scripts/payments_kill.sh [FACTOR]     how much longer than in the suite: 20 by default; 10 for the races
#
# With the default, on SQLite, on PostgreSQL, and on PostgreSQL behind a Redis that is emptied, ended and frozen:
#   - 200 rounds of 100 simultaneous requests with one key to two processes, and 200 more whose requests wait: one is
#     carried out, the others get its answer or, where they do not wait, 409;
#   - 200 times SIGKILL of the service under load: every charge exists once, every answer is repeated byte for byte, no
#     key stays taken. requests/kills: how many requests were met in which phase, and by how many kills.
# Servers are started from their programs (ANNALS_TEST_PG_BIN, ANNALS_TEST_REDIS_BIN, /usr/lib/postgresql/*/bin or PATH).
# Takes about a quarter of an hour. Fails where anything was lost, doubled, stuck or answered otherwise.
set -euo pipefail

if [ $# -gt 1 ] || ! [[ "${1:-20}" =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: $0 [FACTOR]" >&2
    exit 2
fi
cd "$(dirname "$0")/.."
factor="${1:-20}"

# Built once: what is measured is one state of the code.
cargo build --quiet --locked --all-features --example payments_api
binary="$(cargo test --quiet --locked --all-features --test it --no-run --message-format=json |
    grep -o '"executable":"[^"]*/it-[^"]*"' | cut -d'"' -f4)"
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
failed=0

run() { # FACTOR CAMPAIGN
    local place name
    for place in sqlite postgres postgres_behind_redis; do
        name="payments_campaign::${2%%::*}::$place::${2#*::}"
        if ANNALS_CAMPAIGN="$1" "$binary" "$name" --exact --nocapture >"$log" 2>&1 && grep -o 'figures: .*' "$log"; then
            continue
        fi
        failed=1
        echo "FAILED: $name" >&2
        tail -n 40 "$log" >&2
    done
}

# Of the races the suite has 20 rounds, of the kills 10.
run "$(((factor + 1) / 2))" rounds::http_c08_of_a_hundred_first_requests_to_two_processes_one_is_carried_out
run "$(((factor + 1) / 2))" rounds::http_c05_a_hundred_that_wait_get_the_answer_of_the_one_that_is_carried_out
run "$factor" kills::http_d02_a_service_killed_under_load_makes_every_charge_once_and_leaves_no_key_stuck
exit "$failed"
