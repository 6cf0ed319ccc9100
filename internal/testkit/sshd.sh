# Makes this mount and process id namespace look like a small machine of its own
# and becomes its sshd. Nothing here is seen outside: /etc is a copy, and what
# sshd, sudo and a birth write to lies on file systems of this namespace.
# Arguments: the server's directory, where sshd and sudo are unpacked or "/", the
# size of the machine's disk in bytes or 0 for that of the real one, accounts.
set -eu
directory=$1 packages=$2 disk=$3
shift 3

mkdir -p "$directory/etc" "$directory/homeostat"
mount -t tmpfs -o mode=755 etc "$directory/etc"
cp -a /etc/. "$directory/etc/"
mount --move "$directory/etc" /etc
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/sshd
mount -t tmpfs -o mode=755 home /home
mount -t tmpfs -o mode=755 lib /var/lib
mkdir /var/lib/homeostat
if [ "$disk" = 0 ]; then
	mount --bind "$directory/homeostat" /var/lib/homeostat
else
	mount -t tmpfs -o "mode=700,size=$disk" disk /var/lib/homeostat
fi

grep -q '^sshd:' /etc/passwd || echo 'sshd:x:4990:65534::/run/sshd:/usr/sbin/nologin' >>/etc/passwd
# What this machine's root has its shell do at login isn't the small one's.
sed -i 's|^root:.*|root:x:0:0:root:/home/root:/bin/sh|' /etc/passwd
mkdir -m 700 /home/root
id=5000
for user; do
	id=$((id + 1))
	echo "$user:x:$id:$id::/home/$user:/bin/sh" >>/etc/passwd
	echo "$user:x:$id:" >>/etc/group
	echo "$user:*:19000:0:99999:7:::" >>/etc/shadow
	mkdir -m 700 "/home/$user"
	chown "$id:$id" "/home/$user"
done

if [ "$packages" != / ]; then
	mount -t tmpfs -o mode=755 bin /usr/local/bin
	mount -t tmpfs -o mode=755 libexec /usr/libexec
	cp -a "$packages/usr/libexec/sudo" /usr/libexec/
	cp "$packages/usr/bin/sudo" /usr/local/bin/
	chmod 4755 /usr/local/bin/sudo
	cp "$packages/etc/pam.d/sudo" /etc/pam.d/
fi
echo 'root ALL=(ALL:ALL) NOPASSWD: ALL' >/etc/sudoers
mkdir -p /etc/sudoers.d
rm -f /etc/sudoers.d/*
for user; do
	echo "$user ALL=(ALL) NOPASSWD: ALL" >>/etc/sudoers
done
chmod 440 /etc/sudoers

[ "$packages" = / ] || export LD_LIBRARY_PATH="$SSHD_LIBRARIES"
exec "${packages%/}/usr/sbin/sshd" -D -e -f "$directory/sshd_config"
