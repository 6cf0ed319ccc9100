# Runs a command in a session of its own, with watch.sh beside it, and ends with
# its exit status.
# Arguments: watch.sh, how many bytes of this script's input are the command's,
# how many seconds those may take to arrive, how long there may be no sign of life
# after them, the command.
watch=$1 length=$2 arrival=$3 silence=$4
shift 4
# The pipe has a name, so that the process which writes to it can be told of the
# one that reads from it.
directory=$(mktemp -d /run/homeostat.XXXXXX) && mkfifo "$directory/input" || exit
exec 3<&0
setsid "$@" <"$directory/input" 3<&- &
command=$!
exec 4>"$directory/input" >/dev/null 2>&1
rm -r "$directory"
setsid /bin/sh -c "$watch" homeostat "$command" "$length" "$arrival" "$silence" <&3 >&4 3<&- 4>&- &
watcher=$!
exec 3<&- 4>&-
wait "$command"
status=$?
# What only waits for signs of life ends by this. If it is about to end what the
# command has left, it minds no signal, and is waited for. Until it has its
# session it is known by its process id alone.
kill -TERM "$watcher"
kill -TERM -"$watcher"
wait "$watcher"
exit $status
