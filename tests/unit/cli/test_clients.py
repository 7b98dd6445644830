"""What each client's configuration has to say."""

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from docxy.cli.clients import CLIENTS, Advice, Door, advice, door, registry_name, shown
from docxy.settings.reader import read
from docxy.settings.values import Settings, SettingsError

DOCUMENTED = (Path(__file__).resolve().parents[3] / "docs" / "clients.rst").read_text(encoding="utf-8")
PUBLIC = "https://mirror.example.com"
SECRET = "k7x-choose-your-own-here"
BOTH = ({"name": "docker.io"}, {"name": "ghcr.io"})


def settings(*upstreams: Mapping[str, Any], **server: Any) -> Settings:
    """Settings with these upstreams; public at `PUBLIC` where nothing else is said."""
    server = {"listen": ["tcp:5000:interface=127.0.0.1"], "public_url": [PUBLIC], **server}
    mapping = {key: value for key, value in server.items() if value is not None}
    return read({"server": mapping, "upstream": list(upstreams or BOTH)})


def one(client: str, found: Settings) -> Advice:
    """The advice for one client."""
    (only,) = advice(found, [client])
    return only


def documented_blocks() -> list[str]:
    """Every code block of the documentation's page of clients."""
    blocks = re.findall(r"code-block:: \w+\n\n((?:[ ]+.*\n|\n)+)", DOCUMENTED)
    return [dedent(block).strip() for block in blocks]


class DocumentedTests(SynchronousTestCase):
    """What is printed is what the documentation shows, and the tests of clients run."""

    def test_files(self) -> None:
        """Each file of each client, for two registries, stands in the documentation, under the same path."""
        blocks = documented_blocks()
        for found in advice(settings(), list(CLIENTS)):
            for file in found.files:
                self.assertIn(file.text.strip(), blocks, found.client)
                self.assertIn(file.path.removeprefix("/etc/buildkit/"), DOCUMENTED)

    def test_secret_path(self) -> None:
        """With a secret path each client's line is the one in the documentation's table."""
        found = settings(*BOTH, secret_path=SECRET)
        lines = {
            "docker": f'"registry-mirrors": ["{PUBLIC}/{SECRET}"]',
            "containerd": f'[host."{PUBLIC}/{SECRET}"]',
            "k3s": f"{PUBLIC}/{SECRET}/v2",
            "podman": f'location = "mirror.example.com/{SECRET}/ghcr.io"',
            "buildkit": f'mirrors = ["mirror.example.com/{SECRET}"]',
        }
        self.assertEqual(set(lines), set(CLIENTS))
        for client, line in lines.items():
            self.assertIn(line, DOCUMENTED)
            self.assertIn(line, "".join(file.text for file in one(client, found).files))

    def test_forms(self) -> None:
        """The files are JSON and TOML where they are called so."""
        for found in advice(settings(), ["docker", "containerd", "podman", "buildkit"]):
            for file in found.files:
                (json.loads if file.path.endswith(".json") else tomllib.loads)(file.text)


class DoorTests(SynchronousTestCase):
    """By which URL clients meet the mirror."""

    def test_public_url(self) -> None:
        """The first https one of the public URLs, whatever comes before it."""
        found = settings(public_url=["http://lan.example:5000", PUBLIC, "https://other.example"])
        self.assertEqual(door(found).url, PUBLIC)

    def test_certificate(self) -> None:
        """Without a public URL the certificate's first name that is one host's, and the listener's port."""
        tls = {"cert": "c", "key": "k"}
        for listen, url in (("ssl:443", "https://a.example"), ("ssl:8443", "https://a.example:8443")):
            found = read({"server": {"listen": [listen]}, "tls": tls})
            self.assertEqual(door(found, ("*.example", "a.example")).url, url)
        self.assertEqual(door(read({"tls": tls}), ("2001:db8::1",)).url, "https://[2001:db8::1]")

    def test_loopback(self) -> None:
        """A plain listener is met by its interface."""
        self.assertEqual(door(settings(public_url=None)).url, "http://127.0.0.1:5000")
        six = settings(public_url=None, listen=["unix:/run/x", r"tcp:5000:interface=\:\:1"])
        self.assertEqual(door(six).url, "http://[::1]:5000")

    def test_unknown(self) -> None:
        """Where nothing says it, the operator is asked for it."""
        everywhere = ("tcp:5000:interface=0.0.0.0", r"tcp:5000:interface=\:\:")
        for listen in ("tcp:5000", *everywhere, "systemd:domain=INET:index=0", "tcp:5000:x=1:x=2"):
            error = self.assertRaises(SettingsError, door, settings(public_url=None, listen=[listen]))
            self.assertEqual(error.key, "server.public_url")

    def test_keys(self) -> None:
        """Where there are only keys, the first one's path is in the URL, or that of the one that is named."""
        keys = [{"name": name, "path": f"{name}-key-7d1c"} for name in ("home", "alice")]
        found = read({"server": {"public_url": PUBLIC}, "access": {"key": keys}})
        self.assertEqual(door(found).url, f"{PUBLIC}/home-key-7d1c")
        self.assertEqual(door(found, (), "alice").url, f"{PUBLIC}/alice-key-7d1c")
        error = self.assertRaises(SettingsError, door, found, (), "bob")
        self.assertEqual((error.problem, error.remedy), ("there is no key bob", "choose one: home, alice"))
        error = self.assertRaises(SettingsError, door, settings(secret_path=SECRET), (), "bob")
        self.assertIn("[[access.key]]", error.remedy)

    def test_repr(self) -> None:
        """The secret path is in no repr."""
        self.assertNotIn(SECRET, repr(door(settings(secret_path=SECRET))))


