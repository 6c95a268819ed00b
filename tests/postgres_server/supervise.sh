# Runs one PostgreSQL server in a directory of its own until standard input ends, in whatever way it ends: then the
# server is stopped and the directory removed.
#
#   sh -c "$(cat supervise.sh)" supervise BIN PLACE [OPTION …]
#
# BIN has initdb and postgres, PLACE is the folder the directory is made in, each OPTION goes to postgres. With
# ANNALS_TEST_PG_PASSWORD set, connections over TCP are taken with that password; without it none are. With
# ANNALS_TEST_PG_MEMORY=1 the directory lies in memory where that has room, and in PLACE otherwise. With
# ANNALS_TEST_PG_PRIMARY set, a connection string, the server is a standby of the one it leads to.
#
# Standard input takes a word a line: start, stop (as an operator stops), stop-immediately (as a crash does).
# Standard output answers a line each: `folder PATH` once, then `ready PID`, `failed` or `stopped`.
# Not run as a file: another user runs it than owns the checkout, and may not be able to read it there.
bin=$1 place=$2
shift 2

# What ends the tests from a terminal reaches this shell as well. It is the end of the input that counts, and a reader
# that is gone must not keep it from cleaning up.
trap '' HUP INT TERM PIPE
umask 077

# A database of its own for each test means 300 files to sync for each: on a busy disk making and dropping one took
# 900 ms, in memory 90 ms. Room is for the databases of the tests at work, the write-ahead log and what grows in them.
memory=/dev/shm room_kib=2097152
if [ "${ANNALS_TEST_PG_MEMORY:-}" = 1 ] && [ -d "$memory" ] && [ -w "$memory" ]; then
    free_kib=$(df -Pk "$memory" 2>/dev/null | awk 'NR == 2 { print $4 }')
    if [ "${free_kib:-0}" -ge "$room_kib" ]; then
        place=$memory
        set -- -c max_wal_size=256MB "$@"
    fi
fi

says() { printf '%s\n' "$*" 2>/dev/null || :; }

folder=$(mktemp -d "$place/annals-pg-XXXXXX" 2>/dev/null) || {
    says failed
    exit 1
}
cd "$folder" && exec 2>>log
says "folder $folder"
server='' rest=''

initialise() {
    mkfifo messages || return 1
    if [ -n "${ANNALS_TEST_PG_PRIMARY:-}" ]; then
        "$bin/pg_basebackup" -d "$ANNALS_TEST_PG_PRIMARY" -D data -R -X stream -c fast --no-sync </dev/null >>log
        return
    fi
    host=reject
    if [ -n "${ANNALS_TEST_PG_PASSWORD:-}" ]; then
        host=scram-sha-256
        printf '%s\n' "$ANNALS_TEST_PG_PASSWORD" >password || return 1
        set -- --pwfile=password
    else
        set --
    fi
    # Nothing of this has to outlast a power cut. What the server itself writes later is synced as in production.
    "$bin/initdb" -D data -U postgres -E UTF8 --locale=C --auth-local=trust --auth-host="$host" "$@" \
        --no-sync --no-instructions </dev/null >>log
}

start() {
    # 400 connections: many tests at once, each with a pool or two.
    (
        exec "$bin/postgres" -D "$folder/data" -k "$folder" -c listen_addresses= -c max_connections=400 \
            -c max_prepared_transactions=20 -c lc_messages=C -c jit=off -c logging_collector=off \
            -c log_destination=stderr "$@" </dev/null >messages 2>&1
    ) &
    server=$!
    exec 3<messages
    is_ready=no
    # The server says when it is ready. It is not stopped before, as a signal that comes too early is lost.
    while IFS= read -r line <&3; do
        printf '%s\n' "$line" >>log
        # A standby says `read-only connections`.
        case $line in *'database system is ready to accept '*)
            is_ready=yes
            break
            ;;
        esac
    done
    if [ "$is_ready" = yes ]; then
        cat <&3 >>log &
        rest=$!
        exec 3<&-
        says "ready $server"
    else
        exec 3<&-
        wait "$server"
        server=''
        says failed
    fi
}

stop() { # SIGNAL
    [ -n "$server" ] || return 0
    kill -s "$1" "$server"
    wait "$server"
    # The end of its messages is the end of the last of its processes.
    wait "$rest"
    server=''
}

if initialise; then start "$@"; else says failed; fi
while read -r word; do
    case $word in
    start) [ -n "$server" ] || start "$@" ;;
    stop) stop INT && says stopped ;;
    stop-immediately) stop QUIT && says stopped ;;
    *) says failed ;;
    esac
done
stop QUIT
cd / && rm -rf "$folder"
