"""
curl, which does by hand what the other clients do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..processes import RigError
from ..seed import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from ..writer import sha256
from .seat import Seat

ACCEPT = [f"Accept: {kind}" for kind in (DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX)]
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said; names of headers are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    def challenge(self) -> dict[str, str]:
        """The parameters of its Bearer challenge."""
        value = self.headers.get("www-authenticate", "")
        if not value.startswith("Bearer "):
            raise RigError(f"no Bearer challenge: {self.status} {value!r}")
        return dict(_PARAMETER.findall(value))


class Curl:
    """curl with the rig's authority; it follows no redirects, so that the tests see them."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._head = seat.folder("curl") / "head"
        self._body = seat.folder("curl") / "body"

    def arguments(self, url: str, headers: Sequence[str] = (), *options: str) -> list[str]:
        """The command of one request."""
        lines = [part for header in headers for part in ("-H", header)]
        return ["curl", "-sS", "--cacert", str(self._seat.ca), "--path-as-is", *lines, *options, url]

    def ask(self, url: str, headers: Sequence[str] = (), *options: str) -> Answer:
        """One request; raises `RigError` where no whole answer came."""
        files = ["-D", str(self._head), "-o", str(self._body)]
        for path in (self._head, self._body):
            path.write_bytes(b"")
        self._seat.run(self.arguments(url, headers, *files, *options)).check()
        return self._answer(self._head.read_text(errors="replace"), self._body)

    @staticmethod
    def _answer(head: str, body: Path) -> Answer:
        lines = head.rstrip("\r\n").replace("\r\n", "\n").split("\n\n")[-1].split("\n")
        pairs = (line.split(":", 1) for line in lines[1:])
        headers = {name.strip().lower(): value.strip() for name, value in pairs}
        return Answer(int(lines[0].split()[1]), headers, body.read_bytes())

    def token(self, challenge: dict[str, str], *scopes: str, account: str = "") -> str:
        """A token from a challenge's realm, as ``account`` ("user:password") if given."""
        query = "".join(f"&scope={quote(scope, safe='')}" for scope in scopes)
        url = f"{challenge['realm']}?service={quote(challenge.get('service', ''), safe='')}{query}"
        answer = self.ask(url, [], *(["-u", account] if account else []))
        if answer.status != 200:
            raise RigError(f"{challenge['realm']}: {answer.status} {answer.body[:300]!r}")
        return str(answer.json()["token"])

    def pull(
        self, base: str, repository: str, tag: str, account: str = "", query: str = ""
    ) -> tuple[str, list[str]]:
        """
        The whole dance against the registry at ``base``: the manifest's digest and those of its blobs.

        An index is followed to its first manifest. The challenge is that of `/v2/`, or of the
        manifest where a ``query`` ("?ns=...") says whose it is.
        """
        first = f"{repository}/manifests/{tag}{query}" if query else ""
        challenge = self.ask(f"{base}/v2/{first}").challenge()
        token = self.token(challenge, f"repository:{repository}:pull", account=account)
        bearer = f"Authorization: Bearer {token}"

        def get(kind: str, reference: str) -> bytes:
            answer = self.ask(f"{base}/v2/{repository}/{kind}/{reference}{query}", [bearer, *ACCEPT])
            if answer.status != 200:
                raise RigError(f"{kind}/{reference}: {answer.status} {answer.body[:300]!r}")
            return answer.body

        top = get("manifests", tag)
        manifest = json.loads(top)
        if "manifests" in manifest:
            manifest = json.loads(get("manifests", manifest["manifests"][0]["digest"]))
        blobs = [manifest["config"], *manifest["layers"]]
        return sha256(top), [sha256(get("blobs", blob["digest"])) for blob in blobs]
