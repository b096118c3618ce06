# docker buildx bake -f docker-bake.hcl -f covify.hcl
variable "COVIFY" {
  default = "covify/covify"
}

target "_common" {
  args = { BUILDKIT_SYNTAX = COVIFY }
}
