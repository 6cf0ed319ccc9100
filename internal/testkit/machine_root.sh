# Makes the file system of blank machines: Debian with systemd, sshd and
# cloud-init, as a cloud's image has them. What differs between machines, such as
# host keys and the machine id, comes with their first boot.
set -eu
root=$1 mirror=$2
debootstrap --variant=minbase \
  --include=systemd,systemd-sysv,dbus,openssh-server,iproute2,ca-certificates,python3-minimal \
  bookworm "$root" "$mirror"

# cloud-init's dependencies are beyond debootstrap. Nothing is started here.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
chroot "$root" apt-get install -q -y --no-install-recommends cloud-init sudo curl
chroot "$root" apt-get clean
rm -rf "$root/usr/sbin/policy-rc.d" "$root"/etc/ssh/ssh_host_* "$root"/var/lib/apt/lists/*
: >"$root/etc/machine-id"

# No name is known there: asking must fail at once rather than hang.
printf 'nameserver 127.0.0.1\n' >"$root/etc/resolv.conf"
rm -f "$root"/etc/systemd/system/timers.target.wants/apt-daily*
cat >"$root/etc/cloud/cloud.cfg.d/90-machine.cfg" <<END
datasource_list: [ NoCloud, None ]
network: { config: disabled }
ssh_deletekeys: false
ssh_genkeytypes: [ ed25519, ecdsa ]
locale: false
END
