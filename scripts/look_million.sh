#!/usr/bin/env bash
# Shows how the program `annals` looks at a large database: how long status, show, event and log take, at which rate
# verify goes, in ten slices, and the peak of its memory, with a tenth of the events and with all of them.
#
#   scripts/look_million.sh [EVENTS]     1,000,000 by default
#
# On SQLite, in a folder of its own that is removed at the end; and on PostgreSQL where DATABASE_URL names a database of
# a server: in databases of its own there, which are dropped (it needs psql, and the right to make databases).
# Prints its figures. Fails where a verb fails, where verify finds something, or where its memory grows by more than a
# quarter with ten times the events.
set -euo pipefail

events="${1:-1000000}"
if [ $# -gt 1 ] || ! [[ "$events" =~ ^[1-9][0-9]*$ ]] || [ "$events" -lt 10000 ]; then
    echo "usage: $0 [EVENTS]     at least 10000" >&2
    exit 2
fi
server="${DATABASE_URL:-}"
unset DATABASE_URL

cd "$(dirname "$0")/.."
target="${CARGO_TARGET_DIR:-target}"
cargo build --release --locked --quiet --features cli --bin annals --example fill
annals="$(realpath "$target")/release/annals"
fill="$(realpath "$target")/release/examples/fill"

folder="$(mktemp -d)"
made=()
clear_up() {
    for name in "${made[@]}"; do
        psql "$server" --quiet --command "DROP DATABASE IF EXISTS $name WITH (FORCE)" || true
    done
    rm -rf "$folder"
}
trap clear_up EXIT

timed() { # NAME COMMAND…: runs it and prints how long it took
    local name="$1" began
    shift
    began="$(date +%s%N)"
    "$@" >"$folder/out" 2>"$folder/err" || { cat "$folder/err" >&2; return 1; }
    printf '  %-8s %6d ms, %d lines\n' "$name" "$((($(date +%s%N) - began) / 1000000))" "$(wc -l <"$folder/out")"
}

verify() { # URL: prints time, rates and peak, and leaves the peak in a file
    local began pid now peak=0
    began="$(date +%s%N)"
    "$annals" verify -v --database-url "$1" >"$folder/out" 2>"$folder/err" &
    pid=$!
    while now="$(awk '/VmHWM/ { print $2 }' "/proc/$pid/status" 2>/dev/null)" && [ -n "$now" ]; do
        peak="$now"
        sleep 0.02
    done
    wait "$pid" || { cat "$folder/out" "$folder/err" >&2; return 1; }
    printf '  %-8s %6d ms, at the most %d MiB\n' verify "$((($(date +%s%N) - began) / 1000000))" "$((peak / 1024))"
    for stage in aggregate position; do
        printf '           events by %s, thousands a second in each tenth:' "$stage"
        { grep "checking events by $stage" "$folder/err" || true; } |
            sed -nE 's/.*per_second=([0-9]+).*/\1/p' | awk '{ printf " %d", $1 / 1000 }'
        echo
    done
    sed -n 's/^annals: /           /p' "$folder/err"
    echo "$peak" >"$folder/peak"
}

look() { # URL ORDER
    timed status "$annals" status --database-url "$1"
    timed show "$annals" show order "$2" --database-url "$1"
    timed event "$annals" event "$events" --database-url "$1"
    timed log "$annals" log --database-url "$1" --limit 100
}

compare() { # NAME SMALL LARGE: two URLs
    local small large
    echo "$1, $((events / 10)) events"
    "$fill" "$2" "$((events / 10))"
    verify "$2"
    small="$(cat "$folder/peak")"
    echo "$1, $events events"
    "$fill" "$3" "$events" | tee "$folder/filled"
    look "$3" "$(sed -E 's/.* order ([^ ]+) is one/\1/' "$folder/filled")"
    verify "$3"
    large="$(cat "$folder/peak")"
    echo "  memory   $((large * 100 / small)) % with ten times the events"
    [ "$((large * 100))" -le "$((small * 125))" ] || { echo "verify takes more memory for more events" >&2; exit 1; }
}

compare SQLite "sqlite:$folder/small.db" "sqlite:$folder/large.db"
if [ -n "$server" ]; then
    for size in small large; do
        name="annals_look_${size}_$$"
        psql "$server" --quiet --command "CREATE DATABASE $name"
        made+=("$name")
    done
    # Another database of the same server: what stands behind the last / and before a ?.
    beside() { sed -E "s#^([a-z]+://[^/?]*)(/[^?]*)?#\1/$1#" <<<"$server"; }
    compare PostgreSQL "$(beside "${made[0]}")" "$(beside "${made[1]}")"
fi
