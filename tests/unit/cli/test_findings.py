"""What `docxy check` has found: its form as lines, and as JSON."""

import json

from twisted.trial.unittest import SynchronousTestCase

from docxy.cli.findings import document, failed, fine, lines, refused, status, warned, warning
from docxy.settings.values import SettingsError

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
        self.assertEqual(lines([fine("a", "b", "x\x1b[2J\ny")]), "✓ a b: x?[2J?y\n")

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
