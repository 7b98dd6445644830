"""
Docker Hub and a second registry, of real parts, in a namespace of their own.

Owns docker-registry, nginx and the token services, and the folder they live
in.  Knows nothing of docxy; a mirror and the clients are started elsewhere.
"""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from . import nginx
from .namespace import Namespace
from .pki import Authority
from .processes import PATH, Process, RigError, environment, whole_lines
from .seed import Images, seed_hub
from .tokens import Signer, TokenService, serving
from .writer import Writer

ORIGIN = "10.77.0.20"
REGISTRY, TOKENS, CDN = "127.0.77.2", "127.0.77.3", "127.0.77.4"
OTHER, OTHER_CDN = "127.0.77.6", "127.0.77.7"
FAULTY, FAULTY_CDN, FAULTY_OTHER_CDN = "127.0.77.8", "127.0.77.9", "127.0.77.10"
BAD = [f"127.0.77.{number}" for number in range(20, 60)]  # each for one test to break: docxy remembers
MIRROR, SECRET, FRONT, SOCKET, PLAIN = "10.77.0.1", "10.77.0.2", "10.77.0.3", "10.77.0.4", "10.77.0.5"
LOGS, MEMORY, ODD, OWN = "10.77.0.6", "10.77.0.7", "10.77.0.8", "10.77.0.9"
UNBROKEN, PARALLEL, STEADY, ACCESS = "10.77.0.10", "10.77.0.11", "10.77.0.12", "10.77.0.13"
CLIENT, OTHER_CLIENT = "10.77.0.100", "10.77.0.101"

PAIRS = [f"pair{number}.faulty.test" for number in range(len(BAD))]  # at a bad address and at the CDN's
LONE = [f"lone{number}.faulty.test" for number in range(len(BAD))]  # at a bad address only
DUAL = "dual.faulty.test"  # at an IPv6 address that nobody reaches, and at the CDN's
UPSTREAM_HOSTS = {
    **{address: [pair, lone] for address, pair, lone in zip(BAD, PAIRS, LONE, strict=True)},
    "fd00:77::9": [DUAL],
    REGISTRY: ["registry-1.docker.io", "index.docker.io", "docker.io"],
    TOKENS: ["auth.docker.io"],
    CDN: ["production.cloudfront.docker.com"],
    OTHER: ["ghcr.io"],
    OTHER_CDN: ["pkg-containers.githubusercontent.com"],
    FAULTY: ["faulty.test"],
    FAULTY_CDN: ["cdn.faulty.test", "elsewhere.test", "loopback.wild.test", DUAL, *PAIRS],
    FAULTY_OTHER_CDN: ["cdn2.faulty.test"],
    "169.254.169.254": ["link-local.wild.test"],
}
MIRROR_HOSTS = {
    ORIGIN: ["origin.test"],
    MIRROR: ["mirror.test", "ghcr.mirror.test"],
    SECRET: ["secret.test"],
    FRONT: ["front.test"],
    SOCKET: ["socket.test"],
    PLAIN: ["plain.test"],
    LOGS: ["logs.test"],
    MEMORY: ["memory.test"],
    ODD: ["odd.test"],
    OWN: ["own.test"],
    UNBROKEN: ["unbroken.test"],
    PARALLEL: ["parallel.test"],
    STEADY: ["steady.test"],
    ACCESS: ["access.test"],
}
USER, PASSWORD = "alice", "s3cret-9f2c"
REQUIRED = (
    *("docker-registry", "nginx", "dockerd", "docker", "containerd", "ctr", "podman", "skopeo", "buildah"),
    *("curl", "zstd", "ip", "nsenter", "unshare", "setpriv"),
)

_PUBLIC = """
version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {root}}}
  maintenance: {{uploadpurging: {{enabled: false}}}}
middleware:
  storage:
    - name: redirect
      options: {{baseurl: "https://{cdn}/"}}
http: {{addr: "{address}:5001", host: "https://{name}", secret: rig}}
auth:
  token: {{realm: "{realm}", service: {service}, issuer: {issuer}, rootcertbundle: {signer.cert}}}
"""
_WRITER = """
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {root}}}
  maintenance: {{uploadpurging: {{enabled: false}}}}
http: {{addr: "{address}:5002", secret: rig}}
"""


@dataclass(frozen=True, slots=True)
class Registry:
    """One registry of the rig: its names and where it listens."""

    name: str
    host: str
    address: str
    cdn: str
    cdn_address: str
    realm: str
    service: str
    issuer: str


DOCKER_HUB = Registry(
    name="docker.io",
    host="registry-1.docker.io",
    address=REGISTRY,
    cdn="production.cloudfront.docker.com",
    cdn_address=CDN,
    realm="https://auth.docker.io/token",
    service="registry.docker.io",
    issuer="auth.docker.io",
)
GHCR = Registry(
    name="ghcr.io",
    host="ghcr.io",
    address=OTHER,
    cdn="pkg-containers.githubusercontent.com",
    cdn_address=OTHER_CDN,
    realm="https://ghcr.io/token",
    service="ghcr.io",
    issuer="ghcr.io",
)


