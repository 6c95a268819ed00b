#!/usr/bin/env bash
# Runs the whole test suite. Installs what it needs and may install; says what is missing otherwise.
#
#   scripts/test.sh                     everything
#   scripts/test.sh --test it model     arguments go to `cargo test`
#
# ANNALS_CAMPAIGN scales the kill, fault and property campaigns (default 1: all of them within a few minutes).
# ANNALS_RETAIL_WEEK names the file of real orders, if you have it: its known totals are then checked as well.
set -euo pipefail
cd "$(dirname "$0")/.."

has() { command -v "$1" >/dev/null 2>&1; }

# Installs a Debian package where that is possible without asking anybody.
install() {
    has apt-get || return 1
    local run=()
    if [ "$(id -u)" -ne 0 ]; then
        has sudo && sudo -n true 2>/dev/null || return 1
        run=(sudo -n)
    fi
    "${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$1" >/dev/null 2>&1 ||
        { "${run[@]}" apt-get update >/dev/null 2>&1 &&
            "${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$1" >/dev/null 2>&1; }
}

if ! has cargo; then
    echo "test.sh: Rust is missing. Install it as https://rustup.rs says." >&2
    exit 1
fi
if ! has cc && ! install gcc; then
    echo "test.sh: a C compiler is missing (SQLite is compiled in). Install one, e.g. the package gcc." >&2
    exit 1
fi
# Injects errors into system calls. The tests that need it say so where it is not there.
if ! has strace && ! install strace; then
    echo "test.sh: strace is missing: faults of single system calls are NOT RUN. Install the package strace." >&2
fi

export ANNALS_CAMPAIGN="${ANNALS_CAMPAIGN:-1}"
exec cargo test --all-features --locked "$@"
