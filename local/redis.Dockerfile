# Valkey, which is Redis in all that a checkpoint needs, as Debian has it.
ARG BASE_IMAGE=debian:trixie-slim
FROM ${BASE_IMAGE}
RUN apt-get update \
    && apt-get install --yes --no-install-recommends valkey-server \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
# Numeric, so that the kubelet can verify runAsNonRoot.
USER 10001:10001
ENTRYPOINT ["valkey-server"]
