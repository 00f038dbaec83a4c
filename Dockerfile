# Reefline with everything it runs on: locally as `docker run`, and as every task of a Kubeflow pipeline.
#
#   docker build -t reefline .
#   docker run -v "$PWD/photos:/data" -v "$PWD/workspace:/app/workspace" reefline local_runner.py --data /data
#
# BASE is any Debian or Ubuntu with a Python 3.10 named python3. For GPUs, choose one with CUDA 12.3 and cuDNN 8.9.
ARG BASE=python:3.10-slim
# An image with edgetpu_compiler in /usr/bin, made by docker/edgetpu-compiler.Dockerfile. By default there is no compiler.
ARG COMPILER=${BASE}

FROM ${COMPILER} AS compiler
RUN mkdir /compiler && find /usr/bin -maxdepth 1 -name 'edgetpu_compiler*' -exec cp -a {} /compiler \;

# The libraries. A C++ compiler is needed to install them, but not to run them.
FROM ${BASE} AS environment
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
COPY requirements.lock docker/trim-environment.sh /build/
# The lock is complete and leaves one wrong dependency out on purpose (pyproject.toml, tool.uv): hence --no-deps.
RUN python3 -m venv /opt/reefline \
    && /opt/reefline/bin/python -m pip install --quiet --no-cache-dir --no-deps --require-hashes -r /build/requirements.lock \
    && sh /build/trim-environment.sh /opt/reefline

# The code. Bytecode is compiled here because the user below cannot write it, and every pod would compile it again.
FROM ${BASE} AS code
COPY . /app
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /app \
    && install -d -m 1777 /app/workspace /var/cache/reefline \
    && mkdir -p /root-files/var/cache /root-files/usr/local/bin \
    && mv /app /root-files/app && mv /var/cache/reefline /root-files/var/cache/ \
    && mv /root-files/app/docker/entrypoint.sh /root-files/usr/local/bin/reefline-entrypoint \
    && rm -r /root-files/app/docker /root-files/app/requirements.lock

FROM ${BASE}
# TF_USE_LEGACY_KERAS: the Object Detection API needs Keras 2. XDG_CACHE_HOME: downloaded weights; mount a volume to keep
# them. HOME: a user id without a passwd entry has none. MPLCONFIGDIR: matplotlib's font list.
ENV PATH=/opt/reefline/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONUNBUFFERED=1 \
    TF_USE_LEGACY_KERAS=1 \
    XDG_CACHE_HOME=/var/cache/reefline
WORKDIR /app
COPY --from=compiler /compiler/ /usr/bin/
COPY --from=environment /opt/reefline /opt/reefline
COPY --from=code /root-files/ /
USER 1000
ENTRYPOINT ["reefline-entrypoint"]
CMD ["local_runner.py", "--help"]
