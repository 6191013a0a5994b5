#!/usr/bin/env bash
# Finds the awning binary, or builds it from the checkout this action lies in,
# and names it as the output `path`.
set -euo pipefail

binary="${INPUT_BINARY:-}"
if [ -z "$binary" ]; then
    binary="$(command -v awning || true)"
fi
if [ -z "$binary" ]; then
    root="$(cd "$ACTION_PATH/../.." && pwd)"
    cargo build --release --locked --package awning-cli --manifest-path "$root/Cargo.toml"
    binary="${CARGO_TARGET_DIR:-$root/target}/release/awning"
fi
if [ ! -x "$binary" ]; then
    echo "::error::there is no awning binary at the path that the input \`binary\` names"
    exit 2
fi
# A second line would be another output.
case "$binary" in
*$'\n'*)
    echo "::error::the path of the binary holds a line break"
    exit 2
    ;;
esac
printf 'path=%s\n' "$binary" >>"$GITHUB_OUTPUT"
