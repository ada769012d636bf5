# Dailies in two images of one file, set up by the same script as `make setup`:
#
#   docker build --target panel  -t dailies-panel .     # the panel and the CLI: no CUDA
#   docker build --target worker -t dailies-worker .    # the steps and Ray, with CUDA from the wheels; `--gpus all` runs it
#
# compose.yaml starts them with what they need. The base is a release of Python on a release of Debian; whoever wants
# the very same bytes for ever gives its digest: --build-arg PYTHON=3.11.13-slim-bookworm@sha256:...
ARG PYTHON=3.11.13-slim-bookworm

FROM python:${PYTHON} AS base
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ffmpeg \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 1000 dailies \
    && mkdir /show /cache /data /opt/dailies \
    && chown dailies:dailies /show /cache /data /opt/dailies
USER 1000:1000
WORKDIR /opt/dailies
# Packages belong to the image, whatever is mounted at the cache later: so they are installed into a place of their own.
ENV DAILIES_CACHE=/opt/dailies/packages \
    PIP_NO_CACHE_DIR=1 \
    PYTHONUNBUFFERED=1
# Gigabytes that change only with the lock file come before the code that changes every day.
COPY --chown=dailies scripts/setup.py scripts/setup.py
COPY --chown=dailies requirements.lock ./

FROM base AS panel
RUN python scripts/setup.py --only dailies --cpu --cache-only
COPY --chown=dailies . .
RUN python scripts/setup.py --only dailies --cpu
ENV PATH=/opt/dailies/.venv/bin:$PATH \
    DAILIES_CACHE=/cache
# Inside a container loopback reaches nobody; the panel starts on all addresses only once somebody can sign in.
ENV DAILIES_HOST=0.0.0.0
EXPOSE 8501
VOLUME ["/show", "/cache"]
WORKDIR /show
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import httpx; assert httpx.get('http://127.0.0.1:8501/_stcore/health').status_code in (200, 401)"]
ENTRYPOINT ["dailies"]
CMD ["up"]


FROM base AS worker
RUN python scripts/setup.py --only dailies --cache-only
COPY --chown=dailies . .
# `ray` and its processes run on the packages alone: the code of a job comes with the job.
RUN python scripts/setup.py --only dailies && python scripts/setup.py --link env
ENV PATH=/opt/dailies/.venv/bin:/opt/dailies/env/bin:$PATH \
    DAILIES_CACHE=/cache \
    HOME=/data \
    RAY_AUTH_MODE=token \
    RAY_JOB_STOP_WAIT_TIME_S=80 \
    RAY_USAGE_STATS_ENABLED=0
# Where jobs keep their store, ~/dailies.
VOLUME ["/data", "/cache"]
WORKDIR /data
# Without its token Ray's Job API answers 401, and that it answers is all that is asked here.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import httpx; assert httpx.get('http://127.0.0.1:8265/api/jobs/').status_code == 401"]
ENTRYPOINT ["ray"]
CMD ["start", "--head", "--block", "--dashboard-host=0.0.0.0", "--dashboard-port=8265", "--disable-usage-stats"]
