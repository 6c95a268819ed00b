#!/usr/bin/env bash
# Runs the fulfilment example in the long form, with everything going wrong, and prints the books of each run.
#
#   scripts/fulfilment_kill.sh [FACTOR]     how much longer than in the suite: 25 by default
#
# With the default, on SQLite and on PostgreSQL: 2,000 orders, with declined cards, lost requests and replies, time-outs and
# missed deadlines, while the runner and the payment service are killed (SIGKILL) 100 times. Every order ends in one way; what
# was charged less what was given back is what shipped orders come to; nothing is charged twice or for nothing, no piece of
# stock is lost, and the full-log check of all databases finds nothing.
# PostgreSQL is started from its programs (ANNALS_TEST_PG_BIN, /usr/lib/postgresql/*/bin or PATH), or DATABASE_URL names one.
# Takes about five minutes. Fails where the books do not balance.
set -euo pipefail

if [ $# -gt 1 ] || ! [[ "${1:-25}" =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: $0 [FACTOR]" >&2
    exit 2
fi
cd "$(dirname "$0")/.."
factor="${1:-25}"

# Built once: what is measured is one state of the code.
cargo build --quiet --locked --all-features --example fulfilment
binary="$(cargo test --quiet --locked --all-features --test it --no-run --message-format=json |
    grep -o '"executable":"[^"]*/it-[^"]*"' | cut -d'"' -f4)"
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
failed=0

for place in sqlite postgres; do
    name="fulfilment_campaign::$place::the_books_balance_however_often_the_runner_and_the_payment_service_are_killed"
    if ANNALS_CAMPAIGN="$factor" "$binary" "$name" --exact --nocapture >"$log" 2>&1; then
        echo "$place"
        sed -n '/^seed /p; /^books:/,/^seconds=/p' "$log"
        continue
    fi
    failed=1
    echo "FAILED: $name" >&2
    tail -n 60 "$log" >&2
done
exit "$failed"
