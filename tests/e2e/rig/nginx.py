"""
What nginx is told: the registry's front, the CDN behind it, and a proxy before docxy.

Owns configuration text only; `hub` runs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .pki import Leaf

_MODULES = Path("/usr/lib/nginx/modules")

_MAIN = """
load_module {modules}/ndk_http_module.so;
load_module {modules}/ngx_http_lua_module.so;
user root; worker_processes 1; daemon off; pid {state}/nginx.pid; error_log {state}/error.log warn;
events {{ worker_connections 2048; }}
http {{
  log_format json escape=json '{{"time":$msec,"host":"$server_name","method":"$request_method",'
    '"target":"$request_uri","status":$status,"bytes":$body_bytes_sent,"agent":"$http_user_agent",'
    '"authorization":"$http_authorization","cookie":"$http_cookie","range":"$http_range",'
    '"encoding":"$http_accept_encoding","client":"$remote_addr","location":"$sent_http_location"}}';
  access_log {state}/access.jsonl json;
  client_body_temp_path {state}/body; proxy_temp_path {state}/proxy; fastcgi_temp_path {state}/fastcgi;
  uwsgi_temp_path {state}/uwsgi; scgi_temp_path {state}/scgi;
  sendfile on; tcp_nopush on; keepalive_timeout 65; client_max_body_size 0;
  large_client_header_buffers 4 64k;
  types {{ }} default_type application/octet-stream;
  ssl_certificate {leaf.cert}; ssl_certificate_key {leaf.key};
  ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:tls:4m;
{servers}
}}
"""

# The front signs what docker-registry redirects to, as the store behind Docker Hub does.
_FRONT = """
  server {{
    listen {address}:443 ssl backlog=1024; server_name {name};
    location / {{
      header_filter_by_lua_block {{
        local location = ngx.header["Location"]
        local base = "https://{cdn}"
        if location and location:sub(1, #base) == base then
          local path = location:sub(#base + 1)
          local expires = ngx.time() + {lifetime}
          local digest = ngx.encode_base64(ngx.md5_bin(expires .. path .. "rig"), true)
          local verify = digest:gsub("+", "-"):gsub("/", "_")
          ngx.header["Location"] = location .. "?expires=" .. expires .. "&verify=" .. verify
        end
      }}
      proxy_pass http://{backend}; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto https; proxy_buffering off;
    }}
    {token}
  }}
"""

_TOKEN = """location = /token {{ proxy_pass https://{address}; proxy_set_header Host $http_host; }}"""

_CDN = """
  server {{
    listen {address}:443 ssl backlog=1024; server_name {name}; root {root}; etag on;
    location / {{
      if ($http_authorization) {{ return 400 '<Error><Code>InvalidArgument</Code></Error>'; }}
      secure_link $arg_verify,$arg_expires; secure_link_md5 "$secure_link_expires${{uri}}rig";
      if ($secure_link = "") {{ return 403 '<Error><Code>AccessDenied</Code></Error>'; }}
      if ($secure_link = "0") {{ return 403 '<Error><Message>Request has expired</Message></Error>'; }}
    }}
  }}
"""

# What the documentation tells an operator to write before docxy.
_PROXY = """
  server {{
    listen {address}:443 ssl; server_name {name};
    location / {{
      proxy_pass {backend}; {tls}proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_buffering off; proxy_request_buffering off; proxy_read_timeout 300s; proxy_max_temp_file_size 0;
    }}
  }}
"""

# The same where docxy speaks TLS too: its certificate is checked, for the name that clients use.
_TLS = """proxy_ssl_server_name on; proxy_ssl_name $host;
      proxy_ssl_verify on; proxy_ssl_verify_depth 2; proxy_ssl_trusted_certificate {authority};
      """


@dataclass(frozen=True, slots=True)
class Front:
    """The TLS front of a registry, which signs redirects to its CDN; a token service of its own if given."""

    name: str
    address: str
    backend: str
    cdn: str
    token: str = ""  # host:port of a token service to serve as /token
    lifetime: int = 1200  # seconds that a signed URL is good for

    def text(self) -> str:
        """Its part of the configuration."""
        token = _TOKEN.format(address=self.token) if self.token else ""
        return _FRONT.format(
            name=self.name,
            address=self.address,
            backend=self.backend,
            cdn=self.cdn,
            lifetime=self.lifetime,
            token=token,
        )


@dataclass(frozen=True, slots=True)
class Cdn:
    """Serves a registry's storage to who has a signed URL and no credentials."""

    name: str
    address: str
    root: Path

    def text(self) -> str:
        """Its part of the configuration."""
        return _CDN.format(name=self.name, address=self.address, root=self.root)


@dataclass(frozen=True, slots=True)
class Proxy:
    """
    Terminates TLS before a docxy, whose URL ``backend`` is.

    ``authority`` is what docxy's own certificate is checked with, where it speaks TLS.
    """

    name: str
    address: str
    backend: str
    authority: Path | None = None

    def text(self) -> str:
        """Its part of the configuration."""
        tls = _TLS.format(authority=self.authority) if self.authority else ""
        return _PROXY.format(name=self.name, address=self.address, backend=self.backend, tls=tls)


def configuration(state: Path, leaf: Leaf, servers: list[Front | Cdn | Proxy]) -> str:
    """The whole file for one nginx with its state in that folder."""
    return _MAIN.format(
        modules=_MODULES, state=state, leaf=leaf, servers="".join(server.text() for server in servers)
    )
