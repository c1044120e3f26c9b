#!/usr/bin/env bash
# Runs the long proofs (or those named) on the release build and keeps what they print under docs/proof, a file each that
# names the commit they ran on.
#
# Most are the tests of `make test`, told by FAIRLEAD_PROOF=1 to do all their rounds; `chaos`, `control` and `soak` are runs
# of `fairlead chaos` (CHAOS_SEEDS, CHAOS_JOBS, CHAOS_SOAK: how many, how many at once, how long), whose histories lie in
# target/chaos; `performance` is `fairlead bench`, whose table goes into docs/performance.md (BENCH_ARGS reaches it, say to name another etcd). Refuses a
# tree with changes: results of something that is in no commit prove nothing. A proof that fails keeps its last good file.
set -euo pipefail
cd "$(dirname "$0")/.."

[ -z "$(git status --porcelain -- . ':!docs/proof' ':!docs/performance.md')" ] || {
    echo "proof: commit first; results are kept by their commit" >&2
    exit 1
}
commit=$(git rev-parse --short=12 HEAD)
export FAIRLEAD_PROOF=1 FAIRLEAD_BIN=$PWD/bin/fairlead RUST_BACKTRACE=0
mkdir -p docs/proof

# `fairlead bench`, and its table between the marks of docs/performance.md.
performance() {
    local page=docs/performance.md table
    table=$(mktemp)
    # shellcheck disable=SC2086 # arguments, separated by spaces
    if "$FAIRLEAD_BIN" bench --markdown "$table" ${BENCH_ARGS:-}; then
        { printf 'Commit %s, %s.\n\n' "$commit" "$(date -u +%Y-%m-%d)"; cat "$table"; } >"$table.new"
        sed -i -e "/<!-- performance: begin -->/r $table.new" -e '/<!-- performance: begin -->/,/<!-- performance: end -->/{/<!--/!d}' "$page"
        rm -f "$table" "$table.new"
    else
        rm -f "$table"
        return 1
    fi
}

# A profile of `fairlead chaos` with seeds 1 to CHAOS_SEEDS, in CHAOS_JOBS processes: a run waits more than it computes. What each
# says comes in the order of seeds; fails where one does.
seeds() {
    local profile=$1 count=${CHAOS_SEEDS:-20} jobs=${CHAOS_JOBS:-4} folder status=0 job
    local -a pids=()
    folder=$(mktemp -d)
    for ((job = 0; job < jobs; job++)); do
        local first=$((count * job / jobs + 1)) last=$((count * (job + 1) / jobs))
        [ "$last" -ge "$first" ] || continue
        "$FAIRLEAD_BIN" chaos run "$profile" --out "target/chaos/$profile-$first" \
            --seed "$first" --seeds "$((last - first + 1))" >"$folder/$job" 2>&1 &
        pids+=($!)
    done
    for job in "${pids[@]}"; do wait "$job" || status=1; done
    cat "$folder"/*
    rm -rf "$folder"
    return "$status"
}

# Prints what a proof has to say; its status is the proof's.
say() {
    local -a chaos=("$FAIRLEAD_BIN" chaos run --out "target/chaos/$1")
    case $1 in
    # Not `set -e`'s doing: it is off where a status is asked for.
    chaos) seeds smoke && seeds pr ;;
    control) "${chaos[@]}" control --target etcd && "${chaos[@]}" control --target etcd-3.5.1 ;;
    performance) performance ;;
    soak) "${chaos[@]}" soak --for "${CHAOS_SOAK:-1h}" ;;
    *)
        cargo test --workspace --features failpoints --locked --test "$1" -- --nocapture --test-threads 1 2>/dev/null |
            grep -E "^($1|test )"
        ;;
    esac
}

proofs=("$@")
[ ${#proofs[@]} -gt 0 ] || proofs=(durability power failover simulation capacity performance chaos control soak)
status=0

for proof in "${proofs[@]}"; do
    printf '== %s\n' "$proof"
    said=$(mktemp)
    {
        printf 'commit %s, release build, %s, %s\n' "$commit" "$(date -u +%Y-%m-%d)" "$(uname -srm)"
        printf '%s cores shared with other work, %s, %s\n\n' "$(nproc)" "$(rustc --version)" "$(etcd --version | head -n 1)"
    } >"$said"
    if say "$proof" | tee -a "$said" >&2; then
        install -m 644 "$said" "docs/proof/$proof.txt"
    else
        printf 'proof: %s FAILED\n' "$proof" >&2
        rm -f "$said"
        status=1
    fi
done
exit "$status"
