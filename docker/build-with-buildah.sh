#!/usr/bin/env bash
# Builds the image without a docker daemon and without a registry: on a base made by docker/make-base.sh, with buildah.
#
#   docker/build-with-buildah.sh IMAGE FOLDER [PYTHON]
#
# FOLDER keeps the base and buildah's storage (about 20 GB while it builds, with the driver vfs). Needs root, buildah and
# debootstrap. STORAGE_DRIVER is vfs unless set: overlay is faster, where the kernel allows it.
set -euo pipefail

image=${1:?usage: docker/build-with-buildah.sh IMAGE FOLDER [PYTHON]}
folder=${2:?usage: docker/build-with-buildah.sh IMAGE FOLDER [PYTHON]}
python=${3:-python3.10}
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=docker/buildah-storage.sh
. docker/buildah-storage.sh "$folder"

if [ ! -d "$folder/base" ]; then
  docker/make-base.sh "$folder/base" "$python"
fi
container=$(run_buildah from scratch)
run_buildah copy --quiet "$container" "$folder/base" /
run_buildah config --env PATH=/usr/local/bin:/usr/bin:/bin "$container"
run_buildah commit --quiet --rm "$container" localhost/reefline-base > "$folder/base.id"

# What this machine's pip is configured with, such as its certificates, holds in the build as well.
volumes=()
for file in /etc/pip.conf /etc/ssl/certs; do
  if [ -e "$file" ]; then volumes+=(--volume "$file:$file:ro"); fi
done
# One layer per stage: with vfs, each layer is a complete copy of the image.
run_buildah build --layers=false --build-arg BASE=localhost/reefline-base "${volumes[@]}" --tag "$image" .