class UpstreamTests(SynchronousTestCase):
    """Which registries have a place, and where."""

    def test_other_default(self) -> None:
        """Where Docker Hub is not the default upstream, docker's URL has its name as path."""
        found = one("docker", settings({"name": "ghcr.io"}, {"name": "docker.io"}))
        self.assertIn(f'"{PUBLIC}/docker.io"', found.files[0].text)
        self.assertIn("Before docker 25", "".join(found.notes))
        self.assertIn("  docker pull mirror.example.com/IMAGE:TAG    (ghcr.io)", found.notes)

    def test_no_hub(self) -> None:
        """Without Docker Hub docker has no file, and podman no registry of unqualified names."""
        found = settings({"name": "ghcr.io"})
        self.assertEqual((one("docker", found).files, one("docker", found).commands), ((), ()))
        self.assertNotIn("unqualified", one("podman", found).files[0].text)
        for client in ("podman", "containerd"):
            self.assertIn("ghcr.io/IMAGE:TAG", one(client, found).commands[0])

    def test_hosts(self) -> None:
        """An upstream without a prefix is met at the host of its own, with the mirror's port and secret."""
        corp = {"name": "corp", "url": "https://registry.corp.example", "hosts": ["corp.mirror.example.com"]}
        found = settings({"name": "docker.io"}, corp, public_url=[f"{PUBLIC}:8443"], secret_path=SECRET)
        self.assertEqual(registry_name(found.upstreams[1]), "registry.corp.example")
        self.assertIn(f'"corp.mirror.example.com:8443/{SECRET}"', one("podman", found).files[0].text)

    def test_nowhere(self) -> None:
        """One that has neither is for clients that name it, like containerd, and not for podman."""
        corp = {"name": "corp", "url": "https://registry.corp.example"}
        found = settings({"name": "docker.io"}, corp)
        self.assertNotIn("corp", one("podman", found).files[0].text)
        self.assertIn("certs.d/registry.corp.example/", one("containerd", found).files[1].path)

    def test_server(self) -> None:
        """containerd falls back to the registry itself, not to a mirror before it."""
        upstreams = (
            {"name": "docker.io", "url": ["https://near.example"]},
            {"name": "r.example", "url": "https://r.example"},
        )
        files = one("containerd", settings(*upstreams)).files
        self.assertIn('server = "https://registry-1.docker.io"', files[0].text)
        self.assertIn('server = "https://r.example"', files[1].text)

    def test_plain(self) -> None:
        """Of a mirror with plain HTTP podman and BuildKit are told, and docker for further registries."""
        found = settings(public_url=["http://mirror.lan:5000"])
        self.assertEqual(one("podman", found).files[0].text.count("insecure = true"), 2)
        self.assertIn('[registry."mirror.lan:5000"]\n  http = true', one("buildkit", found).files[0].text)
        self.assertIn("insecure-registries", one("docker", found).notes[-1])
        near = settings(public_url=["http://127.0.0.1:5000"])
        self.assertNotIn("insecure-registries", "".join(one("docker", near).notes))

    def test_one_registry(self) -> None:
        """With Docker Hub alone nothing is said of further registries."""
        self.assertEqual(one("docker", settings({"name": "docker.io"})).notes, ())


class ShownTests(SynchronousTestCase):
    """The text."""

    def test_text(self) -> None:
        """Files are indented under their paths, commands follow."""
        self.assertEqual(
            shown([one("k3s", settings({"name": "docker.io"})), Advice("none")]),
            dedent(
                """\
                k3s
                ===

                /etc/rancher/k3s/registries.yaml:

                    mirrors:
                      docker.io:
                        endpoint:
                          - "https://mirror.example.com"

                Then:

                    # systemctl restart k3s

                On agents the service is k3s-agent.

                none
                ====
                """
            ),
        )

    def test_url(self) -> None:
        """A door's host has the port and no path."""
        self.assertEqual(Door("https", "a.example:8443/x").host, "a.example:8443")
