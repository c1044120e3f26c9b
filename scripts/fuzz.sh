#!/usr/bin/env bash
# Runs each fuzz target (or those named) for FUZZ_SECONDS, and fails on the first finding.
#
# Needs a nightly toolchain; installs cargo-fuzz beside the target folder if it is not there. Corpora are kept there too, so
# each run goes on where the last one ended. A finding is left in fuzz/artifacts/<target>/; replay it with
#   cargo +nightly fuzz run --sanitizer none <target> fuzz/artifacts/<target>/<file>
# No sanitizer: our code is safe Rust, and speed finds more.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly cache=${XDG_CACHE_HOME:-$HOME/.cache}/fairlead
readonly seconds=${FUZZ_SECONDS:-600}

cargo +nightly --version >/dev/null 2>&1 || {
    echo "fuzz: a nightly toolchain is needed: rustup toolchain install nightly" >&2
    exit 1
}
export PATH=$PATH:$cache/tools/bin
command -v cargo-fuzz >/dev/null 2>&1 ||
    CARGO_TARGET_DIR=$cache/tools-target cargo install --quiet --locked --root "$cache/tools" cargo-fuzz@0.13.2

readonly tests_target=${CARGO_TARGET_DIR:-}
export CARGO_TARGET_DIR=$cache/fuzz-target
# Nothing of RocksDB is watched here, for it is C++.
. scripts/rocksdb.sh "${tests_target:-$cache/target}"
# cargo-fuzz sets RUSTFLAGS, which hides those of .cargo/config.toml.
export RUSTFLAGS='--cfg tokio_unstable'

targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cargo +nightly fuzz list)
for target in "${targets[@]}"; do
    corpus=$cache/corpus/$target
    mkdir -p "$corpus"
    printf '== %s, %s s\n' "$target" "$seconds"
    cargo +nightly fuzz run --sanitizer none "$target" "$corpus" -- \
        -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 2>&1 |
        grep -vE '^(#[0-9]+\s+(NEW|REDUCE|pulse|RELOAD)|\s+Compiling|NEW_FUNC)' || {
        printf 'fuzz: %s has a finding, see fuzz/artifacts/%s\n' "$target" "$target" >&2
        exit 1
    }
done
printf 'fuzz: %s targets, %s s each, no finding\n' "${#targets[@]}" "$seconds"
