# shellcheck shell=bash
# peer NAME ENDPOINT REGION BUCKET: awning's publish and serve on another S3 server whose bucket is there and empty.
peer() {
    local name=$1 endpoint=$2 region=$3 bucket=$4 port admin before
    port=$(free_port)
    admin=$(free_port)
    export AWNING_CONFIG=$TMP/$name.toml
    configure "$AWNING_CONFIG" "$bucket" "$endpoint" "$region" "$port" "$admin"
    keys() { aws --endpoint-url "$endpoint" --region "$region" s3api list-objects-v2 --bucket "$bucket" --query 'Contents[].[Key,ETag,LastModified]' --output text; }

    exits "$name: publishes" 0 "$AWNING" publish "$SITE"
    before=$(keys)
    exits "$name: publishes again" 0 "$AWNING" publish "$SITE"
    is "$name: the second publish changed nothing" "$before" "$(keys)"
    "$AWNING" manifest --format awning >"$TMP/$name.json"
    start "$name-shield" "$AWNING" serve
    answers "$name-shield" "http://127.0.0.1:$port/"
    bounded 300 python "$HERE/verify.py" "$name" "http://127.0.0.1:$port" "$TMP/$name.json" "$SITE"
}
