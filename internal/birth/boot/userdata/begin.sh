# Begins what was written above, in a unit.
chmod 700 /var/lib/homeostat/boot
sync
systemctl daemon-reload
systemctl enable homeostat-boot.service
systemctl start --no-block homeostat-boot.service
