"""Tests for `docxy.overview`: the shape of `/status`, which programs rely on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from docxy.interfaces import Clocks
from docxy.oci.allowances import Pulls
from docxy.overview import Overview
from docxy.policy.allowances import Allowance, Allowances
from docxy.testing import MemoryBody, reply
from docxy.tls.certificates import PairFiles
from docxy.tls.shown import Certificates
from docxy.upstream.fetch import Trouble
from tests.unit.tls import throwaway
from tests.unit.web.rig import CLIENT, HUB, Rig, settings

WALL = 1795435200.0  # 2026-11-23 12:00:00 UTC
SECRET = "k7x9qq2m"
DIGEST = "sha256:" + 64 * "a"


def shape(value: Any) -> Any:
    """The keys of nested objects, without what names things."""
    if isinstance(value, list):
        return [shape(one) for one in value[:1] if isinstance(one, dict)]
    free = {"resumes", "versions", "limits"}
    is_object = isinstance(value, dict)
    return {key: None if key in free else shape(one) for key, one in value.items()} if is_object else None


class OverviewTests(SynchronousTestCase):
    """What is shown of a mirror with one relay."""

    maxDiff = None

    def setUp(self) -> None:
        """A mirror under a secret path, with a certificate."""
        made = TemporaryDirectory()
        self.addCleanup(made.cleanup)
        folder = Path(made.name)
        leaf = throwaway.leaf("mirror.example")
        self.files = PairFiles(
            throwaway.write(folder / "cert", [leaf.pem, throwaway.intermediate().pem]),
            throwaway.write(folder / "key", leaf.key_pem()),
        )
        self.rig = Rig(settings(secret_path=SECRET))
        self.allowances = Allowances()
        self.overview = Overview(
            Clocks(self.rig.clock, lambda: WALL + self.rig.clock.seconds()),
            {"version": "1.2.3"},
            self.rig.traffic,
            Certificates(lambda: throwaway.NOW, self.files),
            self.allowances,
            {"relays": self.rig.relays, "connections": self.rig.open},
        )
        self.hub = SimpleNamespace(settings=HUB, trouble=None, avoided=list)
        self.overview.upstreams = cast("Any", {"docker.io": self.hub})

    def shown(self) -> Any:
        """What a program reads."""
        return json.loads(json.dumps(self.overview.shown(draining=False)))

    def test_process(self) -> None:
        """The process, since when it runs, and what is in use of its limits."""
        self.rig.clock.advance(61)
        shown = self.shown()
        self.assertEqual(
            " ".join(shown),
            "versions pid started uptime draining limits refused_logins relays upstreams certificates",
        )
        self.assertEqual((shown["versions"], shown["pid"]), ({"version": "1.2.3"}, os.getpid()))
        self.assertEqual((shown["started"], shown["uptime"]), ("2026-11-23T12:00:00+00:00", 61.0))
        self.assertEqual((shown["draining"], shown["relays"]), (False, []))
        self.assertEqual(shown["limits"]["relays"], {"used": 0, "limit": 4096})
        self.rig.connect()
        self.assertEqual(self.shown()["limits"]["connections"], {"used": 1, "limit": 4096})
        self.assertTrue(self.overview.shown(draining=True)["draining"])
        self.assertEqual(shown["refused_logins"], 0)
        self.overview.refused_logins = lambda: 3
        self.assertEqual(self.shown()["refused_logins"], 3)

    def test_relay(self) -> None:
        """A relay: whose, what, how far, how fast, mended how often, and who has to act; nothing secret."""
        body = MemoryBody(b"x" * 1000, end="never")
        self.rig.hub.will_answer(reply(200, body, length=5000))
        client = self.rig.connect()
        client.ask(
            f"/{SECRET}/v2/library/alpine/blobs/{DIGEST}?token=k7x9", "Authorization: Bearer k7x9.token"
        )
        self.rig.clock.pump([1.0] * 4)
        [relay] = self.shown()["relays"]
        expected = {
            "client": CLIENT,
            "method": "GET",
            "kind": "blob",
            "upstream": "docker.io",
            "repository": "library/alpine",
            "reference": DIGEST,
            "source": "relay",
            "sent": 1000,
            "total": 5000,
            "speed": 250,
            "seconds": 4.0,
            "resumes": {},
            "waits_for": "upstream",
        }
        self.assertEqual(relay, expected)
        self.assertNotIn("k7x9", json.dumps(self.overview.shown(draining=False)))
        body.close()
        [relay] = self.shown()["relays"]
        self.assertEqual((relay["waits_for"], relay["resumes"]), ("mending", {"reset": 1}))
        client.leave()
        self.assertEqual(self.shown()["relays"], [])

    def test_upstream(self) -> None:
        """An upstream: its last failed try, who is avoided, and what is left of its quota."""
        expected: dict[str, Any] = {
            "name": "docker.io",
            "urls": list(HUB.urls),
            "last_error": None,
            "avoided": [],
            "quotas": [],
        }
        self.assertEqual(self.shown()["upstreams"], [expected])
        self.rig.clock.advance(10)
        self.hub.trouble = Trouble("https://registry-1.docker.io: status 500", 5.0)
        self.hub.avoided = lambda: ["192.0.2.9"]
        told = Allowance("docker.io", "anonymous", Pulls(76, 21600), Pulls(100, 21600), "192.0.2.1", 10.0)
        self.allowances.note(told)
        self.allowances.note(Allowance("ghcr.io", "anonymous", Pulls(1), None, "", 10.0))
        expected |= {
            "last_error": {
                "text": "https://registry-1.docker.io: status 500",
                "at": "2026-11-23T12:00:05+00:00",
            },
            "avoided": ["192.0.2.9"],
            "quotas": [
                {
                    "credential": "anonymous",
                    "limit": 100,
                    "remaining": 76,
                    "window": 21600,
                    "source": "192.0.2.1",
                    "at": "2026-11-23T12:00:10+00:00",
                }
            ],
        }
        self.assertEqual(self.shown()["upstreams"], [expected])

    def test_documented(self) -> None:
        """The example in the documentation has the keys that there are."""
        text = (Path(__file__).resolve().parents[2] / "docs/monitoring.rst").read_text(encoding="utf-8")
        example = json.loads(text.split(".. code-block:: json\n")[1].split("\n\n.. list-table")[0])
        told = Allowance("docker.io", "anonymous", Pulls(76, 21600), Pulls(100, 21600), "192.0.2.1", 0.0)
        self.allowances.note(told)
        self.rig.hub.will_answer(reply(200, MemoryBody(end="never"), length=5000))
        self.rig.connect().ask(f"/{SECRET}/v2/library/alpine/blobs/{DIGEST}")
        shown = self.shown()
        for one in (example, shown):
            one["certificates"] = []
        self.assertEqual(shape(example), shape(shown))

    def test_untold_limit(self) -> None:
        """A limit that was not told is null."""
        self.allowances.note(Allowance("docker.io", "account", Pulls(3), None, "", 0.0))
        [quota] = self.shown()["upstreams"][0]["quotas"]
        self.assertEqual((quota["limit"], quota["window"]), (None, None))

    def test_certificate(self) -> None:
        """A certificate: its names, its end, its files."""
        [certificate] = self.shown()["certificates"]
        self.assertEqual(list(certificate), ["names", "not_after", "seconds_left", "cert", "key"])
        self.assertEqual((certificate["names"], certificate["cert"]), (["mirror.example"], self.files.cert))
        self.assertGreater(certificate["seconds_left"], 0)
        self.assertTrue(certificate["not_after"].endswith("+00:00"))
