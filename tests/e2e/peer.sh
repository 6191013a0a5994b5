# shellcheck shell=bash
# All of the publisher, and the shield behind it, on an S3 server whose bucket is there and empty.
# The functions below `peer` use its variables.

# peer NAME ENDPOINT REGION BUCKET VERSIONS CONDITIONS: the last two are what `awning doctor` ought to say of versions (on or off) and of
# conditional writes.
peer() {
    local name=$1 endpoint=$2 region=$3 bucket=$4 versions=$5 conditions=$6 tree=$TMP/$1-tree port admin url first second
    local -x LC_ALL=C
    port=$(free_port)
    admin=$(free_port)
    url=http://127.0.0.1:$port
    export AWNING_CONFIG=$TMP/$name.toml AWNING_PUBLISH_MULTIPART_ABOVE=5MiB AWNING_PUBLISH_PART_SIZE=5MiB
    configure "$AWNING_CONFIG" "$bucket" "$endpoint" "$region" "$port" "$admin"
    ahead 0
    cp -R "$SITE" "$tree"
    mkdir "$tree/media"
    head -c 12000000 /dev/urandom >"$tree/media/film.mp4"
    stock 1

    peer_examines
    peer_publishes
    peer_serves
    peer_edits
    peer_mends
    peer_switches
    peer_plans
    peer_collects
}

peer_examines() {
    ends "the doctor finds nothing wrong" 0 "^ok +credentials" doctor
    ends "the doctor sees by writing what the store can do" 0 "^ok +conditional writes +$conditions" doctor --probe
    check "$name: the doctor says that versions are $versions" grep -qE "^ok +versioning +$versions: " "$TMP/said"
    is "$name: the doctor leaves nothing behind" "" "$(keys)"
}

peer_publishes() {
    local before
    ends "publishes" 0 "^published" publish "$tree"
    before=$(keys)
    ends "publishes again" 0 "^unchanged" publish "$tree"
    is "$name: the second publish changed nothing" "$before" "$(keys)"
    check "$name: 12 MB went in three parts" grep -qE '^a/media/film\.[a-z2-7]+\.mp4\s"[0-9a-f]{32}-3"' <<<"$before"
    first=$(current)
}

peer_serves() {
    local coding
    awning manifest --format awning >"$TMP/$name.json"
    start "$name-shield" "${DATED[@]}" "$AWNING" serve
    answers "$name-shield" "$url/"
    bounded 300 python "$HERE/verify.py" "$name" "$url" "$TMP/$name.json" "$tree"
    for coding in br zstd gzip; do
        is "$name: visitors that take $coding get it" "$coding" "$(coding_of "$coding")"
    done
    is "$name: visitors that take no coding get none" "" "$(coding_of identity)"
    check "$name: a coded variant is the file" cmp -s <(curl -s --compressed "$url/stock.txt") "$tree/stock.txt"
}

peer_edits() {
    local before after
    before=$(keys)
    stock 2
    # The file and its three variants.
    ends "publishes one edit" 0 " 4 uploaded " publish "$tree"
    after=$(keys)
    is "$name: only what changed is written" "$(printf '%s\n' .awning/{channels/production/head,channels/production/log/N,intents/N,releases/N}.json a/stock.txt{,.br,.gz,.zst})" \
        "$(comm -13 <(echo "$before") <(echo "$after") | cut -f1 | sed -E 's/\.[a-z2-7]{16,}//; s/[0-9a-f-]{20,}/N/' | sort)"
    is "$name: nothing else is touched" "head.json" "$(comm -23 <(echo "$before") <(echo "$after") | cut -f1 | sed 's|.*/||')"
    second=$(current)
    shows "visitors get the edit" 2
}

