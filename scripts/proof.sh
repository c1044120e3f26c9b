#!/usr/bin/env bash
# Runs the long proofs (or those named) on the release build and keeps what they print under docs/proof, a file each that
# names the commit they ran on.
#
# The same tests as in `make test`, told by FAIRLEAD_PROOF=1 to do all their rounds; `performance` is `fairlead bench`, whose
# table goes into docs/performance.md (BENCH_ARGS reaches it, say to name another etcd). Refuses a tree with changes: results
# of something that is in no commit prove nothing. A proof that fails keeps its last good file.
set -euo pipefail
cd "$(dirname "$0")/.."

[ -z "$(git status --porcelain -- . ':!docs/proof' ':!docs/performance.md')" ] || {
    echo "proof: commit first; results are kept by their commit" >&2
    exit 1
}
commit=$(git rev-parse --short=12 HEAD)
export FAIRLEAD_PROOF=1 FAIRLEAD_BIN=$PWD/bin/fairlead RUST_BACKTRACE=0
mkdir -p docs/proof

proofs=("$@")
[ ${#proofs[@]} -gt 0 ] || proofs=(durability power failover capacity performance)
status=0

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

for proof in "${proofs[@]}"; do
    printf '== %s\n' "$proof"
    said=$(mktemp)
    {
        printf 'commit %s, release build, %s, %s\n' "$commit" "$(date -u +%Y-%m-%d)" "$(uname -srm)"
        printf '%s cores shared with other work, %s, %s\n\n' "$(nproc)" "$(rustc --version)" "$(etcd --version | head -n 1)"
    } >"$said"
    if [ "$proof" = performance ]; then
        if performance | tee -a "$said"; then install -m 644 "$said" docs/proof/performance.txt; else status=1; fi
    elif cargo test --workspace --features failpoints --locked --test "$proof" -- --nocapture --test-threads 1 2>/dev/null |
        tee -a /dev/stderr | grep -E "^($proof|test )" >>"$said"; then
        install -m 644 "$said" "docs/proof/$proof.txt"
    else
        printf 'proof: %s FAILED\n' "$proof" >&2
        rm -f "$said"
        status=1
    fi
done
exit "$status"
