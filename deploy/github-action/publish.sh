#!/usr/bin/env bash
# Publishes what the inputs name. The command itself writes annotations, the
# summary of the step and the outputs.
set -euo pipefail

arguments=()
if [ -n "${INPUT_CONFIG:-}" ]; then
    arguments+=("--config=$INPUT_CONFIG")
fi
arguments+=(publish)
if [ -n "${INPUT_CHANNEL:-}" ]; then
    arguments+=("--channel=$INPUT_CHANNEL")
fi
# One argument a line, so that none needs quoting and none is evaluated.
while IFS= read -r argument || [ -n "$argument" ]; do
    if [ -n "$argument" ]; then
        arguments+=("$argument")
    fi
done <<<"${INPUT_ARGS:-}"

exec "$AWNING" "${arguments[@]}" -- "$INPUT_DIRECTORY"
