set -eu
echo "opening account $ACCOUNT"
sleep "$SLOW"
[ "$BAD" != provision ] || { echo "the bank is closed"; exit 8; }
printf %s "$ACCOUNT_PASSWORD" > "$FOLDER/account.$ACCOUNT"
echo "$ACCOUNT" >> "$FOLDER/accounts"
