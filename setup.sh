#!/bin/sh
# Gets what Counterfoil needs beyond a Rust toolchain, a C compiler and make: the server programs of
# PostgreSQL 15 or later, from this machine's own package manager. Says what it does, and does nothing
# when nothing is missing. A database that the package makes for itself is not used and not touched.
set -eu

minimum=15

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# The major version of the server in a directory; nothing if there is none.
server_version() {
    [ -x "$1/initdb" ] && [ -x "$1/postgres" ] || return 0
    "$1/postgres" --version 2>/dev/null | sed -n 's/.*(PostgreSQL) \([0-9][0-9]*\).*/\1/p'
}

# Distributions keep these programs out of the search path. The executable looks in the same places.
newest_server() {
    newest=0
    for directory in $(printf '%s' "$PATH" | tr ':' ' ') "$(pg_config --bindir 2>/dev/null || true)" \
        /usr/lib/postgresql/*/bin /usr/lib/postgresql*/bin /usr/libexec/postgresql* /usr/pgsql-*/bin \
        /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin \
        /home/linuxbrew/.linuxbrew/opt/postgresql@*/bin; do
        version=$(server_version "$directory")
        if [ -n "$version" ] && [ "$version" -gt "$newest" ]; then newest=$version; fi
    done
    echo "$newest"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif has sudo; then
        say "running with sudo: $*"
        sudo "$@"
    else
        fail "PostgreSQL is missing, and installing it needs root: as root, run: $*"
    fi
}

install_postgres() {
    if has apt-get; then
        as_root apt-get -o DPkg::Lock::Timeout=300 update -qq
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends postgresql
    elif has dnf; then
        # On Red Hat's own systems the default stream is older; elsewhere there are no streams.
        as_root dnf -q -y module enable postgresql:16 >/dev/null 2>&1 || true
        as_root dnf -q -y install postgresql-server
    elif has apk; then
        as_root apk add --quiet postgresql
    elif has pacman; then
        as_root pacman -Sy --noconfirm --needed postgresql
    elif has zypper; then
        as_root zypper --non-interactive install postgresql-server
    elif has brew; then
        brew install postgresql@17
    else
        fail "PostgreSQL $minimum or later is missing, and there is no package manager here that I know"
    fi
}

has cargo || fail "there is no Rust toolchain (cargo); https://rustup.rs says how to get one"
has cc || has gcc || has clang || fail "there is no C compiler; install gcc or clang"

version=$(newest_server)
if [ "$version" -lt "$minimum" ]; then
    say "PostgreSQL $minimum or later is missing; installing it through this machine's package manager"
    install_postgres >&2
    version=$(newest_server)
    [ "$version" -ge "$minimum" ] ||
        fail "what this machine's package manager has is older than PostgreSQL $minimum; see https://www.postgresql.org/download/"
    say "PostgreSQL $version is installed"
fi
