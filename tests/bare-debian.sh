#!/usr/bin/env bash
# Proves `make demo` on a bare machine: a fresh Debian that has git, make, curl and a Rust toolchain, and nothing else.
#
#     tests/bare-debian.sh                    # make demo, and then once more with an empty cache, to time the run alone
#     tests/bare-debian.sh make deps          # any other command, run in a clone of this checkout
#
# Needs root, debootstrap (`apt-get install debootstrap`), and on this machine a rustup toolchain, which is lent
# read-only. Only what is committed is tested: the checkout is cloned. What this machine needs to reach the network
# (apt sources and settings, DNS, CA certificates, proxies, cargo's settings) is carried in; tokens are not.
#
# The bootstrapped system is kept in /tmp/tripos-bare-<suite>-<arch>.tar and used again; delete it to start over.
# All mounts live in a mount namespace of their own, and everything started lives in a process namespace of its own:
# both vanish with this script however it ends, so that deleting the temporary folder cannot reach this machine's files.
set -euo pipefail

SUITE=bookworm
ARCH=$(dpkg --print-architecture)
CACHE=/tmp/tripos-bare-$SUITE-$ARCH.tar
HOST_CARGO=${CARGO_HOME:-$HOME/.cargo}
HOST_RUSTUP=${RUSTUP_HOME:-$HOME/.rustup}
CHECKOUT=$(cd "$(dirname "$0")/.." && pwd)

say() { echo "== $*" >&2; }
die() { echo "error: $*" >&2; exit 1; }

