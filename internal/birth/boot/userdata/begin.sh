# Begins what was written above, in a unit where there is systemd.
sync
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  systemctl enable homeostat-boot.service
  systemctl start --no-block homeostat-boot.service
else
  exec /bin/sh /var/lib/homeostat/boot/start
fi
