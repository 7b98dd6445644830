"""
`docxy check`, on set-ups that work and on set-ups that do not, each broken in one way.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import timedelta
from email.utils import formatdate
from pathlib import Path
from textwrap import dedent
from time import time
from typing import Any

import pytest

from .rig import hub as places
from .rig.faulty import Asked, Faulty, Reply
from .rig.hub import DOCKER_HUB, GHCR, Hub
from .rig.mirror import CHECKOUT, Mirror, Plan, settings, tls_listener, upstream
from .rig.pki import Authority
from .rig.processes import Finished, environment

DOCUMENTED = (CHECKOUT / "docs" / "check.rst").read_text(encoding="utf-8")
VOLATILE = (  # what is another's on each machine and each day, and what stands in the documentation for it
    (r"/tmp/[\w./-]+/", "/etc/docxy/"),
    (r"\b\d{4}-\d\d-\d\d( \d\d:\d\d UTC)?", "DATE"),
    (r"\b[\d.]+ (days?|bytes)\b", "N of them"),
    (r"\d+ s (ahead of|behind) ", "N s from "),
    (r"\b[0-9a-f]{2}/[0-9a-f]{64}\b", "DIGEST"),
    (r"(\.crt: ).*(; 1 in the chain)", r"\1NAMES\2"),
    (r"OpenSSL \d.* UTC: ", "OpenSSL: "),
    (r"(cryptography|pyopenssl|service-identity|treq|twisted) [\d.]+", r"\1 VERSION"),
)
DOCXY = "import sys; from docxy.cli import main; main()"
IMAGES = ["--image", "docker.io/library/hello:latest", "--image", "ghcr.io/org/app:v1"]
Ask = Callable[..., Finished]


@pytest.fixture
def ask(hub: Hub) -> Ask:
    """Run docxy where the mirrors are, with these words."""

    def one(*words: str) -> Finished:
        there = environment(PYTHONPATH=str(CHECKOUT), PYTHONDONTWRITEBYTECODE="1", PYTHONUTF8="1")
        return hub.namespace.run([sys.executable, "-c", DOCXY, *words], there, 90)

    return one


@pytest.fixture
def config(hub: Hub, folder: Path) -> Iterator[Path]:
    """The settings file of a mirror that would work."""
    path = folder / "docxy.toml"
    yield write(hub, path)


def write(
    hub: Hub, path: Path, tls: tuple[Path, Path] | None = None, hub_ca: Path | None = None, **server: Any
) -> Path:
    """Write such a file, with another certificate, authority or server."""
    only: dict[str, Any] = {} if hub_ca is None else {"ca": str(hub_ca)}
    plan = Plan(
        "check", "https://odd.test", [tls_listener(places.ODD)], [upstream(hub, DOCKER_HUB, **only)], server
    )
    text = settings(hub, plan)
    if tls is not None:
        text = text.replace(str(hub.leaf.cert), str(tls[0])).replace(str(hub.leaf.key), str(tls[1]))
    path.write_text(text)
    return path


def wrong(done: Finished) -> list[list[str]]:
    """The lines that say that something is wrong, each with its remedy."""
    said = done.out.splitlines()
    return [said[at : at + 2] for at, line in enumerate(said) if line.startswith("✗")]


def steady(text: str) -> list[str]:
    """The lines of ``text``, without what changes from day to day."""
    for pattern, constant in VOLATILE:
        text = re.sub(pattern, constant, text)
    return text.splitlines()


def documented(said: str) -> None:
    """Fail unless the documentation shows exactly this."""
    blocks = re.findall(r"code-block:: none\n\n((?:   .*\n)+)", DOCUMENTED)
    assert steady(said) in [steady(dedent(block)) for block in blocks]


def told(done: Finished, *words: str) -> None:
    """Fail unless one thing is wrong and documented, with these words, a remedy, and status 1."""
    print(done.out)
    assert (done.code, done.err) == (1, "")
    ((line, remedy),) = wrong(done)
    assert [word for word in words if word not in line] == []
    assert remedy.startswith("    remedy: ")
    documented(f"{line}\n{remedy}\n")


def test_healthy(mirror: Mirror, ask: Ask) -> None:
    """Beside the mirror that runs all is fine: each step of a pull from both registries has its line."""
    done = ask("check", "--config", str(mirror.config), *IMAGES)
    print(done.out)
    assert (done.code, done.err, wrong(done)) == (0, "", [])
    documented(done.out)
    for line in (
        f"✓ listener {tls_listener(places.MIRROR)}: held by the docxy that runs",
        f"✓ name mirror.test: leads to {places.MIRROR}",
        f"✓ upstream docker.io https://registry-1.docker.io: answers at {places.REGISTRY}, TLS is right",
        f"✓ realm docker.io: tokens come from {DOCKER_HUB.realm}",
        "✓ token docker.io: given for library/hello",
        f"✓ manifest docker.io/library/hello:latest: came from {DOCKER_HUB.host}",
        f"✓ manifest ghcr.io/org/app:v1: came from {GHCR.host}",
    ):
        assert line in done.out
    assert f"bytes came from {DOCKER_HUB.cdn}, and are right" in done.out
    assert "✓ clock docker.io: " in done.out


def test_json(config: Path, ask: Ask) -> None:
    """The same as one JSON document; a listener that nobody has is free."""
    done = ask("check", "--json", "--config", str(config), *IMAGES[:2])
    found = json.loads(done.out)
    assert (done.code, found["result"]) in ((0, "ok"), (0, "warning"))
    results = {(one["check"], one["subject"]): one["text"] for one in found["checks"]}
    assert results["listener", tls_listener(places.ODD)] == "free"
    assert {"settings", "certificate", "listener", "name", "library", "upstream", "clock", "blob"} <= {
        one["check"] for one in found["checks"]
    }


def test_foreign_key(hub: Hub, folder: Path, ask: Ask) -> None:
    """A key that is another certificate's."""
    other = Authority(folder / "pki").issue("other", ["odd.test"])
    path = write(hub, folder / "docxy.toml", (hub.leaf.cert, other.key))
    told(ask("check", "--config", str(path), *IMAGES[:2]), "certificate tls.key", "does not belong")


