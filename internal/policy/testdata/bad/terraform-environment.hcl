service "a" {
  min = 1
  max = 3

  terraform {
    dir            = "a"
    ephemeral_vars = { desired_count = "COUNT", "db password" = "DB_PASSWORD", token = "s3cret-value!" }
    env            = { TF_VAR_region = "x", TF_LOG_PATH = "y" }
  }
}

service "b" {
  min = 1
  max = 3

  terraform {
    dir            = "b"
    ephemeral_vars = { token = "s3cret-value!" }
    env            = { TF_WORKSPACE = "x" }
  }
}

service "c" {
  min = 1
  max = 3

  terraform {
    dir            = "c"
    ephemeral_vars = {
      one = 5
      two = "s3cret-value!"
    }
  }
}
