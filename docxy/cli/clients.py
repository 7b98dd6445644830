"""
What each client's configuration has to say, for a mirror of these settings.

Owns the files, where they belong, and the commands that apply them; the
documentation's page of clients explains them.  Reads no file and asks nobody.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from docxy.policy.hosts import parse_host
from docxy.policy.secret import SecretPath
from docxy.registries import KNOWN
from docxy.settings.values import Settings, SettingsError, UpstreamSettings
from docxy.tls.endpoints import Malformed, is_tls, parse_description, port_of

HUB = "docker.io"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - read from the settings, not listened on


@dataclass(frozen=True, slots=True)
class File:
    """A file to write, or to add to one that is there."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Advice:
    """What one client needs: ``files``, then ``commands``, and ``notes`` on what they cannot say."""

    client: str
    files: tuple[File, ...] = ()
    commands: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Door:
    """
    Where clients meet the mirror: ``scheme``, and ``place``, which is host, port and path.

    ``repr`` shows no place: a secret path is in it.
    """

    scheme: str
    place: str

    def __repr__(self) -> str:
        return f"Door(scheme={self.scheme!r})"

    @property
    def url(self) -> str:
        """The whole URL, without a slash at its end."""
        return f"{self.scheme}://{self.place}"

    @property
    def host(self) -> str:
        """Host and port."""
        return self.place.partition("/")[0]


def door(settings: Settings, names: Sequence[str] = (), key: str | None = None) -> Door:
    """
    The URL to tell clients: the public one, else one from the certificate's ``names`` or the listener.

    It has the path of the access key called ``key``; else the secret path, or where there are only
    keys the first one's.

    :raises SettingsError: none of them says by which name clients reach us, or there is no such key.
    """
    front = SecretPath.of(settings).fronts[0] if key is None else f"/{_key_path(settings, key)}"
    scheme, _, place = _base_url(settings, names).partition("://")
    return Door(scheme, place + front)


def _key_path(settings: Settings, name: str) -> str:
    paths = {key.name: key.path for key in settings.access.keys}
    if name not in paths:
        remedy = f"choose one: {', '.join(paths)}" if paths else "add one: [[access.key]]"
        raise SettingsError("--access-key", f"there is no key {name}", remedy)
    return paths[name]


def _base_url(settings: Settings, names: Sequence[str]) -> str:
    public = sorted(settings.server.public_urls, key=lambda url: not url.startswith("https:"))
    if public:
        return public[0]
    for listener in settings.server.listen:
        port, named = port_of(listener), [name for name in names if not name.startswith("*")]
        if is_tls(listener) and port is not None and named:
            host = f"[{named[0]}]" if ":" in named[0] else named[0]
            return f"https://{host}" if port == 443 else f"https://{host}:{port}"
        interface = _interface(listener)
        if not is_tls(listener) and port is not None and interface:
            return f"http://{f'[{interface}]' if ':' in interface else interface}:{port}"
    raise SettingsError(
        "server.public_url",
        "is missing, and nothing else says what clients call this mirror",
        "set it (--public-url https://mirror.example.com)",
    )


def _interface(listener: str) -> str:
    try:
        found = parse_description(listener).arguments.get("interface", "")
    except Malformed:
        return ""
    return "" if found in _EVERYWHERE else found


def advice(
    settings: Settings, clients: Sequence[str], names: Sequence[str] = (), key: str | None = None
) -> list[Advice]:
    """
    For each of ``clients``, which are keys of `CLIENTS`, what it needs; for who has the access key ``key``.

    :raises SettingsError: nothing says what clients call this mirror, or there is no such key.
    """
    mirror = _Mirror(settings, door(settings, names, key))
    return [CLIENTS[client](mirror) for client in clients]


class _Mirror:
    """The settings, as clients meet them."""

    def __init__(self, settings: Settings, entrance: Door) -> None:
        self.door = entrance
        self.default, *_ = self.upstreams = settings.upstreams

    def of(self, upstream: UpstreamSettings) -> Door | None:
        """Where one upstream is met by clients that do not name it otherwise; None: nowhere."""
        if upstream is self.default:
            return self.door
        if upstream.prefixes:
            return Door(self.door.scheme, f"{self.door.place}/{upstream.prefixes[0]}")
        if upstream.hosts:
            port, path = _port(self.door.host), self.door.place[len(self.door.host) :]
            return Door(self.door.scheme, f"{upstream.hosts[0]}{port}{path}")
        return None

    def placed(self) -> Iterator[tuple[str, Door]]:
        """Each registry, by the name that images bear, and where it is met."""
        for upstream in self.upstreams:
            found = self.of(upstream)
            if found is not None:
                yield registry_name(upstream), found

    @property
    def hub(self) -> UpstreamSettings | None:
        """The upstream that stands for Docker Hub."""
        return next((one for one in self.upstreams if one.name == HUB), None)

    @property
    def example(self) -> str:
        """An image to try, by a name that is Docker Hub's or the first registry's."""
        return f"{HUB}/library/alpine" if self.hub else f"{registry_name(self.default)}/IMAGE:TAG"


def registry_name(upstream: UpstreamSettings) -> str:
    """What images of this upstream are called by: its name, or its host where the name is no host's."""
    if set(upstream.name) & {".", ":"}:
        return upstream.name
    return upstream.urls[-1].partition("://")[2].partition("/")[0]


