# The frontend image and the CLI's, for linux/amd64 and linux/arm64. `make image` compiles on the host, builds, and tells the sizes.
# By hand, with golang compiling:   make wheels && docker buildx bake
# The test images have a file of their own, testimages/docker-bake.hcl.

group "default" {
  targets = ["frontend", "cli"]
}

variable "VERSION" {
  default     = "devel"
  description = "what the programs and the images call themselves"
}

variable "REVISION" {
  default     = ""
  description = "the commit"
}

variable "INDEX" {
  default     = ""
  description = "the package index that covify asks where no pip tells another"
}

variable "FRONTEND_TAGS" {
  default     = "covify"
  description = "names of the frontend image, comma separated: what stands after # syntax="
}

variable "CLI_TAGS" {
  default     = "covify-cli"
  description = "names of the CLI's image, comma separated"
}

variable "SOURCE_DATE_EPOCH" {
  default     = "315532800"
  description = "the time of the images; their files have that of the default, always"
}

# Attestations hold the time of the build, so that no two images would be the same; --set '*.attest=type=provenance' adds them.
target "_image" {
  platforms = ["linux/amd64", "linux/arm64"]
  args = {
    VERSION           = VERSION
    INDEX             = INDEX
    SOURCE_DATE_EPOCH = SOURCE_DATE_EPOCH
  }
  labels = {
    "org.opencontainers.image.source"   = "https://github.com/covify/covify"
    "org.opencontainers.image.licenses" = "Apache-2.0"
    "org.opencontainers.image.version"  = VERSION
    "org.opencontainers.image.revision" = REVISION
  }
  attest = ["type=provenance,disabled=true", "type=sbom,disabled=true"]
}

target "frontend" {
  inherits = ["_image"]
  target   = "frontend"
  tags     = split(",", FRONTEND_TAGS)
  args     = { PROGRAM = "covify-frontend" }
  labels = {
    "org.opencontainers.image.title"       = "covify"
    "org.opencontainers.image.description" = "BuildKit frontend: any Dockerfile, built into an image that measures its own Python coverage"
  }
}

target "cli" {
  inherits = ["_image"]
  target   = "cli"
  tags     = split(",", CLI_TAGS)
  args     = { PROGRAM = "covify" }
  labels = {
    "org.opencontainers.image.title"       = "covify CLI"
    "org.opencontainers.image.description" = "makes container images measure their own Python coverage"
  }
}
