# shellcheck shell=bash disable=SC2034 # what is set here is used where it is sourced
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
# Programs that are ended leave their own temporary files behind.
export TMPDIR=$TMP
PIDS=()
# Whatever proxy this machine has, it is not for servers on the machine itself.
export no_proxy="127.0.0.1,localhost${no_proxy:+,$no_proxy}"
export NO_PROXY=$no_proxy

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
    bounded 300 "$@" 2>"$TMP/stderr" || code=$?
    [ "$code" = "$expected" ] || tail -n 5 "$TMP/stderr"
    is "$name" "exit $expected" "exit $code"
}

leave() {
    local pid
    trap '' INT TERM HUP
    for pid in "${PIDS[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${PIDS[@]}"; do
        for _ in $(seq 100); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$TMP" 2>/dev/null || { sleep 1; rm -rf "$TMP"; }
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# start NAME COMMAND…: in the background, its output in $TMP/NAME.log.
start() {
    local name=$1
    shift
    say "start: $name"
    "$@" >"$TMP/$name.log" 2>&1 &
    PIDS+=($!)
}

# bounded SECONDS COMMAND…: in the background, because a shell hears a signal only after the command in its foreground has ended.
bounded() {
    local limit=$1 code=0
    shift
    timeout --kill-after=10 "$limit" "$@" &
    PIDS+=($!)
    wait $! || code=$?
    unset "PIDS[${#PIDS[@]}-1]"
    return "$code"
}

# free_port: one that nobody has, and that was not given before. It is below those that the system gives to connections, so nobody gets it
# before the server that it is for.
free_port() {
    python3 - "$TMP/ports" <<'PYTHON'
import pathlib, random, socket, sys
given = pathlib.Path(sys.argv[1])
taken = given.read_text().split() if given.exists() else []
for port in random.sample(range(20000, 32768), 1000):
    try:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
    except OSError:
        continue
    if str(port) not in taken:
        given.write_text(" ".join([*taken, str(port)]))
        print(port)
        break
else:
    sys.exit("no port is free")
PYTHON
}

status() { curl -s -o /dev/null -w '%{http_code}' --max-time 30 "$@" || true; }

# answers NAME URL: waits until the server that was started last, as NAME, answers anything at all, or shows why it did not.
answers() {
    local name=$1 url=$2 deadline=$((SECONDS + 120))
    while kill -0 "${PIDS[-1]}" 2>/dev/null && [ "$SECONDS" -lt "$deadline" ]; do
        [ "$(status "$url")" = 000 ] || return 0
        sleep 0.2
    done
    say "$name does not answer at $url:"
    tail -n 20 "$TMP/$name.log"
    return 1
}

# Tools are fetched once, into the cache; a part whose tool cannot be had is skipped in one line.

# quietly COMMAND…: shows the end of what it said only when it failed.
quietly() {
    bounded 600 "$@" >"$TMP/install.log" 2>&1 && return
    say "note: $*: $(tail -n 1 "$TMP/install.log")"
    return 1
}

need_chromium() {
    command -v chromium >/dev/null && return
    say "install: chromium"
    command -v apt-get >/dev/null || return 1
    quietly apt-get update || true
    quietly env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends chromium
}

# need_storms: the visitors of tests/e2e/storms as $STORMS, and the front of tests/front as $FRONT.
need_storms() {
    STORMS=${AWNING_STORMS:-$(dirname "$AWNING")/examples/storms}
    FRONT=${AWNING_FRONT:-$(dirname "$AWNING")/awning-front}
    [ -x "$STORMS" ] || (cd "$ROOT" && quietly cargo build --release --locked --example storms) || return 1
    [ -x "$FRONT" ] || (cd "$ROOT" && quietly cargo build --release --locked -p awning-front) || return 1
    [ -x "$STORMS" ] && [ -x "$FRONT" ]
}

# need_npm NAME@VERSION…: under $CACHE/npm/node_modules.
need_npm() {
    command -v npm >/dev/null && command -v node >/dev/null || return 1
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
    local python=$CACHE/venv/bin/python frozen package
    # One without pip was left behind by a system that cannot make one, or not yet.
    "$python" -m pip --version >/dev/null 2>&1 || quietly python3 -m venv --clear "$CACHE/venv" || return 1
    PATH=$CACHE/venv/bin:$PATH
    frozen=$("$python" -m pip freeze 2>/dev/null)
    for package in "$@"; do
        grep -qixF "${package/\[*\]/}" <<<"$frozen" && continue
        say "install: $package"
        quietly "$python" -m pip --require-virtualenv install -q "$package" || return 1
    done
}

# Time. Days pass for what is started behind "${DATED[@]}": it reads a clock that `ahead` sets. Where that cannot be, the array is empty.
DATED=()

need_clock() {
    [ "$(uname -s)" = Linux ] && command -v cc >/dev/null || return 1
    quietly cc -O2 -shared -fPIC -o "$TMP/clock.so" "$HERE/clock.c" || return 1
    ahead 0
    env "LD_PRELOAD=$TMP/clock.so" "AHEAD=$TMP/ahead" true || return 1
    DATED=(env "LD_PRELOAD=$TMP/clock.so" "AHEAD=$TMP/ahead")
}

# ahead DAYS: by how much the clock is ahead from now on. Written into its place, because it is mapped there.
ahead() { python3 -c 'import os, struct, sys; os.pwrite(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT), struct.pack("l", 86400 * int(sys.argv[2])), 0)' "$TMP/ahead" "$1"; }

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
