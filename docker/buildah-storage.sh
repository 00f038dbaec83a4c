# Sourced by the scripts that use buildah: `. docker/buildah-storage.sh FOLDER` defines run_buildah, with storage in FOLDER.
# shellcheck shell=bash
export BUILDAH_ISOLATION=${BUILDAH_ISOLATION:-chroot}
buildah_folder=$(realpath -m "$1")
mkdir -p "$buildah_folder"

run_buildah() {
  buildah --storage-driver "${STORAGE_DRIVER:-vfs}" --root "$buildah_folder/storage" --runroot "$buildah_folder/run" "$@"
}