main() {
    [ "$(id -u)" = 0 ] || die "debootstrap and chroot need root"
    command -v debootstrap >/dev/null || die "no debootstrap here: apt-get install debootstrap"
    [ -d "$HOST_RUSTUP/toolchains" ] || die "no rustup toolchain in $HOST_RUSTUP to lend"

    ROOT=$(mktemp -d "${TMPDIR:-/tmp}/tripos-bare.XXXXXX")
    trap clean_up EXIT
    trap 'exit 130' INT TERM
    lend_environment
    make_system
    carry_in_network
    prove_bare
    clone_checkout

    if [ $# = 0 ]; then
        timed make demo
        timed env TRIPOS_CACHE=/tmp/empty-cache make demo
    else
        timed "$@"
    fi
}

# Debian's smallest system with git, make, curl and CA certificates: from the cache, or from a mirror.
make_system() {
    if [ -f "$CACHE" ]; then
        say "unpacking $CACHE"
        tar -C "$ROOT" -xf "$CACHE"
        return
    fi
    say "bootstrapping $SUITE"
    # The mirror that this machine uses, if it is a Debian of the same release; otherwise debootstrap's own choice.
    local mirror
    mirror=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $SUITE" 'Component: main' | head -n 1)
    unshare --mount --propagation private debootstrap --variant=minbase "$SUITE" "$ROOT" ${mirror:+"$mirror"}
    chmod 755 "$ROOT" # mktemp made it private, and apt drops its privileges
    carry_in_network
    inside apt-get update -q
    inside env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends git make curl ca-certificates
    inside apt-get clean
    # Only a whole archive gets the name.
    tar -C "$ROOT" -cf "$CACHE.$$" .
    mv "$CACHE.$$" "$CACHE"
}

# Copies what this machine needs to reach a mirror and a crate registry, whatever they are.
carry_in_network() {
    cp -L /etc/resolv.conf "$ROOT/etc/resolv.conf"
    if apt-get indextargets --format '$(CODENAME)' | grep -qx "$SUITE"; then
        rm -f "$ROOT"/etc/apt/sources.list "$ROOT"/etc/apt/sources.list.d/*
        local from
        for from in /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/apt.conf.d /etc/apt/trusted.gpg.d \
            /etc/apt/keyrings /usr/share/keyrings; do
            [ ! -e "$from" ] || cp -rL "$from" "$ROOT$(dirname "$from")/"
        done
    fi
    if [ -x "$ROOT/usr/sbin/update-ca-certificates" ]; then
        cp -rL /usr/local/share/ca-certificates "$ROOT/usr/local/share/"
        inside update-ca-certificates >/dev/null
    fi
    # A certificate bundle that a variable names, where the new system has none of that name.
    local bundle
    for bundle in "${SSL_CERT_FILE:-}" "${CARGO_HTTP_CAINFO:-}" "${CURL_CA_BUNDLE:-}" "${GIT_SSL_CAINFO:-}"; do
        [ ! -f "$bundle" ] || [ -e "$ROOT$bundle" ] || install -D -m 644 "$bundle" "$ROOT$bundle"
    done
    local config
    for config in config config.toml; do
        [ ! -f "$HOST_CARGO/$config" ] || install -D -m 644 "$HOST_CARGO/$config" "$ROOT/root/.cargo/$config"
    done
}

# The point of it all: nothing that the build needs may be there already.
prove_bare() {
    local tool
    for tool in cmake cc c++ clang; do
        ! inside sh -c "command -v $tool" || die "$tool is in the bare system: delete $CACHE"
    done
    say "bare: no cmake, cc, c++ or clang; $(inside sh -c 'git --version; make --version | head -n 1' | paste -sd, -)"
}

clone_checkout() {
    [ -z "$(git -C "$CHECKOUT" status --porcelain)" ] || say "warning: what is not committed is not tested"
    git clone -q --no-hardlinks "$CHECKOUT" "$ROOT/root/tripos"
    say "testing $(git -C "$ROOT/root/tripos" log -1 --format='%h %s')"
}

# The variables of this machine that concern network and toolchain, never a token.
lend_environment() {
    local name
    while IFS= read -r name; do
        case $name in
            *TOKEN* | *CREDENTIAL* | CARGO_HOME | CARGO_TARGET_DIR | CARGO_BUILD_TARGET_DIR | RUSTUP_HOME) ;;
            CARGO_* | RUSTUP_* | SSL_CERT_* | CURL_CA_BUNDLE | GIT_SSL_* | *_proxy | *_PROXY) ENVIRONMENT+=("$name=${!name}") ;;
        esac
    done < <(compgen -e)
}
ENVIRONMENT=(HOME=/root TERM=dumb LANG=C.UTF-8 PATH=/root/.cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)

# Runs a command in the clone, or in / before there is one.
inside() {
    mkdir -p "$ROOT/root/.cargo/bin" "$ROOT/root/.rustup"
    # In the background, since bash sees to signals only while it waits.
    ROOT=$ROOT BIN=$HOST_CARGO/bin RUSTUP=$HOST_RUSTUP unshare --mount --propagation private --pid --fork --kill-child \
        bash -euc '
            lend() { mount --bind "$1" "$2" && mount -o remount,bind,ro "$2"; }
            lend "$BIN" "$ROOT/root/.cargo/bin"
            lend "$RUSTUP" "$ROOT/root/.rustup"
            mount -t proc proc "$ROOT/proc"
            mount --rbind /dev "$ROOT/dev"
            exec chroot "$ROOT" env -i "$@"' \
        inside "${ENVIRONMENT[@]}" sh -c 'if [ -d /root/tripos ]; then cd /root/tripos; fi; exec "$@"' inside "$@" </dev/null &
    CHILD=$!
    local status=0
    wait "$CHILD" || status=$?
    CHILD=
    return "$status"
}
CHILD=

# Killing unshare kills everything in the namespaces, and with them go the mounts.
clean_up() {
    if [ -n "$CHILD" ] && kill -KILL "$CHILD" 2>/dev/null; then
        wait "$CHILD" 2>/dev/null || true
    fi
    rm -rf "$ROOT"
}

timed() {
    say "$*"
    local start=$SECONDS
    inside "$@"
    say "$* took $((SECONDS - start)) s"
}

main "$@"
