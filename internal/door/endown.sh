# Ends the connection through which the door was shut, when the process that
# shut it has ended and its answer is on its way.
# Arguments: that process, the processes to end.
caller=$1
shift
tries=0
while kill -0 "$caller" && [ $tries -lt 600 ]; do
	tries=$((tries + 1))
	sleep 0.1
done
sleep 0.5
for pid; do kill -TERM "$pid"; done
sleep 1
for pid; do kill -KILL "$pid"; done
