# Becomes the process that holds a bridge, in a network namespace of its own, and
# its link to the namespace of process $2. It also holds, in its mount namespace,
# the disks that lie in memory, which so outlive the machines' power.
set -eu
device=$1 home=$2 address=$3
ip link set lo up
ip link add bridge type bridge
ip link set bridge up
ip link add host type veth peer name "$device"
ip link set host master bridge up
ip link set "$device" netns "$home"
outside="nsenter --target $home --net"
# What machines send is for this host alone, also where it forwards for others.
$outside sh -c "echo 0 >/proc/sys/net/ipv4/conf/$device/forwarding"
# Who asks for a machine that isn't there yet asks again soon, not after a second.
$outside sh -c "echo 50 >/proc/sys/net/ipv4/neigh/$device/retrans_time_ms"
$outside ip address add "$address" dev "$device"
$outside ip link set "$device" up
exec sleep infinity
