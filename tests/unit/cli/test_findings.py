"""What `docxy check` has found: its form as lines, and as JSON."""

import json
import re
from pathlib import Path
from textwrap import dedent
from typing import get_args

from twisted.trial.unittest import SynchronousTestCase

from docxy.cli.findings import Check, Mark, document, failed, fine, lines, refused, status, warned, warning
from docxy.settings.values import SettingsError

DOCUMENTED = (Path(__file__).resolve().parents[3] / "docs" / "check.rst").read_text(encoding="utf-8")
GOOD = fine("clock", "docker.io", "0 s ahead")
ODD = warning("name", "a.example", "leads elsewhere", "right behind a proxy")
BAD = failed("realm", "", "refused", "set it")


class FindingTests(SynchronousTestCase):
    """Marks, lines, JSON and the exit status."""

    def test_lines(self) -> None:
        """A line each, and under it the remedy, where there is one."""
        self.assertEqual(
            lines([GOOD, ODD, BAD]),
            "✓ clock docker.io: 0 s ahead\n"
            "! name a.example: leads elsewhere\n    remedy: right behind a proxy\n"
            "✗ realm: refused\n    remedy: set it\n",
        )

    def test_plain(self) -> None:
        """A terminal without the marks' characters gets others."""
        for encoding in ("ascii", "latin-1", "no-such"):
            self.assertEqual(
                [line[:2] for line in lines([GOOD, BAD], encoding).splitlines()], ["ok", "XX", "  "]
            )

    def test_harmless(self) -> None:
        """What a peer sent cannot speak to the terminal."""
        self.assertEqual(lines([fine("name", "b", "x\x1b[2J\ny")]), "✓ name b: x?[2J?y\n")

    def test_status(self) -> None:
        """Only what is wrong makes the status 1."""
        self.assertEqual([status([GOOD, ODD]), status([GOOD, BAD]), status([])], [0, 1, 0])

    def test_document(self) -> None:
        """JSON has every field, and the worst of all results."""
        self.assertEqual(
            json.loads(document([ODD, BAD], "1.0")),
            {
                "docxy": "1.0",
                "result": "failed",
                "checks": [
                    {
                        "check": "name",
                        "subject": "a.example",
                        "result": "warning",
                        "text": "leads elsewhere",
                        "remedy": "right behind a proxy",
                    },
                    {
                        "check": "realm",
                        "subject": "",
                        "result": "failed",
                        "text": "refused",
                        "remedy": "set it",
                    },
                ],
            },
        )
        self.assertEqual(json.loads(document([ODD], "1"))["result"], "warning")
        self.assertEqual(json.loads(document([GOOD], "1"))["result"], "ok")
        self.assertIsNone(json.loads(document([GOOD], "1"))["checks"][0]["remedy"])

    def test_documented(self) -> None:
        """The documentation has every word of the JSON, and its document has the form of a real one."""
        words = re.search(r"``check`` is one of (.*?); ``subject``", DOCUMENTED, re.DOTALL)
        results = re.search(r"``result`` is (.*?),\s+on top", DOCUMENTED, re.DOTALL)
        assert words is not None and results is not None
        self.assertEqual(re.findall(r"``([a-z ]+)``", words[1]), list(get_args(Check)))
        self.assertEqual(re.findall(r"``([a-z]+)``", results[1]), [mark.value for mark in Mark])
        (block,) = re.findall(r"code-block:: json\n\n((?:[ ]+.*\n|\n)+)", DOCUMENTED)
        shown = json.loads(dedent(block))
        (one,) = shown["checks"]
        real = failed(one["check"], one["subject"], one["text"], one["remedy"])
        self.assertEqual(json.loads(document([real], shown["docxy"])), shown)

    def test_settings(self) -> None:
        """An error of the settings, and a warning of docxy's, keep their parts."""
        self.assertEqual(
            refused("settings", SettingsError("k", "is wrong", "mend it")),
            failed("settings", "k", "is wrong", "mend it"),
        )
        self.assertEqual(
            warned("settings", "k: is odd; mend it"), warning("settings", "k", "is odd", "mend it")
        )
        self.assertEqual(warned("settings", "odd"), warning("settings", "odd", "odd", ""))
