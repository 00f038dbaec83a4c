#!/usr/bin/env bash
# Shows that an image works: as user 1000 it runs `reefline doctor`, the demo with a few steps, and a task of a Kubeflow run.
#
#   docker/test-image.sh IMAGE              with docker, or what ENGINE names (podman)
#   docker/test-image.sh IMAGE FOLDER       with buildah and the storage in FOLDER, as docker/build-with-buildah.sh leaves it
set -euo pipefail

image=${1:?usage: docker/test-image.sh IMAGE [FOLDER]}
folder=${2:-}
cd "$(dirname "${BASH_SOURCE[0]}")/.."
max_size_mb=4500
work=$(mktemp -d)
chmod 755 "$work"
mkdir "$work/data"
mkdir -m 1777 "$work/workspace"
volumes=(--volume "$work/workspace:/app/workspace" --volume "$work/data:/data:ro"
  --volume "$PWD/docker/run_package_tasks.py:/tests/run_package_tasks.py:ro")
container=""

clean_up() {
  if [ -n "$container" ]; then run_buildah rm "$container" > /dev/null; fi
  rm -rf "$work"
}
trap clean_up EXIT

if [ -n "$folder" ]; then
  # shellcheck source=docker/buildah-storage.sh
  . docker/buildah-storage.sh "$folder"
  container=$(run_buildah from "$image")
  # What docker does by itself: start the image's entry point.
  entrypoint=$(run_buildah inspect --format '{{index .OCIv1.Config.Entrypoint 0}}' "$container")
  run_in_image() {
    run_buildah run --user 1000 "${volumes[@]}" "$container" -- "$entrypoint" "$@"
  }
  size_mb=$(du -sm "$(run_buildah mount "$container")" | cut -f1)
else
  run_in_image() {
    "${ENGINE:-docker}" run --rm --user 1000 "${volumes[@]}" "$image" "$@"
  }
  size_mb=$(($("${ENGINE:-docker}" image inspect --format '{{.Size}}' "$image") / 1000000))
fi

step() {
  echo "== $1 ($SECONDS s)"
}

# Run a command that must end with this exit code.
expect() {
  local expected=$1 found=0
  shift
  run_in_image "$@" || found=$?
  if [ "$found" != "$expected" ]; then
    echo "$*: exit code $found; expected $expected" >&2
    exit 1
  fi
}

step "size"
echo "$size_mb MB"
if [ "$size_mb" -gt "$max_size_mb" ]; then
  echo "the image has $size_mb MB; at most $max_size_mb MB are allowed" >&2
  exit 1
fi

step "reefline doctor"
expect 0 reefline doctor

step "nothing but the workspace and the cache can be written"
# shellcheck disable=SC2016 # the image's shell expands it
expect 0 sh -c 'test "$(id -u)" = 1000 && test ! -w /app && test ! -w /opt/reefline && test -w "$XDG_CACHE_HOME"'

step "the demo with a few steps: the gate refuses it"
expect 3 local_runner.py --set trainer.num_steps=4
test -s "$work/workspace/reports/latest/summary.json"

step "a data set in a volume: an empty one stops the run with exit code 2"
expect 2 local_runner.py --data /data

step "Kubeflow: compile, lint, and the first two tasks of the package"
digest=$(printf '0%.0s' {1..64})
expect 0 kubeflow_runner.py compile --config configs/demo.yaml --image "registry.example/reefline@sha256:$digest" \
  --data demo: --serving s3://bucket/serving --output /app/workspace/pipeline.yaml
expect 0 kubeflow_runner.py lint /app/workspace/pipeline.yaml
expect 0 python /tests/run_package_tasks.py /app/workspace/pipeline.yaml

step "done"
