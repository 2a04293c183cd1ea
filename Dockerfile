# syntax=docker/dockerfile:1
# Live cameras in a container: `docker build -t streamderain .`
# For an NVIDIA GPU: `docker build -t streamderain:cuda --build-arg EXTRAS=cuda,service .`
# The libraries of CUDA come as Python packages; the host needs its driver and the NVIDIA Container
# Toolkit, nothing else.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim-bookworm AS build
ARG EXTRAS=cpu,openvino,service
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY streamderain streamderain
COPY models models
# What is installed is this very folder; its dependencies have ranges that are tested.
# hadolint ignore=DL3013
RUN python -m venv --without-pip /opt/streamderain \
    && pip --python /opt/streamderain/bin/python install ".[${EXTRAS}]" \
    && /opt/streamderain/bin/streamderain models > /dev/null

FROM python:${PYTHON}-slim-bookworm
LABEL org.opencontainers.image.title="streamderain" \
      org.opencontainers.image.description="Takes the rain out of surveillance video" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --no-log-init --uid 10001 --user-group --home-dir /var/lib/streamderain --create-home streamderain \
    && install -d -o streamderain -g streamderain /var/cache/streamderain /etc/streamderain
COPY --from=build /opt/streamderain /opt/streamderain
# What drivers give to the container, where there is an NVIDIA GPU: computing, and encoding video.
ENV PATH=/opt/streamderain/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    STREAMDERAIN_CACHE=/var/cache/streamderain \
    STREAMDERAIN_HEALTH=http://127.0.0.1:8080/healthz \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility,video
USER 10001:10001
WORKDIR /var/lib/streamderain
# The page, REST and metrics (`service:` in the configuration), and ZeroMQ.
EXPOSE 8080 5555
STOPSIGNAL SIGTERM
# A configuration without `service:` has no such address: run it with --no-healthcheck.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(os.environ['STREAMDERAIN_HEALTH'], timeout=2)"]
ENTRYPOINT ["streamderain"]
CMD ["run", "/etc/streamderain/cameras.yaml"]
