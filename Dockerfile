# syntax=docker/dockerfile:1
# Two final targets, both run as a user without rights:
#   docker build --target serve -t memberwise:serve .     the API and the worker; nothing that only training needs
#   docker build --target train -t memberwise:train .     ingest, train, evaluate, promote, recommend

FROM python:3.11-slim AS runtime
# LightGBM and implicit use the OpenMP runtime, which the slim image leaves out.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 memberwise \
    && useradd --uid 10001 --gid memberwise --no-create-home --home-dir /data --shell /usr/sbin/nologin memberwise \
    && install -d -o memberwise -g memberwise /data /data/home /data/models
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MEMBERWISE_HOME=/data/home \
    MEMBERWISE_MODELS=/data/models
WORKDIR /data
VOLUME ["/data/home", "/data/models"]

FROM python:3.11-slim AS build-serve
ENV PATH=/opt/venv/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
WORKDIR /src
COPY pyproject.toml constraints.txt README.md ./
COPY recommender recommender
COPY api api
COPY training training
RUN --mount=type=cache,target=/root/.cache/pip pip install -c constraints.txt '.[postgres]'

FROM build-serve AS build-train
RUN --mount=type=cache,target=/root/.cache/pip pip install -c constraints.txt '.[train,demo,postgres]'

FROM runtime AS train
COPY --from=build-train /opt/venv /opt/venv
USER memberwise
CMD ["memberwise", "--help"]

# The last target is what a plain `docker build .` makes.
FROM runtime AS serve
COPY --from=build-serve /opt/venv /opt/venv
ENV MEMBERWISE_HOST=0.0.0.0 \
    MEMBERWISE_PORT=8000
USER memberwise
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['MEMBERWISE_PORT']}/readyz\", timeout=4)"]
CMD ["memberwise", "serve"]
