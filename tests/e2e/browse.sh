# shellcheck shell=bash
# browse URL DIRECTORY: drives the etalage at URL in Chromium; screenshots go to DIRECTORY.
browse() {
    if ! need_chromium; then
        skip "the browser: chromium cannot be installed"
    elif ! need_npm playwright-core@1.65.1; then
        skip "the browser: playwright-core cannot be installed"
    else
        mkdir -p "$2"
        bounded 300 node "$HERE/browser.mjs" "$1" "$2" "$CACHE/npm" "$(command -v chromium)"
    fi
}
