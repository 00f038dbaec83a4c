#!/bin/sh
# Removes what no run needs from a virtual environment, and adds the code in /app to it: `trim-environment.sh FOLDER`.
set -eu
environment=$1
packages=$environment/lib/python3.10/site-packages

# pip installed everything; nothing is installed later.
rm -rf "$packages"/pip "$packages"/pip-*.dist-info "$environment"/bin/pip*
# Headers and static libraries, for compiling against TensorFlow and Arrow.
rm -rf "$packages"/tensorflow/include "$packages"/pyarrow/include "$environment"/include/site
find "$packages" -name '*.a' -delete
# Packages' own tests. Folders named `testing` stay: libraries import from them.
find "$packages" -depth -type d -name tests -exec rm -rf {} +

echo /app > "$packages/reefline.pth"
cat > "$environment/bin/reefline" << 'COMMAND'
#!/bin/sh
exec python -m reefline "$@"
COMMAND
chmod +x "$environment/bin/reefline"