peer_mends() {
    local key
    key=$(current_key)
    ends "verifies" 0 "^whole" verify
    ends "verifies every byte" 0 "^whole .* read$" verify --full
    sed 's/edition 2/edition 9/' "$tree/stock.txt" >"$TMP/damage"
    s3 put-object --key "$key" --body "$TMP/damage" >/dev/null
    s3 delete-object --key "$key.br" >/dev/null
    ends "finds a damaged object and a missing one" 6 "2 object\(s\) are missing or damaged" verify --full
    check "$name: names both" test "$(grep -cE "$key(\.br)?\`" "$TMP/said")" = 2
    ends "mends both" 0 "^repaired .* 2 stored again$" verify --full --repair "$tree"
    ends "is whole again" 0 "^whole" verify --full
}

peer_switches() {
    ends "lists its releases" 0 "^$second .* head" releases
    check "$name: the first release is listed" grep -q "^$first " "$TMP/said"
    ends "tells releases apart" 0 "^changed +stock.txt" diff "$first" head
    ends "rolls back" 0 "^rolled-back $first " rollback
    shows "visitors get what was there before" 1
    ends "a publish does not undo a rollback" 5 "locked|rolled back" publish "$tree"
    ends "lets publishes go on" 0 "^unlocked $first " rollback --unlock
    ends "goes forward to the second release" 0 "^promoted $second " promote "$second"
    shows "visitors get the second release again" 2
}

peer_plans() {
    stock 3
    ends "plans" 0 "stock" plan "$tree" -o "$TMP/$name-plan"
    ends "applies the plan" 0 "^published" apply "$TMP/$name-plan"
    shows "visitors get what was planned" 3
    stock 4
    ends "plans once more" 0 "stock" plan "$tree" -o "$TMP/$name-plan"
    stock 5
    export AWNING_STORE_CONDITIONAL_WRITES=probe
    ends "publishes with conditional writes where there are any" 0 "^published" publish "$tree"
    unset AWNING_STORE_CONDITIONAL_WRITES
    stock 4
    ends "refuses a plan when the channel has moved" 5 "moved since it was planned" apply "$TMP/$name-plan"
    stock 5
    shows "visitors do not see a refused plan" 5
}

# A grace of a day is the shortest there is, so days have to pass.
peer_collects() {
    local gc=(gc --keep 1 --keep-days 0 --grace 24h) before
    mkdir -p "$TMP/preview"
    echo preview >"$TMP/preview/only.txt"
    ends "publishes a preview" 0 "^published .* on preview-7" publish "$TMP/preview" --channel preview-7 --expires 2h
    ends "the preview has an end" 0 "head  ends " releases --channel preview-7
    [ ${#DATED[@]} -gt 0 ] || { skip "$name: nothing is collected: no C compiler to make days pass with"; return; }
    ahead 3
    before=$(all)
    [ "$versions" = off ] || check "$name: hidden versions have gathered" test -n "$(hidden)"
    ends "a dry run tells what nothing needs" 0 "^would condemn [1-9]" "${gc[@]}" --dry-run
    is "$name: a dry run writes nothing" "$before" "$(all)"
    ends "a collection lists it first" 0 "^condemned [1-9]" "${gc[@]}"
    is "$name: and deletes nothing yet" "" "$(comm -23 <(echo "$before") <(all))"
    ahead 6
    ends "the next one deletes it" 0 "^deleted [1-9]" "${gc[@]}"
    say "note: $name: $(grep ^deleted "$TMP/said")"
    if [ "$versions" = on ]; then
        is "$name: no hidden version is left" "" "$(hidden)"
    else
        check "$name: and says that it went by key" grep -q "run one collector at a time" "$TMP/said"
    fi
    is "$name: the preview that ended is gone" "" "$(keys | grep -E 'preview-7|^a/only' || true)"
    # The releases of the two newest records stay: the editions 3 and 5, in four codings.
    is "$name: the older releases are gone" 8 "$(keys | grep -c '^a/stock\.')"
    ends "what is left is whole" 0 "^whole" verify --full
    ends "and publishing it again changes nothing" 0 "^unchanged" publish "$tree"
    shows "visitors notice nothing" 5
}

awning() { "${DATED[@]}" "$AWNING" "$@"; }

s3() { local call=$1; shift; "${DATED[@]}" aws --endpoint-url "$endpoint" --region "$region" s3api "$call" --bucket "$bucket" "$@"; }

# ends WHAT CODE WORDS ARGUMENTS…: awning ends with that code and says those words, an extended regular expression.
ends() {
    local what=$1 expected=$2 words=$3 code=0
    shift 3
    bounded 300 "${DATED[@]}" "$AWNING" "$@" >"$TMP/said" 2>&1 || code=$?
    if [ "$code" = "$expected" ] && grep -qE -- "$words" "$TMP/said"; then
        pass "$name: $what"
    else
        tail -n 20 "$TMP/said"
        fail "$name: $what: expected exit $expected and '$words', found exit $code"
    fi
}

# stock EDITION: a file of which only that differs.
stock() { seq -f "lamp %g: edition $1" 5000 >"$tree/stock.txt"; }

current() { awning releases --limit 1 | cut -d ' ' -f 1; }

current_key() { awning resolve stock.txt | sed "s|^$url/|a/|"; }

# The newest version of each key, and where there are versions their names: a write of the same bytes shows as well.
keys() { all | grep -v $'\tFalse$' || true; }

# all: every version there is, sorted.
all() {
    if [ "$versions" = on ]; then
        s3 list-object-versions --query 'Versions[].[Key,ETag,LastModified,VersionId,IsLatest]' --output text
    else
        s3 list-objects-v2 --query 'Contents[].[Key,ETag,LastModified]' --output text
    fi | grep -v '^None$' | sort
}

# hidden: versions behind the newest, and hide markers.
hidden() {
    [ "$versions" = on ] || return 0
    s3 list-object-versions --query '[Versions[?!IsLatest],DeleteMarkers][].[Key,VersionId]' --output text | grep -v '^None' || true
}

coding_of() { curl -s -o /dev/null -D - --max-time 30 -H "Accept-Encoding: $1" "$url/stock.txt" | tr -d '\r' | awk -F': ' 'tolower($1) == "content-encoding" { print $2 }'; }

# shows WHAT EDITION: waits until the shield has seen a switch of the channel.
shows() {
    local what=$1 expected="lamp 1: edition $2" found deadline=$((SECONDS + 60))
    while found=$(curl -s --max-time 30 "$url/stock.txt" | sed -n 1p) && [ "$found" != "$expected" ] && [ "$SECONDS" -lt "$deadline" ]; do
        sleep 0.2
    done
    is "$name: $what" "$expected" "$found"
}
