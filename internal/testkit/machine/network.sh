# Connects the network namespace it runs in to the switch, which is process $1,
# and goes on with boot.sh, if given, in a process namespace, with which all that
# runs in the machine ends.
set -eu
switch=$1 port=$2 address=$3 mac=$4 boot=$5
shift 5
at_switch="nsenter --target $switch --net"
ip link set lo up
$at_switch ip link delete "$port" 2>/dev/null || : # of a machine just killed
ip link add host0 address "$mac" type veth peer name "$port"
ip link set "$port" netns "$switch"
$at_switch ip link set "$port" master bridge up
ip address add "$address" dev host0
ip link set host0 up
[ -n "$boot" ] || exit 0
exec unshare --pid --fork --kill-child --mount-proc sh -c "$boot" sh "$@"
