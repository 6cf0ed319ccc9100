#!/bin/sh
# Makes a cell of this machine: fetches the homeostat program and runs it. It is run
# again after a reboot until the cell is installed; then all of this is removed.
set -u
umask 077
dir=/var/lib/homeostat/boot
program=/var/lib/homeostat/program
url=@URL@
sum=@SUM@
deadline=@DEADLINE@

say() {
  echo "homeostat: $*" >&2
  { echo "homeostat: $*" >/dev/console; } 2>/dev/null || :
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
  left=$((deadline - $(date +%s)))
  if ! command -v sha256sum >/dev/null; then
    echo "there is no sha256sum on this machine" >&2
    return 1
  elif command -v curl >/dev/null; then
    timeout "$left" curl -fsSL --connect-timeout 10 --speed-limit 1024 --speed-time 60 -o "$2" "$1"
  elif command -v wget >/dev/null; then
    timeout "$left" wget -q -T 60 -O "$2" "$1"
  elif command -v python3 >/dev/null; then
    timeout "$left" python3 -c 'import shutil, sys, urllib.request
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
  [ "$(date +%s)" -lt "$deadline" ] || give_up "the program could not be fetched from $url: ${why:-no time was left}"
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
[ "$(date +%s)" -lt $((deadline + 300)) ] || lives || give_up "the program has not ended in time"
exec "$program" machine boot -log-level info -order "$dir/order.json"