def require(commands: tuple[str, ...] = REQUIRED) -> None:
    """Raise `RigError` naming the commands that are not installed."""
    missing = [name for name in commands if shutil.which(name, path=PATH) is None]
    if missing:
        raise RigError(f"not installed: {', '.join(missing)}; tests/e2e/packages.txt lists the packages")


@dataclass(slots=True)
class Started:
    """A registry that runs: who signs for it, and who may write."""

    registry: Registry
    root: Path
    tokens: TokenService
    writer: Writer


class Hub:
    """Both registries with their token services and CDNs, and the namespace they live in."""

    images: Images

    def __init__(self, state: Path, seeded: bool = True) -> None:
        require()
        self.state = state
        self._closing = ExitStack()
        try:
            self._start()
            if seeded:
                self.images = seed_hub(self.docker.writer, self.ghcr.writer)
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        state = self.state
        hosts = {**UPSTREAM_HOSTS, **MIRROR_HOSTS}
        self.namespace = self._closing.enter_context(closing(Namespace("hub", state / "hub", hosts)))
        self.authority = Authority(state / "pki")
        names = [name for group in hosts.values() for name in group]
        self.leaf = self.authority.issue("leaf", [*names, *hosts, "127.0.0.1", "localhost"])
        self.docker = self._registry(DOCKER_HUB)
        self.ghcr = self._registry(GHCR)
        self._token_service(self.docker.tokens, TOKENS, 443)
        self._token_service(self.ghcr.tokens, OTHER, 8443)
        self.nginx("upstreams", [part for one in (self.docker, self.ghcr) for part in self._parts(one)])

    def daemon(self, process: Process) -> Process:
        """Have a process stopped with the hub."""
        self._closing.callback(process.stop)
        return process

    def _registry(self, registry: Registry) -> Started:
        root = self.state / registry.name / "data"
        root.mkdir(parents=True)
        signer = self.authority.signer(f"{registry.name}-signer")
        tokens = TokenService(Signer(signer), registry.issuer, registry.service, {USER: PASSWORD})
        for kind, text, port in (("public", _PUBLIC, 5001), ("writer", _WRITER, 5002)):
            config = root.parent / f"{kind}.yml"
            config.write_text(text.format(root=root, signer=signer, **_fields(registry)))
            process = self.namespace.start(
                f"docker-registry {registry.name} {kind}",
                ["docker-registry", "serve", str(config)],
                root.parent / f"{kind}.log",
                environment(HOME=str(root.parent)),
            )
            self.daemon(process).ready(partial(self.namespace.answers, registry.address, port))
        writer = self._closing.enter_context(closing(Writer(self.namespace, registry.address, 5002)))
        return Started(registry, root, tokens, writer)

    def _token_service(self, service: TokenService, address: str, port: int) -> None:
        listener = self.namespace.listen(address, port)
        self._closing.enter_context(serving(service, listener, self.leaf))

    def _parts(self, started: Started) -> list[nginx.Front | nginx.Cdn | nginx.Proxy]:
        registry = started.registry
        token = f"{OTHER}:8443" if registry is GHCR else ""
        backend = f"{registry.address}:5001"
        return [
            nginx.Front(registry.host, registry.address, backend, registry.cdn, token),
            nginx.Cdn(registry.cdn, registry.cdn_address, started.root),
        ]

    def nginx(self, name: str, parts: list[nginx.Front | nginx.Cdn | nginx.Proxy]) -> Process:
        """Start an nginx with these parts, its state under that name."""
        state = self.state / name
        state.mkdir()
        config = state / "nginx.conf"
        config.write_text(nginx.configuration(state, self.leaf, parts))
        process = self.namespace.start(
            f"nginx {name}",
            ["nginx", "-e", str(state / "error.log"), "-p", str(state), "-c", str(config)],
            state / "output.log",
        )
        process.ready(lambda: all(self.namespace.answers(part.address, 443) for part in parts))
        return self.daemon(process)

    def requests(self, name: str = "upstreams") -> list[dict[str, Any]]:
        """Every request that an nginx has answered, oldest first."""
        log = self.state / name / "access.jsonl"
        return [json.loads(line) for line in whole_lines(log.read_text())]

    def close(self) -> None:
        """Stop everything, the last first."""
        self._closing.close()


def _fields(registry: Registry) -> dict[str, str]:
    return {
        "name": registry.host,
        "address": registry.address,
        "cdn": registry.cdn,
        "realm": registry.realm,
        "service": registry.service,
        "issuer": registry.issuer,
    }
