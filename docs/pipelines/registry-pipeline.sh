#!/bin/sh
# A pipeline whose stages meet in a registry only: build, cover, test, report, each of which may run on another machine.
#
# usage: registry-pipeline.sh build | cover | test | report      in the checkout, with docker logged in to $REGISTRY
#
# covify is needed by cover (which needs no Docker: images are covered in the registry) and by report. The tests start what docker
# compose starts anyway, from the covered images. Take coverage_data and .coverage.host from the test stage along to the report stage.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

REGISTRY=${REGISTRY:-registry.example.com/shop}
TAG=${TAG:-1}
PARTS="catalog orders nightly prices"
PYTHON_PARTS="catalog orders nightly"

# build is your build as it is.
build() {
	export SHOP_IMAGES="$REGISTRY" SHOP_TAG="$TAG"
	docker buildx bake --file compose.yaml --push \
		--set "catalog.cache-from=type=registry,ref=$REGISTRY/cache" --set "catalog.cache-to=type=registry,ref=$REGISTRY/cache,mode=max"
}

# cover gives every image a covered sister, NAME:TAG-cov; an image without Python (exit code 3) is its own.
cover() {
	for part in $PARTS; do
		code=0
		covify "docker://$REGISTRY/$part:$TAG" || code=$?
		case $code in
		0) ;;
		3) docker buildx imagetools create --tag "$REGISTRY/$part:$TAG-cov" "$REGISTRY/$part:$TAG" ;;
		*) return "$code" ;;
		esac
	done
}

# test starts the covered images, with a volume for the data of each, and measures itself by coverage alone.
test() {
	export SHOP_IMAGES="$REGISTRY" SHOP_TAG="$TAG-cov" COMPOSE_FILE="compose.yaml:$here/compose.coverage.yaml"
	docker compose --profile batch pull --quiet
	COVERAGE_FILE=.coverage.host coverage run -m pytest tests/test_orders.py tests/test_money.py
	docker compose run --rm nightly 2026-11-24
	mkdir -p coverage_data
	for part in $PYTHON_PARTS; do
		docker compose --profile batch create --quiet-pull "$part"
		container=$(docker compose --profile batch ps --all --quiet "$part")
		docker cp "$container:/app/coverage_data/." "coverage_data/$part"
	done
	docker compose --profile batch down --volumes
}

# report needs the checkout and the data, and neither Docker nor the images.
report() {
	for part in $PYTHON_PARTS; do # each of them lives in its image's /app
		covify combine "coverage_data/$part" --map "/app=$part" --output ".coverage.$part"
	done
	covify report
	covify html
	covify xml
}

"$1"
