#!/usr/bin/env bash
# Removes what docker/build-with-buildah.sh left: `docker/remove-storage.sh FOLDER`.
set -euo pipefail

folder=${1:?usage: docker/remove-storage.sh FOLDER}
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ -d "$folder/storage" ]; then
  # shellcheck source=docker/buildah-storage.sh
  . docker/buildah-storage.sh "$folder"
  # Unmounts before anything is deleted.
  run_buildah rm --all > /dev/null || true
  run_buildah rmi --all --force > /dev/null || true
fi
# A file system that is still mounted there is not part of the folder.
rm -rf --one-file-system "$folder"
