# edgetpu_compiler 16.0 for hosts other than x86-64 Debian. Coral publishes it only for amd64 Debian, and its apt
# repository has no suite for Debian 13, hence Debian 11 on every host.
#
#   docker build --platform linux/amd64 -t reefline-edgetpu-compiler -f docker/edgetpu-compiler.Dockerfile docker
#   reefline compile model_int8.tflite --image reefline-edgetpu-compiler
# hadolint ignore=DL3029
FROM --platform=linux/amd64 debian:11

SHELL ["/bin/bash", "-o", "pipefail", "-c"]

RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates curl gnupg \
    && curl --fail --silent --show-error --location https://packages.cloud.google.com/apt/doc/apt-key.gpg \
        | gpg --dearmor --output /usr/share/keyrings/coral-edgetpu.gpg \
    && echo "deb [arch=amd64 signed-by=/usr/share/keyrings/coral-edgetpu.gpg] https://packages.cloud.google.com/apt coral-edgetpu-stable main" \
        > /etc/apt/sources.list.d/coral-edgetpu.list \
    && apt-get update \
    && apt-get install --yes --no-install-recommends edgetpu-compiler \
    && apt-get purge --yes --auto-remove curl gnupg \
    && rm -rf /var/lib/apt/lists/*

# The build fails if the compiler does not start.
RUN edgetpu_compiler --version

ENTRYPOINT ["edgetpu_compiler"]
CMD ["--help"]
