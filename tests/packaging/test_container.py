"""
What runs docxy's image agrees with it: compose.yaml and packaging/kubernetes.yaml, by name, port and time.
"""

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml
from twisted.trial.unittest import SynchronousTestCase

from docxy.settings.reader import read
from docxy.settings.sources import VARIABLES
from docxy.settings.values import Settings
from docxy.tls.endpoints import is_tls, port_of

ROOT = Path(__file__).resolve().parent.parent.parent
LAST = 5  # seconds that docxy gives what is left after server.drain


def text(name: str) -> str:
    """A file of the checkout."""
    return (ROOT / name).read_text(encoding="utf-8")


def instructions() -> dict[str, list[str]]:
    """The Dockerfile's instructions after its last FROM, by their word."""
    joined = text("Dockerfile").rpartition("\nFROM ")[2].replace("\\\n", " ")
    found: dict[str, list[str]] = {}
    for line in joined.splitlines()[1:]:
        if line and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            found.setdefault(word, []).append(rest)
    return found


def of_image() -> Settings:
    """The settings that the image comes with."""
    return read(tomllib.loads(text("packaging/container.toml")))


class DockerfileTests(SynchronousTestCase):
    """The image."""

    def test_user(self) -> None:
        """It runs as a user who is not root and is given by number."""
        self.assertRegex(instructions()["USER"][0], r"\A[1-9]\d+:[1-9]\d+\Z")

    def test_port(self) -> None:
        """The port that it names is the one that its settings listen on, above those that need a right."""
        (listener,) = of_image().server.listen
        self.assertEqual(instructions()["EXPOSE"], [str(port_of(listener))])
        self.assertFalse(is_tls(listener))

    def test_first_process(self) -> None:
        """twistd itself is the first process, so that it hears `docker stop`, and writes no pidfile."""
        self.assertEqual(instructions()["ENTRYPOINT"], ['["twistd", "--nodaemon", "--pidfile=", "docxy"]'])
        self.assertEqual(instructions()["STOPSIGNAL"], ["SIGTERM"])

    def test_context(self) -> None:
        """All that it copies is let through by .dockerignore."""
        let_in = {line[1:] for line in text(".dockerignore").splitlines() if line.startswith("!")}
        copied = set()
        for line in re.findall(r"^COPY (?!--from)(.*)$", text("Dockerfile"), re.MULTILINE):
            copied |= set(line.split()[:-1])
        self.assertEqual(copied, let_in)
        self.assertEqual([name for name in let_in if not (ROOT / name).exists()], [])


class ComposeTests(SynchronousTestCase):
    """compose.yaml."""

    def setUp(self) -> None:
        self.service: dict[str, Any] = yaml.safe_load(text("compose.yaml"))["services"]["docxy"]

    def test_variables(self) -> None:
        """Each variable is one that docxy reads, and what they say is taken."""
        known = set(VARIABLES)
        self.assertEqual(set(self.service["environment"]) - known, set())

    def test_ports(self) -> None:
        """Each published port is one that is listened on."""
        environment = self.service["environment"]
        inside = [port_of(environment[name]) for name in ("DOCXY_LISTEN", "DOCXY_REDIRECT")]
        self.assertEqual(self.service["ports"], [f"443:{inside[0]}", f"80:{inside[1]}"])

    def test_grace(self) -> None:
        """A stop waits longer than running pulls may take."""
        seconds = int(self.service["stop_grace_period"].removesuffix("s"))
        self.assertGreater(seconds, of_image().server.drain + LAST)

    def test_rights(self) -> None:
        """The file system is read-only but for the image's volume, and no right is left."""
        self.assertIs(self.service["read_only"], True)
        self.assertEqual(self.service["cap_drop"], ["ALL"])
        (volume,) = instructions()["VOLUME"]
        self.assertIn(f"state:{volume}", self.service["volumes"])


class KubernetesTests(SynchronousTestCase):
    """packaging/kubernetes.yaml."""

    def setUp(self) -> None:
        self.kinds: dict[str, Any] = {
            one["kind"]: one for one in yaml.safe_load_all(text("packaging/kubernetes.yaml"))
        }
        self.pod: dict[str, Any] = self.kinds["Deployment"]["spec"]["template"]["spec"]
        (self.container,) = self.pod["containers"]
        self.settings = read(tomllib.loads(self.kinds["ConfigMap"]["data"]["docxy.toml"]))

    def test_names(self) -> None:
        """The service finds the pods, and the pods their settings, where docxy looks for them."""
        labels = self.kinds["Deployment"]["spec"]["template"]["metadata"]["labels"]
        self.assertEqual(self.kinds["Deployment"]["spec"]["selector"]["matchLabels"], labels)
        self.assertEqual(self.kinds["Service"]["spec"]["selector"], labels)
        volumes = {volume["name"]: volume for volume in self.pod["volumes"]}
        mounts = {mount["mountPath"]: mount["name"] for mount in self.container["volumeMounts"]}
        self.assertEqual(
            volumes[mounts["/etc/docxy"]]["configMap"]["name"], self.kinds["ConfigMap"]["metadata"]["name"]
        )
        self.assertEqual(volumes[mounts[instructions()["VOLUME"][0]]]["emptyDir"], {})

    def test_ports(self) -> None:
        """Service and probes meet the port that is listened on, by its name."""
        (port,) = self.container["ports"]
        (listener,) = self.settings.server.listen
        self.assertEqual((port["containerPort"], is_tls(listener)), (port_of(listener), False))
        self.assertEqual(self.kinds["Service"]["spec"]["ports"][0]["targetPort"], port["name"])
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            self.assertEqual(self.container[probe]["httpGet"], {"path": "/health", "port": port["name"]})

    def test_grace(self) -> None:
        """A pod has longer to end than running pulls may take."""
        before = int(self.container["lifecycle"]["preStop"]["exec"]["command"][1])
        grace = self.pod["terminationGracePeriodSeconds"]
        self.assertGreater(grace, before + self.settings.server.drain + LAST)

    def test_rights(self) -> None:
        """It runs as the image's user, writes nothing but its volumes, and can gain no right."""
        self.assertEqual(
            f"{self.pod['securityContext']['runAsUser']}:{self.pod['securityContext']['runAsGroup']}",
            instructions()["USER"][0],
        )
        self.assertEqual(
            self.container["securityContext"],
            {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
        )
