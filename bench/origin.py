"""
The upstream of every proxy: a registry that wants a token and redirects blobs to its CDN, by Debian's nginx.

Owns configuration text and the names and addresses of the parts; `place` runs it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from bench.content import REPOSITORY, TAG, Content
from tests.e2e.rig.faulty import Asked, Faulty, Reply
from tests.e2e.rig.faulty_origin import serve
from tests.e2e.rig.faulty_parts import cut
from tests.e2e.rig.namespace import Namespace
from tests.e2e.rig.pki import Leaf
from tests.e2e.rig.seed import OCI_MANIFEST

TOKEN = "bench"  # any bearer opens the registry; real tokens would measure their check

_MAIN = """
user root; worker_processes auto; worker_rlimit_nofile 16384; daemon off;
pid {state}/nginx.pid; error_log {state}/error.log warn;
events {{ worker_connections 8192; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_timeout 65; keepalive_requests 1000000;
  client_body_temp_path {state}/body; proxy_temp_path {state}/proxy; fastcgi_temp_path {state}/fastcgi;
  uwsgi_temp_path {state}/uwsgi; scgi_temp_path {state}/scgi;
  types {{ }} default_type application/octet-stream;
  ssl_certificate {leaf.cert}; ssl_certificate_key {leaf.key};
  ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:tls:4m;
{servers}
}}
"""

_REGISTRY = """
  server {{
    listen {registry}:443 ssl backlog=4096; listen {registry}:80 backlog=4096; server_name {name};
    add_header Docker-Distribution-Api-Version registry/2.0 always;
    location = /token {{
      default_type application/json; return 200 '{{"token":"{token}","expires_in":300}}';
    }}
    location /v2/ {{
      error_page 401 @challenge;
      if ($http_authorization = "") {{ return 401; }}
      location = /v2/ {{
        if ($http_authorization = "") {{ return 401; }}
        default_type application/json; return 200 "{{}}";
      }}
      location ~ ^/v2/{repository}/manifests/({tag}|{digest})$ {{
        if ($http_authorization = "") {{ return 401; }}
        alias {manifest}; default_type {media_type}; etag off;
        add_header Docker-Content-Digest {digest}; add_header Docker-Distribution-Api-Version registry/2.0;
      }}
      location ~ ^/v2/{repository}/blobs/(sha256:[0-9a-f]+)$ {{
        if ($http_authorization = "") {{ return 401; }}
        if ($scheme = http) {{ return 307 http://{name}/blobs/$1; }}
        return 307 https://{cdn_name}/blobs/$1;
      }}
    }}
    location /blobs/ {{ root {root}; {rate} }}
    location @challenge {{
      internal; default_type application/json;
      add_header WWW-Authenticate 'Bearer realm="$scheme://{name}/token",service="{name}"' always;
      return 401 '{{"errors":[{{"code":"UNAUTHORIZED","message":"authentication required"}}]}}';
    }}
  }}
"""

_CDN = """
  server {{
    listen {cdn}:443 ssl backlog=4096; listen {cdn}:80 backlog=4096; server_name {cdn_name};
    root {root}; location /blobs/ {{ {rate} }}
  }}
"""


@dataclass(frozen=True, slots=True)
class Origin:
    """
    A registry and its CDN, each at an address of its own; without TLS the registry is its own CDN.

    ``rate`` is bytes a second that the CDN gives one connection, 0 for all it has. A CDN that is
    ``foreign`` is no part of the nginx, but `breaking`.
    """

    label: str
    number: int
    rate: int = 0
    foreign: bool = False

    @property
    def name(self) -> str:
        """The registry's host name."""
        return f"registry.{self.label}.test"

    @property
    def cdn_name(self) -> str:
        """The host name of what it redirects to."""
        return f"cdn.{self.label}.test"

    @property
    def registry(self) -> str:
        """The registry's address."""
        return f"127.0.88.{2 * self.number}"

    @property
    def cdn(self) -> str:
        """The CDN's address."""
        return f"127.0.88.{2 * self.number + 1}"

    def hosts(self) -> dict[str, list[str]]:
        """Its addresses and their names."""
        return {self.registry: [self.name], self.cdn: [self.cdn_name]}

    def text(self, content: Content) -> str:
        """Its part of the configuration."""
        known = {
            "registry": self.registry,
            "name": self.name,
            "cdn": self.cdn,
            "cdn_name": self.cdn_name,
            "root": content.root,
            "rate": f"limit_rate {self.rate};" if self.rate else "",
        }
        registry = _REGISTRY.format(
            repository=REPOSITORY,
            tag=TAG,
            digest=content.manifest,
            manifest=content.manifest_file,
            media_type=OCI_MANIFEST,
            token=TOKEN,
            **known,
        )
        return registry if self.foreign else registry + _CDN.format(**known)


FAST = Origin("fast", 1)
PACED = Origin("paced", 2, rate=2_000_000)
LINE = Origin("line", 3, rate=12_500_000)  # 100 Mbit/s a connection
STEADY = Origin("steady", 4, foreign=True)
RESETTING = Origin("resetting", 5, foreign=True)
STEADY_LINE = Origin("steady-line", 6, LINE.rate, foreign=True)
RESETTING_LINE = Origin("resetting-line", 7, LINE.rate, foreign=True)
RESETS = 10_000_000  # bytes
FOREIGN = (STEADY, RESETTING, STEADY_LINE, RESETTING_LINE)
ORIGINS = (FAST, PACED, LINE, *FOREIGN)


def breaking(namespace: Namespace, leaf: Leaf, origin: Origin, content: Content) -> Faulty:
    """The CDN of one of the `FOREIGN`; those that reset do so to each body after `RESETS` bytes."""

    def blob(asked: Asked) -> Reply:
        body = content.read(asked.target.rpartition("/")[2])
        return replace(serve(body, asked, ("Content-Type", "application/octet-stream")), pace=origin.rate)

    script = cut(blob, RESETS, "reset") if origin in (RESETTING, RESETTING_LINE) else blob
    return Faulty(namespace, leaf, origin.cdn, script)


def configuration(state: Path, leaf: Leaf, content: Content) -> str:
    """The whole file for the nginx that is all origins, its state in that folder."""
    servers = "".join(origin.text(content) for origin in ORIGINS)
    return _MAIN.format(state=state, leaf=leaf, servers=servers)
