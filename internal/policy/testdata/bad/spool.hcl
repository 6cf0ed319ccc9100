kafka { brokers = ["127.0.0.1:9092"] }

service "api" {
  min = 1
  max = 3
  terraform { dir = "api" }
  spool {
    topics            = ["urls", "two words", "urls"]
    hold              = "5s"
    spread            = "4s"
    segment_bytes     = 500000
    max_bytes         = 1000000
    max_message_bytes = 10000000
  }
}
service "other" {
  min = 1
  max = 3
  terraform { dir = "other" }
  spool { topics = [] }
}
