"""
podman, skopeo and buildah, which read registries.conf.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from typing import Literal

from ..processes import Finished
from ..writer import sha256
from .seat import Seat, logins

_POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}'
Accounts = dict[str, tuple[str, str]]


def registries_conf(mirrors: Mapping[str, str], insecure: bool = False) -> str:
    """A registries.conf in which each registry has that mirror."""
    lines = ['unqualified-search-registries = ["docker.io"]']
    for registry, mirror in mirrors.items():
        lines += ["[[registry]]", f'location = "{registry}"', "[[registry.mirror]]", f'location = "{mirror}"']
        lines += ["insecure = true"] if insecure else []
    return "\n".join(lines) + "\n"


class Containers:
    """One tool of the family, with an empty store for each pull."""

    def __init__(
        self,
        seat: Seat,
        tool: Literal["podman", "skopeo", "buildah"],
        mirrors: Mapping[str, str],
        insecure: bool = False,
    ) -> None:
        self._seat = seat
        self._tool = tool
        self._registries = seat.file("registries.conf", registries_conf(mirrors, insecure))
        self._policy = seat.file("policy.json", _POLICY)
        self._auth = seat.file("auth.json", logins({}))

    def set_logins(self, accounts: Accounts) -> None:
        """Give it the user and password of each host, as ``login`` keeps them."""
        self._auth.write_text(logins(accounts))

    def login(self, host: str, user: str, password: str) -> Finished:
        """Log in to a host with the tool itself."""
        argv = [self._tool, "login", "--authfile", str(self._auth), "-u", user, "--password-stdin", host]
        return self._run(argv, password)

    def _run(self, argv: list[str], given: str | None = None) -> Finished:
        return self._seat.run(
            argv,
            given=given,
            CONTAINERS_REGISTRIES_CONF=str(self._registries),
            REGISTRY_AUTH_FILE=str(self._auth),
        )

    def attempt(self, name: str, *options: str) -> tuple[Finished, str]:
        """Pull, and give back how it went and the digest it got (empty where it failed)."""
        return self._copy(name, options) if self._tool == "skopeo" else self._pull(name, options)

    def pull(self, name: str, *options: str) -> str:
        """The digest that a pull got; raises `RigError` where it failed."""
        done, digest = self.attempt(name, *options)
        done.check()
        return digest

    def _copy(self, name: str, options: tuple[str, ...]) -> tuple[Finished, str]:
        target = self._seat.folder("copied")
        try:
            places = ["--registries-conf", str(self._registries), "--policy", str(self._policy)]
            done = self._run(["skopeo", *places, "copy", "-q", *options, f"docker://{name}", f"dir:{target}"])
            raw = (target / "manifest.json").read_bytes() if done.code == 0 else b""
            return done, sha256(raw) if raw else ""
        finally:
            shutil.rmtree(target)

    def _pull(self, name: str, options: tuple[str, ...]) -> tuple[Finished, str]:
        store = self._seat.folder("store")
        run = self._seat.folder("run")
        places = ["--root", str(store), "--runroot", str(run), "--storage-driver", "vfs"]
        try:
            policy = ["--signature-policy", str(self._policy)]
            done = self._run([self._tool, *places, "pull", "-q", *policy, *options, name])
            return done, self._digest(places, name) if done.code == 0 else ""
        finally:
            shutil.rmtree(store)
            shutil.rmtree(run)

    def _digest(self, places: list[str], name: str) -> str:
        """The digest under which the image was asked for: that of the index where there is one."""
        if self._tool == "buildah":
            said = self._run(["buildah", *places, "images", "--json", "--digests", name]).check().out
            return str(json.loads(said)[0]["digest"])
        said = self._run(["podman", *places, "image", "inspect", name]).check().out
        return str(json.loads(said)[0]["Digest"])
