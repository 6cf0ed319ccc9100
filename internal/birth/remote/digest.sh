# The fastest program that makes SHA-256 sums; both print the sum first.
LC_ALL=C
export LC_ALL
umask 077
if command -v openssl >/dev/null 2>&1; then
	sum='openssl dgst -sha256 -r'
else
	sum=sha256sum
fi
mkdir -p "$1" && chmod 700 "$1" && cd "$1" || exit

# A mark stands for a file that was read and found right. Whoever changes the file
# changes the mark: nobody can set the third of its times. It holds until the
# machine boots again, since power that is lost may take content with it.
boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null || date +%s%N)
marks() { find "$@" -maxdepth 1 -type f ! -name '.*' ! -name '*.part' -printf "$boot %f %s %T@ %C@ %i\n"; }
