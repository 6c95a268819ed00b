#!/usr/bin/env bash
# Moves real orders from SQLite to PostgreSQL, and compares what is exported from both, line by line.
#
#   scripts/move_week.sh FILE.csv[.gz] [DATABASE_URL]
#
# DATABASE_URL, or the environment's, names a database on a PostgreSQL server for a role that may create others: the orders go
# into one of their own, which is dropped at the end. Where it may not, they go into that one, which has to be empty, and stay.
# Prints its figures at the end. Fails where the exports differ in a single byte, or where a check finds something.
set -euo pipefail

url="${2:-${DATABASE_URL:-}}"
if [ $# -lt 1 ] || [ $# -gt 2 ] || ! [ -r "$1" ] || [ -z "$url" ]; then
    echo "usage: $0 FILE.csv[.gz] [DATABASE_URL]" >&2
    exit 2
fi
file="$(realpath "$1")"
cd "$(dirname "$0")/.."
target="${CARGO_TARGET_DIR:-target}"
cargo build --release --locked --quiet --features cli --bin annals --example order
annals="$(realpath "$target")/release/annals"
order="$(realpath "$target")/release/examples/order"

folder="$(mktemp -d)"
created=""
trap '[ -z "$created" ] || psql -q "$url" -c "DROP DATABASE $created" || true; rm -rf "$folder"' EXIT

to="$url"
name="annals_move_$$"
if command -v psql >/dev/null && psql -q "$url" -c "CREATE DATABASE $name" >/dev/null 2>&1; then
    created="$name"
    # The path of the URL is the database's name.
    to="$(sed -E "s#^([a-z]+://[^/]*)/[^?]*#\1/$name#" <<<"$url")"
fi

from="sqlite:$folder/orders.db"
seconds() { # WORDS COMMAND…: runs it, and says how long it took
    local words="$1" began ended
    shift
    began="$(date +%s%N)"
    "$@" >/dev/null
    ended="$(date +%s%N)"
    printf '%-30s%s\n' "$words" "$(awk -v ms="$(((ended - began) / 1000000))" 'BEGIN { printf "%.2f s", ms / 1000 }')"
}

seconds "orders imported" "$order" --database-url "$from" --format json "$file"
"$annals" migrate -q --database-url "$to" >/dev/null
seconds "exported from SQLite" "$annals" export -q --database-url "$from" --output "$folder/first.jsonl"
seconds "imported into PostgreSQL" "$annals" import -q --database-url "$to" "$folder/first.jsonl"
seconds "checked" "$annals" verify -q --database-url "$to"
seconds "exported from PostgreSQL" "$annals" export -q --database-url "$to" --output "$folder/second.jsonl"
seconds "imported again" "$annals" import -q --database-url "$to" "$folder/first.jsonl"
"$annals" export -q --database-url "$to" --output "$folder/third.jsonl"
cmp "$folder/first.jsonl" "$folder/second.jsonl"
cmp "$folder/first.jsonl" "$folder/third.jsonl"
printf '%-30s%s\n' "lines" "$(wc -l <"$folder/first.jsonl")" "bytes" "$(wc -c <"$folder/first.jsonl")" "exports equal" yes
tail -n 1 "$folder/first.jsonl"
