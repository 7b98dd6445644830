"""What ``docxy top`` shows of a mirror's ``/status``."""

import re
from copy import deepcopy
from json import loads
from pathlib import Path
from textwrap import dedent
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from docxy.cli.top import view

MONITORING = (Path(__file__).resolve().parents[3] / "docs" / "monitoring.rst").read_text(encoding="utf-8")


def documented() -> Any:
    """The status that the documentation shows."""
    (block,) = re.findall(r"code-block:: json\n\n((?:[ ]+.*\n|\n)+)", MONITORING)
    return loads(dedent(block))


class ViewTests(SynchronousTestCase):
    """One view."""

    def test_documented(self) -> None:
        """The documentation's status: a summary, each upstream, each relay."""
        self.assertEqual(
            view(documented(), 200, 50).splitlines(),
            [
                "docxy 0.1.0.dev0  up 7s  relays 1/4096, connections 1/4096, asks 0/256  629.3 KiB/s",
                "registry.example.com: 76 of 100 pulls left (anonymous); avoided: 127.0.0.1",
                "",
                "CLIENT          KIND          SENT        OF    %       SPEED   TIME RESUME  WAITS FOR WHAT",
                "127.0.0.1       blob       4.3 MiB  28.6 MiB  15% 629.3 KiB/s     7s      1  upstream  "
                "registry.example.com/team/app sha256:aaaaaaaaaaaa",
            ],
        )

    def test_more(self) -> None:
        """Errors, certificates and unknown lengths are shown too."""
        status = documented()
        status["draining"], status["uptime"] = True, 200000
        status["certificates"] = [{"names": ["a.example"], "seconds_left": 86400 * 3 + 5}]
        status["upstreams"][0] |= {"last_error": {"text": "reset", "at": "now"}, "quotas": [], "avoided": []}
        status["upstreams"].append({"name": "ghcr.io", "last_error": None, "quotas": [], "avoided": []})
        status["relays"][0] |= {"total": None, "sent": 1 << 50, "speed": 5, "seconds": 4000, "resumes": {}}
        shown = view(status, 200, 50)
        for words in (
            "draining 2d",
            "last error at now: reset",
            "ghcr.io: no trouble",
            "certificate a.example: 3 days left",
            "1024.0 TiB         ?            5 B/s  1h06m         upstream",
        ):
            self.assertIn(words, shown)

    def test_bounds(self) -> None:
        """A view is no larger than the terminal, and tells how much it leaves out."""
        status = documented()
        status["relays"] = [deepcopy(status["relays"][0]) for _ in range(100)]
        found = view(status, 40, 10).splitlines()
        self.assertEqual((len(found), max(map(len, found))), (10, 40))
        self.assertEqual(found[-1], "... and 95 more")

    def test_harmless(self) -> None:
        """What a client sent moves no cursor and rings no bell."""
        status = documented()
        status["relays"][0] |= {"repository": "a\x1b[2J\x07\nb\x9b1m", "seconds": 70}
        shown = view(status, 200, 50)
        self.assertIn("/a?[2J??b?1m", shown)
        self.assertTrue(shown.replace("\n", "").isprintable())
