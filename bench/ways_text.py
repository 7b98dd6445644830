"""
What each proxy is told: the configuration of nginx, docker-registry and docxy.

Owns text only; `ways` writes and runs it.
"""

from __future__ import annotations

import json
from pathlib import Path

from bench.place import Place, name_of
from bench.setup import Setup

_NGINX = """
user root; worker_processes auto; worker_rlimit_nofile 16384; daemon off;
pid {state}/nginx.pid; error_log {state}/error.log warn;
events {{ worker_connections 8192; }}
http {{
  access_log {state}/access.log; keepalive_timeout 65; keepalive_requests 1000000;
  client_body_temp_path {state}/body; proxy_temp_path {state}/proxy; fastcgi_temp_path {state}/fastcgi;
  uwsgi_temp_path {state}/uwsgi; scgi_temp_path {state}/scgi;
  ssl_certificate {place.leaf.cert}; ssl_certificate_key {place.leaf.key};
  ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:tls:4m;
  upstream registry {{ server {origin.registry}:{port}; keepalive 64; keepalive_requests 1000000; }}
  upstream cdn {{ server {origin.cdn}:{port}; keepalive 64; keepalive_requests 1000000; }}
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
  proxy_ssl_server_name on; proxy_ssl_verify on; proxy_ssl_verify_depth 2;
  proxy_ssl_trusted_certificate {place.authority.cert};
  server {{
    listen {address}:{listen} backlog=4096;
    location / {{
      proxy_pass {scheme}://registry; proxy_set_header Host {origin.name}; proxy_ssl_name {origin.name};
    }}
    location ~ ^/v2/.*/blobs/(sha256:[0-9a-f]+)$ {{
      proxy_pass {scheme}://cdn/blobs/$1; proxy_set_header Host {origin.cdn_name};
      proxy_ssl_name {origin.cdn_name}; proxy_set_header Connection "";
    }}
  }}
}}
"""

_REGISTRY = """
version: 0.1
log: {{level: error, accesslog: {{disabled: false}}}}
storage:
  filesystem: {{rootdirectory: {store}}}
  maintenance: {{uploadpurging: {{enabled: false}}}}
http: {{addr: "{address}:{port}", host: "{url}", secret: bench{tls}}}
proxy: {{remoteurl: "{upstream}"}}
"""


def nginx(place: Place, setup: Setup, address: str, state: Path) -> str:
    """A reverse proxy that keeps connections and buffers nothing."""
    return _NGINX.format(
        place=place,
        state=state,
        address=address,
        origin=setup.origin,
        scheme=setup.upstream_scheme,
        port=443 if setup.tls_upstream else 80,
        listen="443 ssl" if setup.tls_client else "80",
    )


def registry(place: Place, setup: Setup, address: str, store: Path) -> str:
    """A pull-through cache."""
    tls = f", tls: {{certificate: {place.leaf.cert}, key: {place.leaf.key}}}" if setup.tls_client else ""
    return _REGISTRY.format(
        store=store,
        address=address,
        port=setup.client_port,
        url=f"{setup.client_scheme}://{name_of(address)}",
        tls=tls,
        upstream=setup.upstream,
    )


def docxy(place: Place, setup: Setup, address: str, verify: bool) -> str:
    """A mirror of the origin, with bounds that a thousand clients of one address keep to."""
    listener = "ssl:443" if setup.tls_client else "tcp:80"
    tables: dict[str, dict[str, object]] = {
        "[server]": {
            "listen": f"{listener}:interface={address}",
            "public_url": f"{setup.client_scheme}://{name_of(address)}",
            "redirect": [],
        },
        "[limits]": {"relays_per_client": 4096, "connections_per_client": 4096, "asks_per_client": 256},
        "[[upstream]]": {
            "name": setup.origin.name,
            "url": setup.upstream,
            "realm": f"{setup.upstream}/token",
            "service": setup.origin.name,
            "redirects": [setup.origin.cdn_name],
            "ca": str(place.authority.cert),
            "connections": setup.connections,
            "verify": verify,
        },
    }
    if setup.tls_client:
        tables["[tls]"] = {"cert": str(place.leaf.cert), "key": str(place.leaf.key)}
    lines = [
        line
        for table, values in tables.items()
        for line in (table, *(f"{key} = {json.dumps(value)}" for key, value in values.items()), "")
    ]
    return "\n".join(lines)
