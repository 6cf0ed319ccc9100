# Takes blobs from its input, each checked by its digest before it gets its name.
# What is there of each half-done one is printed first, as its name and size.
#
#   blob SHA OFFSET LENGTH SIZE   and LENGTH bytes, of which the first is at OFFSET
#   pack LENGTH                   and a tar file of that length, small blobs by digest
#   drop SHA                      a half-done one that can't be right
#
# Answers, in any order: ok SHA, bad SHA, or once: fail and the reason.
say() { printf '%s\n' "$*"; }

# Content is written where it belongs rather than appended: two uploads of the
# same blob then don't harm each other.
take() { dd of="$1" bs=256k count="$3" seek="$2" iflag=fullblock,count_bytes oflag=seek_bytes conv=notrunc status=none 2>&1; }

fail() {
	say fail "$(printf '%s' "$1" | tr '\n' ' ')" "[$(df -P -k . | tail -n 1)]"
	wait
	exit 3
}

is() {
	got=$($sum "$2" 2>/dev/null)
	[ "${got%% *}" = "$1" ]
}

# A shorter one was cut, and stays to be taken up. Another upload of the same may
# have given it its name meanwhile, and a third may have begun it anew: so a name
# is given by a link, which doesn't replace, and only what is wrong is replaced.
check() {
	size=$(stat -c %s "$1.part" 2>/dev/null)
	if { is "$1" "$1.part" && ln "$1.part" "$1" 2>/dev/null; } || is "$1" "$1" ||
		{ is "$1" "$1.part" && mv "$1.part" "$1" 2>/dev/null; }; then
		rm -f "$1.part"
		marks "$1" >>.read 2>/dev/null
		say ok "$1"
	else
		[ "${size:-0}" -lt "$2" ] || rm -f "$1.part"
		say bad "$1"
	fi
}

unpack() {
	pack=$(mktemp -d pack.XXXXXX) || fail 'no directory can be made'
	trap 'rm -rf "$pack"' EXIT
	said=$(dd bs=64k count="$1" iflag=fullblock,count_bytes status=none | tar -x -f - -C "$pack" 2>&1) || fail "$said"
	answers=$(cd "$pack" && $sum * | while read -r got name; do
		name=${name#\*}
		if [ "$got" = "$name" ]; then
			say ok "$name"
		else
			rm "$name"
			say bad "$name"
		fi
	done)
	set -- "$pack"/*
	if [ -e "$1" ]; then
		said=$(mv "$@" . 2>&1) || fail "$said"
		marks $(printf '%s\n' "$answers" | sed -n 's/^ok //p') >>.read 2>/dev/null
	fi
	rmdir "$pack"
	say "$answers"
}

find . -maxdepth 1 -name '*.part' -printf '%f %s\n'
say .
while read -r verb a b c size; do
	case $verb in
	blob)
		said=$(take "$a.part" "$b" "$c") || fail "$said"
		check "$a" "$size" &
		;;
	pack) unpack "$a" ;;
	drop) rm -f "$a.part" ;;
	esac
done
wait
