# Does once what machines need of the kernel, in namespaces that end with it.
set -eu
mount -t tmpfs probe /run
mkdir /run/lower /run/upper /run/work /run/merged
mount -t overlay probe -o lowerdir=/run/lower,upperdir=/run/upper,workdir=/run/work /run/merged
ip link add bridge type bridge
ip link add one type veth peer name two
ip link set one master bridge
