# Takes a cell off a machine, in whatever life it is there, and nobody else's.
# Arguments: the program that births have put there, the service, the cell's name.
[ -x "$1" ] || exit 0
said=$("$1" machine claim) || exit
case $said in
null) # it was cut before the machine was taken, but what was brought may be laid out
	"$1" machine remove && rm -rf "$1" "${1%/*}/bundle"
	;;
*"\"service\":\"$2\",\"name\":\"$3\","*) "$1" machine remove && "$1" machine release ;;
esac
