# The images of docker-bake.hcl. `make image` has the host compile, with its own caches; without that golang does it here.

# A folder with /out, made by hack/programs and given as the named context "programs", takes the place of this stage.
FROM --platform=$BUILDPLATFORM golang:1.26 AS programs
WORKDIR /src
COPY . .
ARG TARGETPLATFORM
ARG PROGRAM
ARG VERSION
ARG INDEX
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    hack/programs /out "$TARGETPLATFORM" "$PROGRAM"

# The payloads come first: they change less often than the program.
FROM scratch AS frontend
ARG TARGETOS
ARG TARGETARCH
COPY --from=programs /out/payloads/ /
COPY --from=programs /out/${TARGETOS}_${TARGETARCH}/covify-frontend /
LABEL moby.buildkit.frontend.network.none=true \
      moby.buildkit.frontend.caps=moby.buildkit.frontend.inputs,moby.buildkit.frontend.subrequests,moby.buildkit.frontend.contexts,moby.buildkit.frontend.gitquerystring
ENTRYPOINT ["/covify-frontend"]

FROM scratch AS cli
ARG TARGETOS
ARG TARGETARCH
COPY --from=programs /out/empty/ /
COPY --from=programs /out/${TARGETOS}_${TARGETARCH}/covify /
ENTRYPOINT ["/covify"]
