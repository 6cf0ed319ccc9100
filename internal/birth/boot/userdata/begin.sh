# Begins what was written above, in a unit where there is systemd.
chmod 700 /var/lib/homeostat/boot
sync
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  systemctl enable homeostat-boot.service
  systemctl start --no-block homeostat-boot.service
else
  exec /bin/sh /var/lib/homeostat/boot/start
fi