def _server(upstream: UpstreamSettings) -> str:
    """The registry itself, which a client falls back to."""
    known = KNOWN.get(upstream.name)
    return known.url if known else upstream.urls[-1]


def _port(netloc: str) -> str:
    host = parse_host(netloc)
    return "" if host is None or host.port is None else f":{host.port}"


def _is_loopback(entrance: Door) -> bool:
    host = parse_host(entrance.host)
    return host is not None and host.name in _LOOPBACK


def _docker(mirror: _Mirror) -> Advice:
    hub = None if mirror.hub is None else mirror.of(mirror.hub)
    files, commands, notes = [], [], []
    if hub is not None:
        text = f'{{\n  "registry-mirrors": [{json.dumps(hub.url)}]\n}}\n'
        files.append(File("/etc/docker/daemon.json", text))
        commands += ["systemctl restart docker", "docker pull alpine"]
        if "/" in hub.place:
            notes.append("Before docker 25 that URL may have no path; name the mirror as the registry there:")
            notes.append(f"  docker pull {hub.place}/library/alpine")
    others = [(name, place) for name, place in mirror.placed() if name != HUB]
    if others:
        notes.append("That is for Docker Hub alone. For other registries name the mirror as the registry:")
        notes += [f"  docker pull {place.place}/IMAGE:TAG    ({name})" for name, place in others]
    if others and mirror.door.scheme == "http" and not _is_loopback(mirror.door):
        notes.append(
            f'For that, add "insecure-registries": ["{mirror.door.host}"], for the mirror is plain HTTP.'
        )
    return Advice("docker", tuple(files), tuple(commands), tuple(notes))


def _containerd(mirror: _Mirror) -> Advice:
    files = [
        File(
            f"/etc/containerd/certs.d/{registry_name(upstream)}/hosts.toml",
            f'server = "{_server(upstream)}"\n'
            f'[host."{mirror.door.url}"]\n'
            '  capabilities = ["pull", "resolve"]\n',
        )
        for upstream in mirror.upstreams
    ]
    folder = "/etc/containerd/certs.d"
    notes = (
        "Kubernetes reads them once /etc/containerd/config.toml names the folder; restart containerd then.",
        "containerd 1:",
        '  [plugins."io.containerd.grpc.v1.cri".registry]',
        f'    config_path = "{folder}"',
        "containerd 2:",
        '  [plugins."io.containerd.cri.v1.images".registry]',
        f'    config_path = "{folder}"',
    )
    image = f"{mirror.example}:latest" if mirror.hub else mirror.example
    return Advice("containerd", tuple(files), (f"ctr images pull --hosts-dir {folder} {image}",), notes)


def _k3s(mirror: _Mirror) -> Advice:
    # k3s adds /v2 to an endpoint without a path alone, and leaves any other as it is.
    endpoint = f"{mirror.door.url}/v2" if "/" in mirror.door.place else mirror.door.url
    lines = ["mirrors:"]
    for upstream in mirror.upstreams:
        lines += [f"  {registry_name(upstream)}:", "    endpoint:", f'      - "{endpoint}"']
    file = File("/etc/rancher/k3s/registries.yaml", "\n".join(lines) + "\n")
    return Advice("k3s", (file,), ("systemctl restart k3s",), ("On agents the service is k3s-agent.",))


def _podman(mirror: _Mirror) -> Advice:
    blocks = [f'unqualified-search-registries = ["{HUB}"]'] if mirror.hub else []
    for name, place in mirror.placed():
        lines = ["[[registry]]", f'location = "{name}"', "[[registry.mirror]]", f'location = "{place.place}"']
        blocks.append("\n".join([*lines, "insecure = true"] if place.scheme == "http" else lines))
    file = File("/etc/containers/registries.conf", "\n\n".join(blocks) + "\n")
    notes = ("The same for skopeo, buildah and CRI-O.",)
    return Advice("podman", (file,), (f"podman pull {mirror.example}",), notes)


def _buildkit(mirror: _Mirror) -> Advice:
    lines = []
    for upstream in mirror.upstreams:
        lines += [f'[registry."{registry_name(upstream)}"]', f'  mirrors = ["{mirror.door.place}"]']
    if mirror.door.scheme == "http":
        lines += [f'[registry."{mirror.door.host}"]', "  http = true"]
    path = "/etc/buildkit/buildkitd.toml"
    create = f"docker buildx create --use --buildkitd-config {path}"
    return Advice("buildkit", (File(path, "\n".join(lines) + "\n"),), (create,))


CLIENTS: Mapping[str, Callable[[_Mirror], Advice]] = {
    "docker": _docker,
    "containerd": _containerd,
    "k3s": _k3s,
    "podman": _podman,
    "buildkit": _buildkit,
}
"""The clients that are known, by their names on the command line."""


def shown(found: Sequence[Advice]) -> str:
    """All of it as text: indented is what belongs into files, after # is what root types."""
    return "\n\n".join("\n".join(_lines(one)) for one in found) + "\n"


def _lines(one: Advice) -> Iterator[str]:
    yield one.client
    yield "=" * len(one.client)
    for file in one.files:
        yield from ("", f"{file.path}:", "")
        yield from (f"    {line}".rstrip() for line in file.text.splitlines())
    if one.commands:
        yield from ("", "Then:", "", *(f"    # {command}" for command in one.commands))
    if one.notes:
        yield from ("", *one.notes)