def test_expired(hub: Hub, folder: Path, ask: Ask) -> None:
    """A certificate that has ended."""
    old = Authority(folder / "pki").issue("old", ["odd.test"], timedelta(hours=-1))
    path = write(hub, folder / "docxy.toml", (old.cert, old.key))
    told(ask("check", "--config", str(path), *IMAGES[:2]), "certificate tls.cert", "expired on")


def test_unknown_name(config: Path, ask: Ask) -> None:
    """A public name that leads nowhere, and that no certificate has."""
    done = ask("check", "--config", str(config), "--public-url", "https://nowhere.test", *IMAGES[:2])
    told(done, "name nowhere.test", "does not resolve")
    assert "! certificate server.public_url: no certificate is valid for nowhere.test" in done.out


def test_unreachable(hub: Hub, config: Path, ask: Ask) -> None:
    """An upstream whose port is closed."""
    done = ask("check", "--config", str(config), "--upstream", f"docker.io=https://{DOCKER_HUB.host}:9")
    told(done, "upstream docker.io", "cannot connect")


def test_wrong_authority(hub: Hub, folder: Path, ask: Ask) -> None:
    """An upstream whose certificate nobody here believes."""
    path = write(hub, folder / "docxy.toml", hub_ca=Authority(folder / "pki").cert)
    told(ask("check", "--config", str(path)), "upstream docker.io", "TLS failed")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"url": f"https://{places.REGISTRY}", "realm": None, "name": "corp.test"},
            ["realm corp.test", "refused"],
        ),
        ({"redirects": ["other.test"]}, ["blob docker.io/", "redirect", DOCKER_HUB.cdn]),
    ],
    ids=["realm", "cdn"],
)
def test_not_allowed(hub: Hub, folder: Path, ask: Ask, changed: Mapping[str, Any], words: list[str]) -> None:
    """A token server, and a CDN, that the settings do not allow."""
    entry = {key: value for key, value in upstream(hub, DOCKER_HUB, **changed).items() if value is not None}
    path = folder / "docxy.toml"
    path.write_text(settings(hub, Plan("check", "https://odd.test", [tls_listener(places.ODD)], [entry])))
    told(ask("check", "--config", str(path), "--image", f"{entry['name']}/library/hello:latest"), *words)


