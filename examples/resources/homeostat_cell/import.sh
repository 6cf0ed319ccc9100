# <service>/<name>, on the host that the cell runs on
terraform import homeostat_cell.crawler crawler/crawler-1
