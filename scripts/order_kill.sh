#!/usr/bin/env bash
# Kills the import of a file again and again, at random moments, and compares what it ends in with an import that was
# left alone.
#
#   scripts/order_kill.sh FILE.csv[.gz] [ROUNDS]     ROUNDS: how many imports are killed, 20 by default
#
# ORDER_KILL_WORKERS sets the import's workers (default 8), ORDER_KILL_SEED the moments (default 1).
# Prints its figures at the end. Fails where a single total differs, or where fewer than half of the rounds met the
# import at work.
set -euo pipefail

if [ $# -lt 1 ] || [ $# -gt 2 ] || ! [ -r "$1" ] || ! [[ "${2:-20}" =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: $0 FILE.csv[.gz] [ROUNDS]" >&2
    exit 2
fi
file="$(realpath "$1")"
rounds="${2:-20}"
workers="${ORDER_KILL_WORKERS:-8}"
RANDOM="${ORDER_KILL_SEED:-1}"

cd "$(dirname "$0")/.."
target="${CARGO_TARGET_DIR:-target}"
cargo build --release --locked --quiet --example order
order="$(realpath "$target")/release/examples/order"

folder="$(mktemp -d)"
child=""
trap '[ -z "$child" ] || kill -9 "$child" 2>/dev/null || true; rm -rf "$folder"' EXIT

import() { # DATABASE: prints the summary
    "$order" --database-url "sqlite:$folder/$1.db" --workers "$workers" --format json "$file"
}
# What the store holds, without what the run did and how long it took.
totals() { grep -oE '"sales_orders".*"top_countries":\[[^]]*\]' <<<"$1"; }
field() { grep -oE "\"$2\":[0-9.]+" <<<"$1" | cut -d: -f2; }

echo "one import, left alone" >&2
alone="$(import alone)"
milliseconds="$(field "$alone" elapsed_seconds | awk '{ print int($1 * 1000) + 1 }')"

kills=0
for ((round = 1; round <= rounds; round++)); do
    "$order" --database-url "sqlite:$folder/killed.db" --workers "$workers" "$file" >/dev/null 2>&1 &
    child=$!
    # All rounds together take about as long as the import that was left alone, so most of them meet it at work. A wait
    # that is cut short by the end of the import is no kill.
    pause=$((milliseconds * (RANDOM % 2000 + 1) / rounds / 1000 + RANDOM % 20))
    timeout "$(printf '%d.%03d' $((pause / 1000)) $((pause % 1000)))" tail --pid="$child" -s 0.01 -f /dev/null || true
    if kill -9 "$child" 2>/dev/null; then kills=$((kills + 1)); fi
    wait "$child" 2>/dev/null || true
    child=""
    [ ! -t 2 ] || printf '\rround %d of %d, %d killed' "$round" "$rounds" "$kills" >&2
done
[ ! -t 2 ] || echo >&2

finished="$(import killed)"
again="$(import killed)"

equal=no
[ "$(totals "$alone")" = "$(totals "$finished")" ] && [ "$(totals "$alone")" = "$(totals "$again")" ] && equal=yes
echo "file                          $(basename "$file")"
echo "rounds                        $rounds"
echo "killed                        $kills"
echo "found done by the last run    $(field "$finished" commands_replayed) of $(field "$finished" lines_read) lines"
echo "recorded by one run more      $(field "$again" events_recorded) events"
echo "totals equal                  $equal"
totals "$finished"
[ "$equal" = yes ] && [ "$(field "$again" events_recorded)" = 0 ] && [ "$((kills * 2))" -ge "$rounds" ]
