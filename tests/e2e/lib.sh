# Shared by the parts of tests/e2e; sourced, never run. Every check ends in one line: `pass: …`, `fail: …` or `skip: …`, which
# `run` counts. What a part starts it ends, by process id, when it leaves.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
HERE=$ROOT/tests/e2e
SITE=$ROOT/fixtures/sites/etalage
AWNING=${AWNING_BIN:-$ROOT/target/release/awning}
CACHE=${AWNING_E2E_CACHE:-$HOME/.cache/awning-e2e}
mkdir -p "$CACHE"
TMP=$(mktemp -d)
PIDS=()

say() { printf '%s\n' "$*"; }
pass() { say "pass: $*"; }
skip() { say "skip: $*"; }
fail() { say "fail: $*"; }

# check NAME COMMAND…: passes when the command does.
check() {
    local name=$1
    shift
    if "$@"; then pass "$name"; else fail "$name"; fi
}

# is NAME EXPECTED FOUND
is() {
    if [ "$2" = "$3" ]; then pass "$1"; else fail "$1: expected '$2', found '$3'"; fi
}

# exits NAME CODE COMMAND…: passes when the command ends with that code; its stderr is kept in $TMP/stderr.
exits() {
    local name=$1 expected=$2 code=0
    shift 2
    "$@" 2>"$TMP/stderr" || code=$?
    [ "$code" = "$expected" ] || tail -n 5 "$TMP/stderr"
    is "$name" "exit $expected" "exit $code"
}

leave() {
    local pid
    for pid in "${PIDS[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${PIDS[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$TMP"
}
trap leave EXIT

# start NAME COMMAND…: in the background, its output in $TMP/NAME.log.
start() {
    local name=$1
    shift
    say "start: $name"
    "$@" >"$TMP/$name.log" 2>&1 &
    PIDS+=($!)
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

status() { curl -s -o /dev/null -w '%{http_code}' --max-time 5 "$@" || true; }

# answers NAME URL: waits until the server that was started as NAME answers anything at all, or shows why it did not.
answers() {
    local name=$1 url=$2 try
    for try in $(seq 150); do
        [ "$(status "$url")" = 000 ] || return 0
        sleep 0.2
    done
    say "$name did not answer at $url after $try tries:"
    tail -n 20 "$TMP/$name.log"
    return 1
}

# Tools are fetched once, into the cache; a part whose tool cannot be had is skipped in one line.

quietly() { "$@" >"$TMP/install.log" 2>&1; }

need_chromium() {
    command -v chromium >/dev/null && return
    say "install: chromium"
    quietly apt-get update || true
    quietly apt-get install -y --no-install-recommends chromium
}

# need_npm NAME@VERSION…: under $CACHE/npm/node_modules.
need_npm() {
    command -v npm >/dev/null || return 1
    local wanted=() package
    for package in "$@"; do
        grep -qs "\"version\": \"${package##*@}\"" "$CACHE/npm/node_modules/${package%@*}/package.json" || wanted+=("$package")
    done
    [ ${#wanted[@]} = 0 ] && return
    say "install: ${wanted[*]}"
    quietly npm install --prefix "$CACHE/npm" --ignore-scripts --no-audit --no-fund --no-package-lock "${wanted[@]}"
}

# need_python NAME==VERSION…: in a virtual environment of its own, whose programs are then on PATH.
need_python() {
    [ -x "$CACHE/venv/bin/python" ] || quietly python3 -m venv "$CACHE/venv" || return 1
    PATH=$CACHE/venv/bin:$PATH
    local frozen package
    frozen=$("$CACHE/venv/bin/pip" freeze 2>/dev/null)
    for package in "$@"; do
        grep -qixF "${package/\[*\]/}" <<<"$frozen" && continue
        say "install: $package"
        quietly "$CACHE/venv/bin/pip" install -q "$package" || return 1
    done
}

# Buckets.

# configure FILE BUCKET ENDPOINT REGION PORT ADMIN_PORT: an assets site for everything in the bucket.
configure() {
    cat >"$1" <<TOML
[store]
bucket = "$2"
endpoint = "$3"
region = "$4"

[publish]
public_url = "http://127.0.0.1:$5"

[shield]
listen = "127.0.0.1:$5"
admin_listen = "127.0.0.1:$6"

[[site]]
hosts = ["*"]
serve = "assets"
TOML
}

credentials() {
    export AWS_ACCESS_KEY_ID=$1 AWS_SECRET_ACCESS_KEY=$2
    unset B2_APPLICATION_KEY_ID B2_APPLICATION_KEY
}
