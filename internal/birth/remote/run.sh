# Runs a command in a session of its own and ends it, with its process group,
# when nobody is there any more who wants it: the input of this script brings
# that of the command, then a sign of life every few seconds.
# Arguments: the length of the command's input, how many seconds it may take to
# arrive, the seconds between two signs of life, the command.
length=$1 arrival=$2 silence=$3
shift 3
exec 3<&0
# Whoever of the two below ends first tells the other by the process group they
# share; the command has one of its own.
trap : TERM
feed() {
	trap 'exit 0' TERM
	timeout --foreground "$arrival" head -c "$length" <&3
	if [ $? -ne 124 ]; then
		exec >/dev/null
		while [ "$(timeout --foreground "$silence" head -c 1 <&3 | wc -c)" -eq 1 ]; do :; done
	fi
	kill -s TERM 0
}
# Before the command has its session it is known by its process id alone.
signal() { kill -s "$1" -- "-$command" || kill -s "$1" "$command"; }
end() {
	trap '' TERM
	signal TERM
	tries=0
	while signal 0 && [ $tries -lt 20 ]; do
		tries=$((tries + 1))
		sleep 0.1
	done
	signal KILL
	exit 143
} 2>/dev/null
work() {
	# A command in the background would read nothing but for this.
	exec 4<&0
	setsid "$@" <&4 3<&- 4<&- &
	command=$!
	trap end TERM
	wait $command 2>/dev/null # or the shell says how it was killed
	status=$?
	trap '' TERM
	# A signal that comes while a shell is just being forked can be lost, so it is
	# sent until this script, which waits for what feeds the command, has ended.
	while kill -0 $$; do
		kill -s TERM 0
		sleep 0.1
	done <&- >/dev/null 2>&1 3<&- 4<&- &
	exit $status
}
feed 2>/dev/null | work "$@"
