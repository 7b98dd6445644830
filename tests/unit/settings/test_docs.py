"""The settings reference and the example file tell of all that the reader knows."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from docxy.registries import KNOWN
from docxy.settings.reader import read
from docxy.settings.sources import CONFIG, LATER_WAYS, UPSTREAM, VARIABLES, WAYS
from docxy.settings.tables import KEYS, LATER
from docxy.settings.values import AcmeSettings, LimitSettings

DOCS = Path(__file__).resolve().parents[3] / "docs"


def section(text: str, title: str) -> str:
    """What stands below a title of the reference, until the next title."""
    return re.split(r"\n[^\n]+\n[~-]{4,}\n", text.split(f"{title}\n~~~~", 1)[1])[0]


class ReferenceTests(SynchronousTestCase):
    """docs/settings.rst"""

    def setUp(self) -> None:
        self.text = (DOCS / "settings.rst").read_text(encoding="utf-8")

    def test_keys(self) -> None:
        """Every key of every table stands in its table's section, and no other does."""
        for table, keys in KEYS.items():
            if table:
                titles = {"upstream": "``[[upstream]]``", "key": "``[[access.key]]``"}
                title = titles.get(table, f"``[{table}]``")
                found = re.findall(r"^``(\w+)`` : ", section(self.text, title), re.MULTILINE)
                self.assertEqual(found, list(keys), table)

    def test_flags_and_variables(self) -> None:
        """Every flag and every variable is named."""
        flags = [f"``--{way.flag}" for way in LATER_WAYS] + [
            f"--{way.flag}{'``' if way.key == 'agree_tos' else ' '}" for way in (CONFIG, *WAYS, UPSTREAM)
        ]
        for word in (*flags, *VARIABLES):
            self.assertIn(word, self.text)

    def test_later(self) -> None:
        """Keys that are refused are named, too."""
        for table in LATER[""]:
            self.assertIn(f"``[{table}]``", self.text)

    def test_known_names(self) -> None:
        """The known registries are listed."""
        for registry in KNOWN.values():
            for name in (registry.name, *registry.aliases):
                self.assertIn(f"``{name}``", self.text)

    def test_limits(self) -> None:
        """The limits' defaults are those of the code."""
        told = re.findall(r"^``(\w+)`` : \w+\n(?:    .*\n)*?.*Default: ([\d.]+)\.$", self.text, re.MULTILINE)
        limits = {one.name: float(one.default) for one in fields(LimitSettings)}  # type: ignore[arg-type]
        self.assertEqual({name: float(value) for name, value in told if name in limits}, limits)


class ExampleTests(SynchronousTestCase):
    """docs/docxy.toml.example"""

    def setUp(self) -> None:
        self.text = (DOCS / "docxy.toml.example").read_text(encoding="utf-8")

    def test_works_as_it_is(self) -> None:
        """The file as shipped says what is so anyway."""
        self.assertEqual(read(tomllib.loads(self.text)), read({}))

    def test_works_with_everything_on(self) -> None:
        """With each setting's # taken away it is a whole and valid file, and has every key."""
        mapping = tomllib.loads(re.sub(r"^#(?! |$)", "", self.text, flags=re.MULTILINE))
        settings = read(mapping)
        self.assertEqual(len(settings.upstreams), 3)
        hub = mapping["upstream"][0]
        self.assertEqual(set(hub), set(KEYS["upstream"]))
        for table in ("server", "tls", "network", "limits", "log", "admin", "access"):
            self.assertEqual(tuple(mapping[table]), KEYS[table])
        self.assertEqual(tuple(mapping["access"]["key"][0]), KEYS["key"])

    def test_obtained_certificate(self) -> None:
        """With ## taken away, and the pair that contradicts it left out, it obtains a certificate."""
        mapping = tomllib.loads(re.sub(r"^##", "", self.text, flags=re.MULTILINE))
        self.assertEqual(tuple(mapping["acme"]), KEYS["acme"])
        acme = read(mapping).acme
        assert acme is not None
        default = AcmeSettings(acme.domains)
        for name in ("directory", "key_type", "state"):
            self.assertEqual(getattr(acme, name), getattr(default, name))

    def test_comments_are_the_defaults(self) -> None:
        """Where a value that can be taken in is the default, it is the true one."""
        mapping = tomllib.loads(re.sub(r"^#(?! |$)", "", self.text, flags=re.MULTILINE))
        only = {key: mapping[key] for key in ("limits", "log")}
        self.assertEqual(read(only), read({}))
