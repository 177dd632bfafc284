# One image for webserver, daemon, code server and workers; set-up as in the Makefile.
FROM python:3.13-slim AS build
WORKDIR /opt/neve
COPY requirements.lock package.json package-lock.json .npmrc ./
RUN python -m venv .venv \
 && .venv/bin/python -m pip install --no-cache-dir --no-deps --require-hashes -r requirements.lock \
 && PATH="$PATH:/opt/neve/.venv/bin" npm ci --no-audit --no-fund
COPY . .
RUN .venv/bin/python -m pip install --no-cache-dir --no-deps --no-build-isolation -e .

FROM python:3.13-slim
RUN useradd --create-home --uid 10001 neve
COPY --from=build --chown=neve /opt/neve /opt/neve
USER neve
WORKDIR /opt/neve
# Numba keeps compiled kernels here; mount a volume at .neve to keep cubes and history.
ENV PATH="/opt/neve/.venv/bin:$PATH" DAGSTER_HOME=/opt/neve NUMBA_CACHE_DIR=/tmp/numba
EXPOSE 3000
HEALTHCHECK CMD python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:3000/server_info')"
CMD ["dagster", "dev", "--host", "0.0.0.0", "--port", "3000"]
