#!/bin/sh
# Makes a cell of this machine at its first boot. Written by Homeostat.
set -eu
umask 077
[ ! -e /var/lib/homeostat/cell.json ] && [ ! -e /var/lib/homeostat/boot/state.json ] || exit 0
# A cell is run by systemd. A machine without it ends itself.
if [ ! -d /run/systemd/system ]; then
  why='homeostat: this machine is not run by systemd, which a cell needs, so it is powered off'
  echo "$why" >&2
  { echo "$why" >/dev/console; } 2>/dev/null || :
  poweroff || shutdown -h now
  exit 1
fi
mkdir -p /var/lib/homeostat/boot
cat >/var/lib/homeostat/boot/order.json <<'END OF FILE'
{"ticket":{"service":"crawler","name":"crawler-7","incarnation":"i7","token":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},"consul":["10.0.0.1:8500","https://consul.example.com"],"prefix":"homeostat","datacenter":"dc1","bundle":"1111111111111111111111111111111111111111111111111111111111111111","genome":"2222222222222222222222222222222222222222222222222222222222222222","store":"s3://bundles/crawler?region=eu-west-1","environment":{"QUOTES":"it's \"quoted\" $x"},"deadline":"2026-09-21T14:13:20Z"}
END OF FILE
cat >/var/lib/homeostat/boot/start <<'END OF FILE'
#!/bin/sh
# Makes a cell of this machine: fetches the homeostat program and runs it. It is run
# again after a reboot until the cell is installed; then all of this is removed.
set -u
umask 077
dir=/var/lib/homeostat/boot
program=/var/lib/homeostat/program
url='https://example.com/it'\''s/homeostat'
sum=3333333333333333333333333333333333333333333333333333333333333333
deadline=1790000000
lifetime=0
began=$(cut -d . -f 1 /proc/uptime)

say() {
  echo "homeostat: $*" >&2
  { echo "homeostat: $*" >/dev/console; } 2>/dev/null || :
}

# How many seconds are left: since the boot, for the clock may be wrong, and by the
# clock on a machine that has run for longer.
left() {
  if [ "${began:-0}" -lt "$lifetime" ]; then
    echo $((lifetime - $(cut -d . -f 1 /proc/uptime)))
  else
    echo $((deadline - $(date +%s)))
  fi
}

# Says whether a cell lives here, which is never touched.
lives() {
  [ -e /var/lib/homeostat/cell.json ] && ! grep -q '"phase": *"installing"' /var/lib/homeostat/cell.json
}

# Has the machine end itself: nobody waits for it any more.
give_up() {
  say "$1"
  ! lives || exit 0
  say "this machine has not become a cell in time and is powered off"
  timeout 60 systemctl poweroff || timeout 60 poweroff || timeout 60 shutdown -h now
  exit 1 # so that systemd has it tried again where that didn't end the machine
}

fetch() {
  limit=$(left)
  [ "$limit" -gt 0 ] || limit=1
  if ! command -v sha256sum >/dev/null; then
    echo "there is no sha256sum on this machine" >&2
    return 1
  elif command -v curl >/dev/null; then
    timeout "$limit" curl -fsSL --connect-timeout 10 --speed-limit 1024 --speed-time 60 -o "$2" "$1"
  elif command -v wget >/dev/null; then
    timeout "$limit" wget -q -T 60 -O "$2" "$1"
  elif command -v python3 >/dev/null; then
    timeout "$limit" python3 -c 'import shutil, sys, urllib.request
with urllib.request.urlopen(sys.argv[1], timeout=60) as r, open(sys.argv[2], "wb") as f:
    shutil.copyfileobj(r, f)' "$1" "$2"
  else
    echo "there is no curl, wget or python3 on this machine" >&2
    return 1
  fi
}

is_right() {
  [ -f "$1" ] && [ "$(sha256sum <"$1" | cut -d ' ' -f 1)" = "$sum" ]
}

pause=1
until is_right "$program"; do
  [ "$(left)" -gt 0 ] || give_up "the program could not be fetched from $url: ${why:-no time was left}"
  if why=$(fetch "$url" "$program.new" 2>&1); then
    if is_right "$program.new"; then
      chmod 755 "$program.new"
      mv -f "$program.new" "$program"
      continue
    fi
    why="what came has the SHA-256 $(sha256sum <"$program.new" | cut -d ' ' -f 1) and not $sum"
  fi
  rm -f "$program.new"
  say "fetch $url: $why; trying again in $pause s"
  sleep "$pause"
  pause=$((pause < 30 ? pause * 2 : 30))
done
# The program sees to the deadline itself. This is for one that can't.
[ "$(left)" -gt -300 ] || lives || give_up "the program has not ended in time"
exec "$program" machine boot -log-level info -order "$dir/order.json"
END OF FILE
cat >/etc/systemd/system/homeostat-boot.service <<'END OF FILE'
# Written by user data, and removed when the machine has become a cell.
[Unit]
Description=First boot of a cell
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart=/bin/sh /var/lib/homeostat/boot/start
Restart=on-failure
RestartSec=5
TimeoutStopSec=30

[Install]
WantedBy=multi-user.target
END OF FILE
chmod 644 /etc/systemd/system/homeostat-boot.service
# Begins what was written above, in a unit.
chmod 700 /var/lib/homeostat/boot
sync
systemctl daemon-reload
systemctl enable homeostat-boot.service
systemctl start --no-block homeostat-boot.service
