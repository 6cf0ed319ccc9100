# A cell is run by systemd. A machine without it ends itself.
if [ ! -d /run/systemd/system ]; then
  why='homeostat: this machine is not run by systemd, which a cell needs, so it is powered off'
  echo "$why" >&2
  { echo "$why" >/dev/console; } 2>/dev/null || :
  poweroff || shutdown -h now
  exit 1
fi
