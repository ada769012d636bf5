# The whole workshop in one image: the pipeline, the panel and Label Studio, set up as `make setup` does it anywhere.
#
#   docker build -t dailies .
#   docker run --rm -it -p 8501:8501 -p 8080:8080 -v "$PWD/my-show:/show" dailies up
#
# For a GPU add `--gpus all`: the wheels bring CUDA, the host brings the driver.
FROM python:3.11-slim-bookworm

RUN apt-get update \
    && apt-get install --yes --no-install-recommends ffmpeg \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --create-home --uid 1000 dailies \
    && mkdir /show /cache /opt/dailies \
    && chown dailies:dailies /show /cache /opt/dailies
USER dailies
WORKDIR /opt/dailies
ENV DAILIES_CACHE=/cache \
    PIP_NO_CACHE_DIR=1 \
    PYTHONUNBUFFERED=1

# Gigabytes that change only with the lock files come before the code that changes every day.
COPY --chown=dailies scripts/setup.py scripts/setup.py
COPY --chown=dailies requirements.lock requirements-label-studio.lock ./
RUN python scripts/setup.py --cache-only

COPY --chown=dailies . .
RUN python scripts/setup.py
ENV PATH=/opt/dailies/.venv/bin:$PATH

# Inside a container loopback reaches nobody; which addresses the host publishes is `docker run -p`'s to say.
ENV DAILIES_HOST=0.0.0.0
EXPOSE 8501 8080
VOLUME /show
WORKDIR /show
ENTRYPOINT ["dailies"]
CMD ["up"]
