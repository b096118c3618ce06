# The test images, from public base names. By hand: docker buildx bake -f testimages/docker-bake.hcl [CASE...]
# testimages/build does the same with bases made here, where nothing can be pulled, and leaves the images as archives.

group "default" {
  targets = ["slim", "debian", "venv", "distroless", "twopythons", "nopython", "uv"]
}

variable "NETWORK" {
  default     = "default"
  description = "network of RUN steps; host where the engine's own network has no way out"
}

target "_case" {
  network = NETWORK
  attest = ["type=provenance,disabled=true", "type=sbom,disabled=true"]
}

target "slim" {
  inherits = ["_case"]
  context  = "testimages/slim"
  tags     = ["covify-test/slim"]
}

target "debian" {
  inherits = ["_case"]
  context  = "testimages/debian"
  tags     = ["covify-test/debian"]
}

target "venv" {
  inherits = ["_case"]
  context  = "testimages/venv"
  tags     = ["covify-test/venv"]
}

target "distroless" {
  inherits = ["_case"]
  context  = "testimages/distroless"
  tags     = ["covify-test/distroless"]
}

target "twopythons" {
  inherits = ["_case"]
  context  = "testimages/twopythons"
  tags     = ["covify-test/twopythons"]
}

target "nopython" {
  inherits = ["_case"]
  context  = "testimages/nopython"
  tags     = ["covify-test/nopython"]
}

target "uv" {
  inherits = ["_case"]
  context  = "testimages/uv"
  tags     = ["covify-test/uv"]
}

# An index cannot be loaded into every engine: it is written as an archive.
target "twoplatform" {
  inherits  = ["_case"]
  context   = "testimages/twoplatform"
  tags      = ["covify-test/twoplatform"]
  platforms = ["linux/amd64", "linux/arm64"]
  output    = ["type=oci,dest=twoplatform.tar"]
}
