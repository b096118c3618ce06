# Two images, one made from the other: covify.hcl turns both into variants.
variable "BASE" {
  default = "python:3.13-slim"
}

group "default" {
  targets = ["lib", "app"]
}

target "_common" {
  args   = { BASE = BASE }
  labels = { "org.opencontainers.image.vendor" = "house" }
}

target "lib" {
  inherits = ["_common"]
  context  = "lib"
  tags     = ["bake/lib"]
}

target "app" {
  inherits = ["_common"]
  context  = "app"
  contexts = { lib = "target:lib" }
  tags     = ["bake/app"]
}
