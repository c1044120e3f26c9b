#!/usr/bin/env bash
# Installs what building and testing need and this machine lacks; well under a second where nothing is missing.
#
# Each need is found by what is used (a program, a header), so that other ways of installing count too. Installs with apt
# as root, or through a password-less sudo; otherwise says what is missing. Never installs a Rust toolchain: that choice
# is yours. Usage: scripts/setup.sh [build|test]   (test, the default, includes build)
set -euo pipefail

readonly what=${1:-test}
readonly rustc_min=1.95

fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

has_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] || compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null || ldconfig -p 2>/dev/null | grep -q 'libclang[-.0-9]*\.so'
}

check_rust() {
    has cargo && has rustc || fail "no Rust toolchain found (cargo, rustc): install Rust $rustc_min or newer, see https://rustup.rs"
    local version
    version=$(rustc --version | cut -d' ' -f2)
    [ "$(printf '%s\n%s\n' "$rustc_min" "${version%%-*}" | sort -V | head -n 1)" = "$rustc_min" ] ||
        fail "rustc is $version, Fairlead needs $rustc_min or newer: try 'rustup update stable'"
}

# Fills `missing` with the Debian packages that give what is not there.
missing=()
need() { missing+=("$@"); }

find_missing() {
    has c++ || need g++
    has clang || need clang
    has_libclang || need libclang-dev
    has protoc || need protobuf-compiler
    [ -e /usr/include/google/protobuf/descriptor.proto ] || [ -e /usr/local/include/google/protobuf/descriptor.proto ] || need libprotobuf-dev
    [ "$what" = test ] || return 0
    # The real etcd and its client: the conformance tests compare with them.
    has etcd || need etcd-server
    has etcdctl || need etcd-client
    has openssl || need openssl
    has curl || need curl
    has python3 || need python3
    python3 -c 'import ensurepip, venv' 2>/dev/null || need python3-venv
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# A freshly installed etcd-server would start a service on 2379. The policy file is Debian's way to say no; it is there
# only for the time of the installation, and an existing one stays as it is.
readonly policy=/usr/sbin/policy-rc.d
deny_services() {
    [ ! -e "$policy" ] || return 0
    trap 'as_root rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
}

install_missing() {
    has apt-get || fail "missing: ${missing[*]} (Debian's names); no apt-get here, so please install them by your system's means"
    [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null || fail "missing: ${missing[*]}; as root: apt-get install ${missing[*]}"
    printf 'setup: installing %s\n' "${missing[*]}" >&2
    deny_services
    local -a apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
    # Lists may be old or absent; a mirror that is down only matters if the installation then fails.
    as_root "${apt[@]}" update >&2 || printf 'setup: apt-get update failed, trying with the lists that are there\n' >&2
    as_root "${apt[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null >&2 ||
        fail "apt-get could not install ${missing[*]}: see its words above"
    # Where the policy could not hold (a service manager of its own), the tests still need 2379 free.
    if [[ " ${missing[*]} " == *' etcd-server '* ]] && has systemctl && systemctl is-active --quiet etcd 2>/dev/null; then
        as_root systemctl disable --now etcd >&2
    fi
}

check_rust
find_missing
[ ${#missing[@]} -eq 0 ] || install_missing
