# Prints the SHA-256 sum and the name of each file that is there. The input is
# names, one a line: large files, each of which is one process's work, then a dot
# and small ones. What its mark says was read before isn't read again. A name that
# isn't there is no failure.
work=$(mktemp -d /run/homeostat.XXXXXX) || exit
trap 'rm -rf "$work"' EXIT
cat >"$work/asked"
marks . >"$work/now"
grep -F -x -f .read "$work/now" >"$work/before" 2>/dev/null
cut -d ' ' -f 2 "$work/before" >"$work/known"
grep -F -x -f "$work/known" "$work/asked" | sed 's/.*/& &/'

sums() { grep -v -F -x -f "$work/known" | xargs -r -P "$(nproc)" -n "$1" $sum 2>/dev/null || [ $? -eq 123 ]; }
{
	sed '/^\.$/,$d' "$work/asked" | sums 1
	sed '1,/^\.$/d' "$work/asked" | sums 30
} >"$work/sums"
cat "$work/sums"

sed -n -E 's/^(.{64}) [ *]\1$/\1/p' "$work/sums" >"$work/right"
[ -s "$work/right" ] || exit 0
# Where it can't be noted, it is read again.
{ cat "$work/before" && grep -F -f "$work/right" "$work/now"; } >".read.$$" 2>/dev/null && mv ".read.$$" .read || rm -f ".read.$$"
