# make demo    the main job on a real image: build it, covify it, run it, report
# make test    all tests, on every container engine that can be had
# make build   bin/covify, static, with the wheels of every supported Python inside
# make image   the frontend image and the CLI's, for amd64 and arm64, with their sizes
.PHONY: build wheels image demo test unit lint bench clean

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
# pip's own default index, for machines where covify runs without a pip to ask
INDEX := $(shell python3 -c 'from pip._internal.models.index import PyPI; print(PyPI.simple_url)' 2>/dev/null)
LDFLAGS := -s -w -X main.version=$(VERSION) -X github.com/covify/covify/wheel/fetch.DefaultIndex=$(INDEX)

build: wheels
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/covify ./cmd/covify
	@ls -lh bin/covify | awk '{print "bin/covify:", $$5}'

wheels:
	hack/bundle

image: wheels
	VERSION='$(VERSION)' REVISION="$$(git rev-parse HEAD 2>/dev/null)" INDEX='$(INDEX)' hack/image

demo: build
	hack/demo

test: build
	hack/test

unit:
	go test ./...

lint:
	"$$(hack/tools golangci-lint)/golangci-lint" run ./...

bench: build
	bench/run

clean:
	rm -rf bin
