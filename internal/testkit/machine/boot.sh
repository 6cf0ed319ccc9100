# Boots a machine over its disk, as its first process but one, and boots it again
# when it asks for that.
set -eu
name=$1 root=$2 dir=$3 cgroups=$4 cgroup=$5 let_in=$6 user=$7 keys=$8 authority=$9

# nspawn leaves traces in /run and /tmp when it is killed: these are its own.
mount -t tmpfs machine /run
mkdir /run/machine /run/root /run/merged
mount --rbind "$dir" /run/machine
mount --bind "$root" /run/root
mount --bind "$cgroups" /sys/fs/cgroup
mount -t tmpfs machine /tmp

disk=/run/machine/disk new=/run/merged
mkdir -p $disk/upper $disk/work
mount -t overlay machine -o lowerdir=/run/root,upperdir=$disk/upper,workdir=$disk/work $new
if ! [ -e $disk/made ]; then
  printf '%s\n' "$name" >$new/etc/hostname
  printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$name" >$new/etc/hosts
  ! [ -d /run/machine/host_keys ] || cp /run/machine/host_keys/* $new/etc/ssh/
  rm -f $new/var/lib/dbus/machine-id # of the making of the root: each would have it as its own
  [ -s /run/machine/seed/user-data ] || : >$new/etc/cloud/cloud-init.disabled
  if [ "$user" != root ]; then
    chroot $new id -u "$user" >/dev/null 2>&1 || chroot $new useradd --create-home --shell /bin/bash "$user"
    printf '%s ALL=(ALL) NOPASSWD: ALL\n' "$user" >"$new/etc/sudoers.d/$user"
    chmod 440 "$new/etc/sudoers.d/$user"
  fi
  chroot $new sh -c "$let_in" sh "$user" "$keys" "$authority"
  : >$disk/made
fi

mkdir -p "/sys/fs/cgroup$cgroup"
while :; do
  status=0
  sh -c 'echo $$ >"/sys/fs/cgroup$0/cgroup.procs" && exec "$@"' "$cgroup" \
    systemd-nspawn -q -D $new --machine="$name" --hostname="$name" --boot --register=no --keep-unit \
    --network-namespace-path=/proc/self/ns/net --bind-ro=/run/machine/seed:/var/lib/cloud/seed/nocloud \
    --resolv-conf=off --timezone=off --link-journal=no || status=$?
  [ $status -eq 133 ] || exit $status # 133: to be started again
done
