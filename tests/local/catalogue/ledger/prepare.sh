# Two of these at once would each find the other's draft.
set -eu
echo "preparing the book"
if [ -e "$FOLDER/draft" ]; then
    # A zombie is nobody.
    case "$(ps -o state= -p "$(cat "$FOLDER/draft")" || true)" in
        "" | Z*) ;;
        *) echo "somebody else is at it" | tee -a "$FOLDER/quarrels"; exit 1 ;;
    esac
fi
echo $$ > "$FOLDER/draft"
sleep "$SLOW"
[ "$BAD" != prepare ] || { echo "the ink is dry"; exit 7; }
rm -f "$FOLDER/draft"
echo done >> "$FOLDER/prepared"
