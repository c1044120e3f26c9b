#!/usr/bin/env bash
# Runs the long proofs and keeps what they print under docs/proof, named by the commit they ran on.
#
# The same tests as in `make test`, told by FAIRLEAD_PROOF=1 to do all their rounds. Refuses a tree with changes: results
# of something that is in no commit prove nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

[ -z "$(git status --porcelain)" ] || {
    echo "proof: commit first; results are kept by their commit" >&2
    exit 1
}
commit=$(git rev-parse --short=12 HEAD)
readonly commit
readonly out=docs/proof/$commit.txt
mkdir -p docs/proof
{
    printf 'commit %s, %s, %s\n' "$commit" "$(date -u +%Y-%m-%d)" "$(uname -srm)"
    printf '%s cores, %s\n\n' "$(nproc)" "$(rustc --version)"
} >"$out"

status=0
FAIRLEAD_PROOF=1 cargo test --workspace --features failpoints --locked --tests -- --nocapture --test-threads 1 2>&1 | tee -a "$out" || status=$?
if [ "$status" -eq 0 ]; then
    printf 'proof: passed, see %s\n' "$out"
else
    printf 'proof: FAILED, see %s\n' "$out" >&2
fi
exit "$status"
