# A cell that is born by the first boot of a machine: a ticket, the machine that
# has it in its user data, and the cell that waits for that machine.
resource "homeostat_join" "crawler" {
  service          = "crawler"
  name             = "crawler-1"
  lifetime         = "10m"
  consul_addresses = ["10.0.0.5:8500"]
}

resource "aws_instance" "crawler" {
  ami                                  = "ami-0123456789abcdef0"
  instance_type                        = "t3.small"
  instance_initiated_shutdown_behavior = "terminate"
  user_data = provider::homeostat::user_data({
    format      = "cloud-init"
    join        = homeostat_join.crawler
    environment = null
  })

  lifecycle {
    # What is published later makes no other machine of this one.
    ignore_changes = [user_data]
    # Another ticket does: user data is read only once.
    replace_triggered_by = [homeostat_join.crawler.id]
  }
}

resource "homeostat_cell" "crawler" {
  service = "crawler"
  name    = "crawler-1"
  boot = {
    join    = homeostat_join.crawler
    machine = aws_instance.crawler.id
    secrets = { "peers-key" = "/etc/homeostat/peers.key" }
    console = ["aws", "ec2", "get-console-output", "--instance-id", aws_instance.crawler.id, "--output", "text"]
  }
  timeouts = { create = "10m" }

  lifecycle {
    replace_triggered_by = [homeostat_join.crawler.id]
  }
}
