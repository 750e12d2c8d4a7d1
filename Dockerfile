# syntax=docker/dockerfile:1

# --- Installs everything, from wheels whose hashes are locked, into one directory --------------
FROM python:3.11-slim-bookworm AS build
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python3 -m venv /venv && python3 -m venv /tools

COPY requirements.lock requirements-build.lock ./
RUN --mount=type=cache,target=/root/.cache/pip \
    /venv/bin/python -m pip install --require-hashes --only-binary :all: -r requirements.lock \
    && /tools/bin/python -m pip install --require-hashes --only-binary :all: -r requirements-build.lock

COPY . ./
RUN /tools/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /venv/bin/python -m pip install --no-deps --no-index /wheels/*.whl \
    && /venv/bin/python -m pip check

# --- Holds nothing but Python and that directory --------------------------------------------------
FROM python:3.11-slim-bookworm
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SENDWISE_DATA=/data \
    SENDWISE_KEY_FILE=/keys/sendwise.key
# The key lies apart from what it protects, so that no copy of the one brings the other.
RUN install -d -o 10001 -g 10001 -m 0700 /data /keys /cache
ENV XDG_CACHE_HOME=/cache
USER 10001:10001
# On another kind of processor the code is compiled again, once for each container.
RUN python -m policy.warm_up && python -m replay.warm_up
WORKDIR /data
VOLUME ["/data", "/keys"]
EXPOSE 50051
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-m", "server.health", "127.0.0.1:50051"]
ENTRYPOINT ["sendwise"]
CMD ["serve", "--host", "0.0.0.0"]
