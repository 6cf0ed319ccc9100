# Brings a command its input, and ends it and its process group when nobody is
# there any more who wants it: what comes after the input is a sign of life every
# few seconds.
# Arguments: the command's process id, how many bytes its input has, how many
# seconds they may take to arrive, how long there may be no sign of life.
command=$1 length=$2 arrival=$3 silence=$4
exec 2>/dev/null
timeout --foreground "$arrival" head -c "$length"
arrived=$?
exec >/dev/null # the end of the command's input
while [ $arrived -ne 124 ] && [ "$(timeout --foreground "$silence" dd bs=64k count=1 | wc -c)" -gt 0 ]; do :; done

# run.sh ends what is above, and waits for what is below.
trap '' TERM
# Until the command has its session it is known by its process id alone.
kill -TERM -"$command" || kill -TERM "$command"
tries=0
while kill -0 -"$command" && [ $tries -lt 20 ]; do
	tries=$((tries + 1))
	sleep 0.1
done
kill -KILL "$command"
kill -KILL -"$command"
