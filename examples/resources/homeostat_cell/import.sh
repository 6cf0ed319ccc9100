# <service>/<name>; on the host that the cell runs on, or anywhere for one on a machine of a pool
terraform import homeostat_cell.crawler crawler/crawler-1
