# Runs one NATS server with JetStream in a directory of its own until standard input ends, in whatever way it ends:
# then the server is ended and the directory removed.
#
#   sh -c "$(cat supervise.sh)" supervise SERVER PORT PLACE
#
# SERVER is the program, PORT the port of 127.0.0.1 it listens on, PLACE the folder the directory is made in. Streams are
# kept there: started again, it has them.
#
# Standard input takes a word a line: start, stop, freeze, thaw. Standard output answers a line each: `folder PATH` once,
# then `ready PID`, `failed`, `stopped`, `frozen` or `thawed`.
server=$1 port=$2 place=$3

# What ends the tests from a terminal reaches this shell as well. It is the end of the input that counts, and a reader
# that is gone must not keep it from cleaning up.
trap '' HUP INT TERM PIPE
umask 077

says() { printf '%s\n' "$*" 2>/dev/null || :; }

folder=$(mktemp -d "$place/annals-nats-XXXXXX" 2>/dev/null) || {
    says failed
    exit 1
}
cd "$folder" && mkfifo messages && exec 2>>log
says "folder $folder"
pid='' rest=''

start() {
    (
        exec "$server" --addr 127.0.0.1 --port "$port" --jetstream --store_dir "$folder/streams" </dev/null >messages 2>&1
    ) &
    pid=$!
    exec 3<messages
    is_ready=no
    while IFS= read -r line <&3; do
        printf '%s\n' "$line" >>log
        case $line in *'Server is ready'*)
            is_ready=yes
            break
            ;;
        esac
    done
    if [ "$is_ready" = yes ]; then
        cat <&3 >>log &
        rest=$!
        exec 3<&-
        says "ready $pid"
    else
        exec 3<&-
        wait "$pid"
        pid=''
        says failed
    fi
}

# As a crash does; one that is frozen ends as well.
stop() {
    [ -n "$pid" ] || return 0
    kill -s KILL "$pid"
    wait "$pid"
    wait "$rest"
    pid=''
}

start
while read -r word; do
    case $word in
    start) [ -n "$pid" ] || start ;;
    stop) stop && says stopped ;;
    freeze) kill -s STOP "$pid" && says frozen ;;
    thaw) kill -s CONT "$pid" && says thawed ;;
    *) says failed ;;
    esac
done
stop
cd / && rm -rf "$folder"
