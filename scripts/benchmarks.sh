#!/usr/bin/env bash
# Measures annals, SQL by hand, the limits and the peers side by side. Run it on a quiet machine, on the disk you mean.
# Arguments are those of annals-load: scripts/benchmarks.sh --work lifecycle --tasks 1,64 --rounds 3
# PostgreSQL: the newest in /usr/lib/postgresql is started for the run; ANNALS_TEST_PG_BIN=FOLDER takes the initdb and postgres
# there (disintegrate needs 16 or newer), and --database-url URL takes a server that is there.
# PEERS: which of benches/peers take part; all of them where nothing is said, none where it is empty.
# A first build takes about half an hour on two cores: each peer brings a driver of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"

cargo build --release --locked --manifest-path benches/load/Cargo.toml
peers=()
for peer in ${PEERS-$(ls benches/peers)}; do
    features=()
    # UmaDB's server is compiled with protoc, its engine without.
    if [ "$peer" = umadb ] && command -v "${PROTOC:-protoc}" > /dev/null; then features=(--features server); fi
    if cargo build --release --locked "${features[@]}" --manifest-path "benches/peers/$peer/Cargo.toml"; then
        peers+=(--peer "$CARGO_TARGET_DIR/release/annals-peer-$peer")
    else
        echo "benchmarks: $peer does not build here and takes no part" >&2
    fi
done
exec "$CARGO_TARGET_DIR/release/annals-load" "${peers[@]}" "$@"
