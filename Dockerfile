# One operator's server. It brings its own PostgreSQL and NATS; compose.yaml gives it others instead.
#
#   docker build -t eletrovia .
#   docker run --rm -p 8001:8001 -p 1883:1883 -v eletrovia:/data eletrovia

FROM python:3.12-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy
WORKDIR /build
RUN python -m pip install --quiet --root-user-action=ignore 'uv>=0.8,<1'
RUN uv venv --quiet /opt/eletrovia
# First what changes seldom: every package at its locked version, checked against its hash.
COPY lock/runtime.txt lock/requirements.txt lock/
RUN uv pip sync --quiet --no-cache --compile-bytecode --python /opt/eletrovia/bin/python --require-hashes lock/runtime.txt
# The tool that builds our own package is locked too, and stays behind in this stage.
RUN uv venv --quiet /opt/build \
 && awk '/^[a-z]/ { keep = /^(hatchling|packaging|pathspec|pluggy|trove-classifiers)==/ } keep' lock/requirements.txt > lock/build.txt \
 && uv pip sync --quiet --no-cache --python /opt/build/bin/python --require-hashes lock/build.txt
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src src
RUN /opt/build/bin/python -c "from hatchling.build import build_wheel; build_wheel('dist')" \
 && uv pip install --quiet --no-cache --compile-bytecode --no-deps --python /opt/eletrovia/bin/python dist/*.whl

FROM python:3.12-slim
RUN useradd --uid 10001 --home-dir /data --shell /usr/sbin/nologin eletrovia \
 && install -d -o eletrovia -g eletrovia -m 700 /data /var/cache/eletrovia
COPY --from=build /opt/eletrovia /opt/eletrovia
# The settings below are defaults: any ELETROVIA_SECTION_KEY in the environment wins.
ENV PATH=/opt/eletrovia/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    NUMBA_CACHE_DIR=/var/cache/eletrovia \
    ELETROVIA_DATA_DIR=/data \
    ELETROVIA_HTTP_HOST=0.0.0.0 \
    ELETROVIA_LOG_FORMAT=json
USER eletrovia
# Machine code of the search, compiled once for all containers of this image.
RUN python -c 'from eletrovia.planning.search import warm_up; warm_up()'
VOLUME /data
EXPOSE 8001 1883 9001 47808/udp 47809
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ.get('ELETROVIA_HTTP_PORT', '8001') + '/healthz?ready=true', timeout=4)"]
CMD ["eletrovia", "serve"]
