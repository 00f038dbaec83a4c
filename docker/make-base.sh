#!/usr/bin/env bash
# Makes what `python:3.10-slim` is, for machines that reach no image registry: a minimal Debian of this machine's release
# with a copy of a Python 3.10 in /usr/local.
#
#   docker/make-base.sh FOLDER [PYTHON]
#
# FOLDER must not exist. PYTHON is any 3.10 of this machine, also one in a virtual environment. Needs root and debootstrap.
set -euo pipefail

folder=${1:?usage: docker/make-base.sh FOLDER [PYTHON]}
python=${2:-python3.10}

if [ -e "$folder" ]; then
  echo "$folder exists; remove it or name another folder" >&2
  exit 2
fi
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if [ "$version" != 3.10 ]; then
  echo "$python is Python $version; expected 3.10" >&2
  exit 2
fi
prefix=$("$python" -c 'import sys; print(sys.base_prefix)')
if [ "$prefix" = /usr ]; then
  echo "$python is the system's Python; expected one with a folder to itself, such as uv's or pyenv's" >&2
  exit 2
fi

# The Debian packages with the libraries that this Python's extension modules load.
find_packages() {
  find "$prefix/bin" "$prefix/lib/python3.10/lib-dynload" -type f \( -name '*.so' -o -name python3.10 \) -exec ldd {} + 2>/dev/null |
    awk '$2 == "=>" && $3 ~ "^/" { print $3 }' | sort -u |
    while read -r library; do
      # Debian's packages name /lib or /usr/lib for the same file.
      dpkg-query --search "$(readlink -f "$library")" "${library#/usr}" "/usr${library#/usr}" 2>/dev/null || true
    done | cut -d: -f1 | sort -u | grep -vE '^(libtcl|libtk|libx|tk)' | paste -sd,
}

# shellcheck source=/dev/null
. /etc/os-release
packages="ca-certificates,netbase,tzdata,$(find_packages)"
debootstrap --variant=minbase --include="$packages" "$VERSION_CODENAME" "$folder" > "$folder.log" 2>&1 || {
  tail -5 "$folder.log" >&2
  exit 1
}
rm -rf "$folder"/var/cache/apt/archives/*.deb "$folder"/var/lib/apt/lists/* "$folder.log"

mkdir -p "$folder/usr/local"
tar -C "$prefix" -cf - --exclude='*/site-packages/*' --exclude='__pycache__' --exclude='*/test' --exclude='*/tests' \
  --exclude='*/tkinter' --exclude='*/idlelib' --exclude='*.a' --exclude='share' . | tar -C "$folder/usr/local" -xf - --no-same-owner
# This Python looks for its headers in the folder that it was built for.
mkdir -p "$folder$(dirname "$prefix")"
ln -sfn /usr/local "$folder$prefix"
ln -sf python3.10 "$folder/usr/local/bin/python"
ln -sf python3.10 "$folder/usr/local/bin/python3"
chroot "$folder" ldconfig
chroot "$folder" /usr/local/bin/python -m ensurepip > /dev/null
chroot "$folder" /usr/local/bin/python -c 'import bz2, ctypes, lzma, sqlite3, ssl, zlib'