@pytest.mark.parametrize(
    ("ahead", "sign", "words"),
    [(-400, "✗", "ahead of"), (60, "!", "behind"), (0, "✓", "ahead of")],
    ids=["wrong", "late", "right"],
)
def test_clock(hub: Hub, folder: Path, ask: Ask, ahead: float, sign: str, words: str) -> None:
    """A registry whose clock is another: told from half a minute on, and wrong from five minutes on."""
    name, address = places.LONE[-2], places.BAD[-2]

    def script(asked: Asked) -> Reply:
        date = formatdate(time() + ahead, usegmt=True)
        return Reply(200, [("Date", date), ("Docker-Distribution-Api-Version", "registry/2.0")], b"{}")

    entry = {"name": "clock.test", "url": f"https://{name}", "ca": str(hub.authority.cert)}
    path = folder / "docxy.toml"
    path.write_text(settings(hub, Plan("check", "https://odd.test", [tls_listener(places.ODD)], [entry])))
    with Faulty(hub.namespace, hub.leaf, address, script):
        done = ask("check", "--config", str(path))
    print(done.out)
    found = re.search(rf"^{sign} clock clock\.test: (\d+) s {words} {name}$", done.out, re.MULTILINE)
    assert found is not None
    assert abs(int(found[1]) - abs(ahead)) <= 3  # the Date has whole seconds, and the way takes some
    assert done.code == (1 if sign == "✗" else 0)
    assert ("timedatectl" in done.out) is (sign != "✓")
    for finding in wrong(done):
        documented("\n".join(finding).replace(name, DOCKER_HUB.host).replace("clock.test", DOCKER_HUB.name))


def test_no_image(hub: Hub, folder: Path, ask: Ask) -> None:
    """A registry that no image is known of: its token server is met all the same."""
    entry = upstream(hub, DOCKER_HUB, name="corp.test")
    path = folder / "docxy.toml"
    path.write_text(settings(hub, Plan("check", "https://odd.test", [tls_listener(places.ODD)], [entry])))
    done = ask("check", "--config", str(path))
    assert (done.code, wrong(done)) == (0, [])
    assert "✓ token corp.test: the token server answers, TLS is right\n! image corp.test: " in done.out


def test_port_taken(hub: Hub, config: Path, ask: Ask) -> None:
    """A port that another process has."""
    with closing(hub.namespace.listen(places.ODD, 443)):
        done = ask("check", "--config", str(config), *IMAGES[:2])
    told(done, f"listener {tls_listener(places.ODD)}", "is taken by another process")
    assert "ss -ltnp" in done.out


def test_settings(ask: Ask) -> None:
    """Settings that cannot be read are all that is said."""
    done = ask("check", "--listen", "ssl:443")
    told(done, "settings --listen", "needs a certificate")
    assert len(done.out.splitlines()) == 2


def test_image(config: Path, ask: Ask) -> None:
    """An image that is none, or of no upstream, is told in one line."""
    for image in ("docker.io/UPPER", "quay.io/a/b:c"):
        done = ask("check", "--config", str(config), "--image", image)
        assert (done.code, done.out, len(done.err.splitlines())) == (1, "", 1)
        assert done.err.startswith(f"docxy: --image: {image} is")
