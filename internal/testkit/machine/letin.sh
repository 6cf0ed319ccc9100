# Lets a user in by keys and by certificates, on a machine that runs or in the
# tree of one that doesn't yet.
set -eu
user=$1 keys=$2 authority=$3
if [ -n "$keys" ]; then
  home=$(getent passwd "$user" | cut -d: -f6)
  install -d -m 700 -o "$user" -g "$user" "$home/.ssh"
  printf '%s\n' "$keys" >"$home/.ssh/authorized_keys"
  chmod 600 "$home/.ssh/authorized_keys"
  chown "$user:$user" "$home/.ssh/authorized_keys"
fi
if [ -n "$authority" ]; then
  printf '%s\n' "$authority" >/etc/ssh/user_ca.pub
  printf 'TrustedUserCAKeys /etc/ssh/user_ca.pub\n' >/etc/ssh/sshd_config.d/user_ca.conf
  ! [ -d /run/systemd/system ] || systemctl reload ssh
fi
