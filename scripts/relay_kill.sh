#!/usr/bin/env bash
# Sends events through NATS JetStream in the long form, with a broker that is killed again and again, and prints a line of
# figures for each database.
#
#   scripts/relay_kill.sh [FACTOR]     how much longer than in the suite: 20 by default, which is 50 thousand events
#
# A third of the events is appended alone, a third beside the relay and the consumer, while the broker is killed and
# started again (10 times with the default), a third while it is away. The consumer takes messages into an inbox: every
# event's effect is there once, in order per aggregate. Servers are started from their programs (ANNALS_TEST_NATS_BIN,
# ANNALS_TEST_PG_BIN, /usr/lib/postgresql/*/bin or PATH).
# Takes some minutes. Fails where anything was lost, doubled, out of order or stalled.
set -euo pipefail

if [ $# -gt 1 ] || ! [[ "${1:-20}" =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: $0 [FACTOR]" >&2
    exit 2
fi
cd "$(dirname "$0")/.."
factor="${1:-20}"

# As scripts/test.sh has put it there.
kept="${CARGO_TARGET_DIR:-target}/nats_server/bin"
[ ! -x "$kept/nats-server" ] || export PATH="$PATH:$(realpath "$kept")"

# Built once: what is measured is one state of the code.
binary="$(cargo test --quiet --locked --all-features --test it --no-run --message-format=json |
    grep -o '"executable":"[^"]*/it-[^"]*"' | cut -d'"' -f4)"
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
failed=0
for place in sqlite postgres; do
    name="relay::campaign::$place::every_event_takes_effect_once_and_in_order_though_the_broker_is_killed"
    if ANNALS_CAMPAIGN="$factor" "$binary" "$name" --exact --nocapture >"$log" 2>&1 &&
        figures="$(grep -o 'figures: .*' "$log")"; then
        echo "$place $figures"
        continue
    fi
    failed=1
    echo "FAILED: $name" >&2
    tail -n 40 "$log" >&2
done
exit "$failed"
