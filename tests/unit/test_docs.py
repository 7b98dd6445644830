"""The documentation tells of routes, files, layers and settings that there are."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from docxy.oci.routes import Kind
from docxy.settings.live import RESTART
from docxy.settings.reader import read
from docxy.web.site import url_tree
from tests.e2e.rig.nginx import Proxy
from tests.test_layers import LAYERS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.rst"))
READMES = (ROOT / "README.rst", ROOT / "README.zh.rst")

NOT_RUN = ("BuildKit", "Talos", "crane", "k3s")  # clients that no test has

EXAMPLES = {
    "<name>": "library/alpine",
    "<reference>": "latest",
    "<digest>": "sha256:" + 64 * "a",
    "<upstream>": "ghcr.io",
}


def text_of(path: Path) -> str:
    """The file."""
    return path.read_text(encoding="utf-8")


def shape(text: str) -> list[str]:
    """The marks of titles, lists and table rows, in order: what a translation keeps."""
    mark = re.compile(r"([=~-])\1{3,}$|( *)(?:\* )?- ")
    return [found[1] or found[0] for line in text.splitlines() if (found := mark.match(line))]


def literals(text: str) -> list[str]:
    """The literal blocks behind ``::``, and all that is set as code."""
    blocks = re.findall(r"::\n\n((?:    .*\n|\n(?=    ))+)", text)
    return [*blocks, *sorted(re.findall(r"``([^`]+)``", text))]


def links(text: str) -> list[str]:
    """The targets of links to files of the checkout."""
    return [target for target in re.findall(r"<([^<>`\s]+)>`_", text) if "://" not in target]


def blocks(text: str, language: str) -> Iterator[str]:
    """The code blocks in one language."""
    for found in re.finditer(
        rf"^( *)\.\. code-block:: {language}\n\n((?:\1   .*\n|\n)+)", text, re.MULTILINE
    ):
        yield re.sub(rf"^{found[1]}   ", "", found[2], flags=re.MULTILINE)


class ReadmeTests(SynchronousTestCase):
    """README.rst and README.zh.rst"""

    def test_links(self) -> None:
        """Every link to a file of the checkout leads to one."""
        for readme in READMES:
            missing = [target for target in links(text_of(readme)) if not (ROOT / target).is_file()]
            self.assertEqual(missing, [], readme.name)

    def test_same_in_both_languages(self) -> None:
        """Sections, lists, commands, configurations and links are the same ones in the same order."""
        english, chinese = map(text_of, READMES)
        self.assertEqual(shape(chinese), shape(english))
        self.assertEqual(literals(chinese), literals(english))
        self.assertEqual(links(chinese)[1:], links(english)[1:])  # the first is the other language


class EndpointTests(SynchronousTestCase):
    """docs/endpoints.rst"""

    def setUp(self) -> None:
        row = re.compile(r"^   \* - ``(GET|POST) (\S+)``\n     - (.+)$", re.MULTILINE)
        self.rows = row.findall(text_of(DOCS / "endpoints.rst"))

    def served_by(self, method: str, path: str) -> object:
        """What the URL tree serves a request with."""
        for placeholder, example in EXAMPLES.items():
            path = path.replace(placeholder, example)
        by_kind = {kind: kind.value for kind in Kind}
        anything = cast("Any", by_kind)
        front = SimpleNamespace(pages_below=("",))
        find = url_tree(cast("Any", front), anything, cast("Any", "own page"), cast("Any", "own page"))
        request = SimpleNamespace(method=method.encode(), path=path.encode(), query=b"")
        return find(cast("Any", request))

    def test_routes(self) -> None:
        """Every request in the table is served as the kind that it names."""
        self.assertGreater(len(self.rows), 10)
        for method, path, kind in self.rows:
            self.assertEqual(self.served_by(method, path), kind, path)

    def test_all_kinds(self) -> None:
        """The table has every kind of request."""
        self.assertEqual({kind for _, _, kind in self.rows}, {*(kind.value for kind in Kind), "own page"})


class SettingsTests(SynchronousTestCase):
    """docs/settings.rst"""

    def test_restart(self) -> None:
        """The keys that wait for a restart are those that a reload does not take over."""
        text = text_of(DOCS / "settings.rst").split("What a reload takes over\n---")[1]
        told = re.findall(r"^   \* - ``([a-z.]+)``$", text, re.MULTILINE)
        self.assertEqual(told, list(RESTART))


class ArchitectureTests(SynchronousTestCase):
    """docs/architecture.rst"""

    def test_layers(self) -> None:
        """The page's list is that of the layers' test, as far as they exist."""
        told = re.findall(r"^   \* - ``(\w+)``$", text_of(DOCS / "architecture.rst"), re.MULTILINE)
        there = [
            name
            for name in LAYERS
            if (ROOT / "docxy" / name).is_dir() or (ROOT / "docxy" / f"{name}.py").exists()
        ]
        self.assertEqual(told, there)


class ConfigurationTests(SynchronousTestCase):
    """What stands in the pages to be copied."""

    def test_settings(self) -> None:
        """Every TOML block but the clients' is a settings file that docxy takes."""
        found = 0
        for page in PAGES:
            for block in blocks(text_of(page), "toml"):
                mapping = tomllib.loads(block)
                found += 1
                if page.name != "clients.rst":
                    read(mapping)
        self.assertGreater(found, 10)

    def test_json(self) -> None:
        """Every JSON block is JSON."""
        for page in PAGES:
            for block in blocks(text_of(page), "json"):
                json.loads(block)

    def test_nginx(self) -> None:
        """The server blocks say all that those of the end-to-end tests say."""
        told = [block for block in blocks(text_of(DOCS / "running.rst"), "nginx") if "server {" in block]
        roots = Path("/etc/ssl/certs/ca-certificates.crt")
        backends = (("http://127.0.0.1:5001", None), ("https://192.0.2.7", roots))
        for block, (backend, authority) in zip(told, backends, strict=True):
            run = Proxy("mirror.example.com", "127.0.0.1", backend, authority).text()
            directives = [" ".join(one.split()) for one in re.findall(r"(?:proxy_\w+) [^;]+;", run)]
            self.assertGreater(len(directives), 8)
            self.assertEqual([one for one in directives if one not in block], [])

    def test_secret_path(self) -> None:
        """The secret path of the pages is the one of the example file."""
        example = re.search(r'secret_path = "([^"]+)"', text_of(DOCS / "docxy.toml.example"))
        assert example is not None
        self.assertIn(example[1], text_of(DOCS / "clients.rst"))

    def test_not_run(self) -> None:
        """The clients that no test runs are marked so in their sections."""
        text = text_of(DOCS / "clients.rst")
        for title in NOT_RUN:
            section = re.split(r"\n[^\n]+\n[~-]{3,}\n", re.split(rf"\n{title}\n[~-]+\n", text)[1])[0]
            self.assertIn("Not run by the tests", section, title)

    def test_secret_path_table(self) -> None:
        """The table of the secret path says of each client where it is run, or that it is not."""
        section = re.split(r"\nThe secret path\n-+\n", text_of(DOCS / "clients.rst"))[1]
        rows = re.findall(r"^   \* - (.+)\n     - (?:.+\n       ?)*.+\n     - (.+)$", section, re.MULTILINE)
        told = dict(rows[1:])
        self.assertGreater(len(told), 8)
        self.assertEqual(set(told.values()), {"Debian 12", "Debian 13", "Debian 12, 13", "not run"})
        not_run = [
            name for client, where in told.items() if where == "not run" for name in client.split(", ")
        ]
        self.assertEqual(sorted(not_run), sorted(NOT_RUN))
