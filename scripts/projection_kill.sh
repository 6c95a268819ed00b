#!/usr/bin/env bash
# Kills the projection of imported orders again and again, at random moments, and compares the rows it ends in with those
# of a projection that was left alone, and with those of a rebuild.
#
#   scripts/projection_kill.sh FILE.csv[.gz] [ROUNDS] [URL]
#
# ROUNDS: how many runs are killed, 50 by default. URL: an empty PostgreSQL database; then the same is done there as well.
# PROJECTION_KILL_BATCH sets how many events share a transaction (default 2), PROJECTION_KILL_SEED the moments (default 1).
# Prints its figures at the end. Fails where a single row differs, or where fewer than nine tenths of the rounds met the
# projection at work: behind the log, and further than when it was started.
set -euo pipefail

if [ $# -lt 1 ] || [ $# -gt 3 ] || ! [ -r "$1" ] || ! [[ "${2:-50}" =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: $0 FILE.csv[.gz] [ROUNDS] [postgres://…]" >&2
    exit 2
fi
file="$(realpath "$1")"
rounds="${2:-50}"
batch="${PROJECTION_KILL_BATCH:-2}"
RANDOM="${PROJECTION_KILL_SEED:-1}"
lease=200

cd "$(dirname "$0")/.."
target="${CARGO_TARGET_DIR:-target}"
cargo build --release --locked --quiet ${3:+--features postgres} --example order --example projection
examples="$(realpath "$target")/release/examples"

folder="$(mktemp -d)"
child=""
trap '[ -z "$child" ] || kill -9 "$child" 2>/dev/null || true; rm -rf "$folder"' EXIT

run() { # URL [OPTION…]: prints what was sold
    "$examples/projection" run --until-caught-up --format json --batch-events "$batch" --lease "$lease" --database-url "$@"
}
rows() { grep -oE '"rows":.*' <<<"$1"; }
field() { grep -oE "\"$2\":[0-9.]+" <<<"$1" | cut -d: -f2; }
progress() { # URL FIELD
    local said
    said="$("$examples/projection" progress --format json --database-url "$1" 2>/dev/null)" || { echo 0; return; }
    field "$said" "$2"
}

# Kills it as often as asked on a database with orders, and sets `kills` and `hits`.
kill_on() { # URL
    local url="$1" round begun wanted
    kills=0 hits=0
    for ((round = 1; round <= rounds; round++)); do
        begun="$(progress "$url" position)"
        "$examples/projection" run --until-caught-up --batch-events "$batch" --lease "$lease" --database-url "$url" \
            >/dev/null 2>&1 &
        child=$!
        # First it waits until the lease of the one that was killed has lapsed. Then it is let go on by some events, and by
        # some more while nobody looks: each round leaves something to do for the others.
        wanted=$((begun + 1 + RANDOM % (head / rounds / 2 + 1)))
        while [ "$(progress "$url" position)" -lt "$wanted" ] && kill -0 "$child" 2>/dev/null; do :; done
        if kill -9 "$child" 2>/dev/null; then kills=$((kills + 1)); fi
        wait "$child" 2>/dev/null || true
        child=""
        if [ "$(progress "$url" position)" -gt "$begun" ] && [ "$(progress "$url" lag_events)" -gt 0 ]; then
            hits=$((hits + 1))
        fi
        [ ! -t 2 ] || printf '\r%s: round %d of %d, %d killed at work' "${url%%:*}" "$round" "$rounds" "$hits" >&2
    done
    [ ! -t 2 ] || echo >&2
}

compare() { # NAME URL
    local behind finished again rebuilt equal=no
    behind="$(progress "$2" lag_events)"
    finished="$(run "$2")"
    again="$(run "$2")"
    rebuilt="$("$examples/projection" rebuild --format json --database-url "$2")"
    [ "$(rows "$alone")" = "$(rows "$finished")" ] && [ "$(rows "$alone")" = "$(rows "$again")" ] &&
        [ "$(rows "$alone")" = "$(rows "$rebuilt")" ] && equal=yes
    printf '%-12s%8s%8s%16s%16s%14s\n' "$1" "$rounds" "$kills" "$hits" "$behind events" "$equal"
    [ "$equal" = yes ] && [ $((hits * 10)) -ge $((rounds * 9)) ]
}

echo "the orders, and one run that is left alone" >&2
"$examples/order" --database-url "sqlite:$folder/killed.db" "$file" >/dev/null
for part in "$folder"/killed.db*; do cp "$part" "${part/killed/alone}"; done
alone="$(run "sqlite:$folder/alone.db")"
head="$(field "$alone" position)"
report="$(printf '%-12s%8s%8s%16s%16s%14s' database rounds killed 'killed at work' 'left to do' 'rows equal')"
good=yes

kill_on "sqlite:$folder/killed.db"
report+=$'\n'"$(compare SQLite "sqlite:$folder/killed.db")" || good=no
if [ -n "${3:-}" ]; then
    "$examples/order" --database-url "$3" "$file" >/dev/null
    kill_on "$3"
    report+=$'\n'"$(compare PostgreSQL "$3")" || good=no
fi
echo "$report"
echo "rows        $(rows "$alone" | grep -oE '\],\[' | wc -l | awk '{ print $1 + 1 }'), of $head events, $batch to a transaction"
grep -oE '"total":\{[^}]*\}' <<<"$alone"
[ "$good" = yes ]
