# Gives the asker a key of its own: for one bucket, which is made, or for all when none was named.
# Run again it changes nothing. The store can be ready a moment before its filer takes commands.
set -eu
actions=Read,Write,List,Tagging
limit=
create=
if [ -n "$BUCKET" ]; then
    create="s3.bucket.create -name $BUCKET"
    limit="-buckets=$BUCKET"
else
    actions="$actions,Admin"
fi
tries=0
while :; do
    # The reply repeats the secret, so it is searched and not printed. The exit code tells nothing: it is 1
    # when the bucket is there already.
    reply=$({
        [ -z "$create" ] || printf '%s\n' "$create"
        printf 's3.configure -user=%s -access_key=%s -secret_key=%s %s -actions=%s -apply\n' \
            "$ASKER" "$ACCESS_KEY" "$SECRET_KEY" "$limit" "$actions"
        printf 's3.bucket.list\n'
    } | weed shell "-master=$WEED_MASTER" "-filer=$WEED_FILER" 2>/dev/null) || :
    case "$reply" in
        *"$ACCESS_KEY"*)
            if [ -z "$BUCKET" ]; then exit 0; fi
            case "$reply" in *"$BUCKET"*) exit 0 ;; esac ;;
    esac
    tries=$((tries + 1))
    if [ "$tries" -ge 20 ]; then
        echo "the store did not take the key of $ASKER" >&2
        exit 1
    fi
    sleep 0.5
done
