# docxy as a container image; docs/container.rst says how to build and to run it.
#
# BASE is any image with Python 3.11 to 3.14, its venv module and the usual certificate authorities.
ARG BASE=docker.io/library/python:3.13-slim

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
WORKDIR /src
# In a layer of its own, pinned and hashed: when docxy's code changes, nothing is fetched again.
COPY requirements/build.txt requirements/acme.txt requirements/
RUN python3 -m venv /tools \
    && /tools/bin/pip install --quiet --require-hashes --only-binary=:all: -r requirements/build.txt \
    && python3 -m venv --without-pip /opt/docxy \
    && /tools/bin/pip --python /opt/docxy/bin/python install --quiet --no-compile \
        --require-hashes --only-binary=:all: -r requirements/acme.txt
COPY LICENSE README.rst pyproject.toml setup.py ./
COPY docxy docxy
COPY twisted twisted
# Twisted's list of plugins is made here, for nothing is written where the image runs.
RUN /tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheel . \
    && /tools/bin/pip --python /opt/docxy/bin/python install --quiet --no-compile --no-deps /wheel/docxy-*.whl \
    && find /opt/docxy/lib -depth '(' -name test -o -name tests ')' -exec rm -r '{}' ';' \
    && /opt/docxy/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/docxy/lib \
    && /opt/docxy/bin/twistd --help >/dev/null

FROM ${BASE}
LABEL org.opencontainers.image.title="docxy" \
    org.opencontainers.image.description="A mirror of Docker Hub and other container registries" \
    org.opencontainers.image.licenses="MIT"
COPY --from=build /opt/docxy /opt/docxy
COPY packaging/container.toml /etc/docxy/docxy.toml
RUN groupadd --gid 10001 docxy \
    && useradd --uid 10001 --gid docxy --no-create-home --home-dir /var/lib/docxy --shell /usr/sbin/nologin docxy \
    && install -d -o docxy -g docxy -m 750 /var/lib/docxy
ENV PATH=/opt/docxy/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
WORKDIR /var/lib/docxy
VOLUME /var/lib/docxy
EXPOSE 5000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=6s --start-period=10s CMD ["docxy", "health"]
# --pidfile=: a stale one would stop a restarted container. twistd is the first process, and hears the signals itself.
ENTRYPOINT ["twistd", "--nodaemon", "--pidfile=", "docxy"]
