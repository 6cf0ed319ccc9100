# <service>/<name>
terraform import homeostat_health_check.db db/db-1
