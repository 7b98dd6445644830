"""Tests for `docxy.metrics`."""

from __future__ import annotations

from prometheus_client import REGISTRY
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from docxy.interfaces import IMetrics
from docxy.metrics import ENDED, MENDED, REFUSED, Metrics, Values
from tests.unit.metrics_rig import lines

NAMES = {
    "docxy_requests",
    "docxy_bytes",
    "docxy_upstream_seconds",
    "docxy_resumes",
    "docxy_broken",
    "docxy_refusals",
    "docxy_key_requests",
    "docxy_key_bytes",
    "docxy_build",
}


class MetricsTests(SynchronousTestCase):
    """Counting and showing."""

    def setUp(self) -> None:
        """Nothing is counted yet."""
        self.metrics = Metrics({"version": "1.2.3"})

    def test_verified(self) -> None:
        """It is what the interface asks for."""
        verifyObject(IMetrics, self.metrics)

    def test_counts(self) -> None:
        """Each count has its name and its labels; what has no upstream has "none"."""
        self.metrics.answered("docker.io", "blob", 200)
        self.metrics.answered("docker.io", "blob", 200)
        self.metrics.answered("", "other", 404)
        self.metrics.sent("docker.io", "relay", 5)
        self.metrics.sent("", "self", 7)
        self.metrics.resumed("docker.io", "reset", 3)
        self.metrics.broke("docker.io", "digest")
        self.metrics.refused("budget")
        self.metrics.used("alice", 1, 0)
        self.metrics.used("alice", 0, 9)
        self.assertEqual(
            lines(self.metrics, "docxy_requests", "docxy_bytes", "docxy_resumes", "docxy_broken")
            + lines(self.metrics, "docxy_refusals", "docxy_key"),
            [
                'docxy_requests_total{kind="blob",status="200",upstream="docker.io"} 2.0',
                'docxy_requests_total{kind="other",status="404",upstream="none"} 1.0',
                'docxy_bytes_total{source="relay",upstream="docker.io"} 5.0',
                'docxy_bytes_total{source="self",upstream="none"} 7.0',
                'docxy_resumes_total{cause="reset",upstream="docker.io"} 3.0',
                'docxy_broken_total{cause="digest",upstream="docker.io"} 1.0',
                'docxy_refusals_total{cause="budget"} 1.0',
                'docxy_key_requests_total{key="alice"} 1.0',
                'docxy_key_bytes_total{key="alice"} 9.0',
            ],
        )

    def test_expected(self) -> None:
        """What the settings name is shown from the start: who watches sees no increase in a first 1."""
        self.metrics.expected("ghcr.io")
        told = self.metrics.shown("")[1].decode().splitlines()
        for line in (
            'docxy_bytes_total{source="relay",upstream="ghcr.io"} 0.0',
            *(f'docxy_resumes_total{{cause="{cause}",upstream="ghcr.io"}} 0.0' for cause in MENDED),
            *(f'docxy_broken_total{{cause="{cause}",upstream="ghcr.io"}} 0.0' for cause in ENDED),
            *(f'docxy_refusals_total{{cause="{cause}"}} 0.0' for cause in REFUSED),
        ):
            self.assertIn(line, told)
        self.metrics.resumed("ghcr.io", "reset", 1)
        self.metrics.expected("ghcr.io")
        self.assertEqual(
            lines(self.metrics, "docxy_resumes"),
            ['docxy_resumes_total{cause="reset",upstream="ghcr.io"} 1.0'],
        )

    def test_seconds(self) -> None:
        """Times are counted into buckets that reach to what clients wait at most."""
        for seconds in (0.03, 24.0):
            self.metrics.asked("docker.io", "manifest", seconds)
        told = lines(self.metrics, "docxy_upstream_seconds")
        bucket = 'docxy_upstream_seconds_bucket{{kind="manifest",le="{}",upstream="docker.io"}} {:.1f}'
        self.assertIn(bucket.format("0.05", 1), told)
        self.assertIn(bucket.format("25.0", 2), told)
        self.assertIn('docxy_upstream_seconds_sum{kind="manifest",upstream="docker.io"} 24.03', told)

    def test_no_beginnings(self) -> None:
        """When each series began is not shown."""
        self.metrics.answered("docker.io", "blob", 200)
        self.assertEqual(lines(self.metrics, "docxy_requests_created"), [])

    def test_build(self) -> None:
        """What the process is made of is a metric too, beside those of the process itself."""
        self.assertEqual(lines(self.metrics, "docxy_build"), ['docxy_build_info{version="1.2.3"} 1.0'])
        self.assertEqual(len(lines(self.metrics, "process_resident_memory_bytes ")), 1)
        self.assertGreater(len(lines(self.metrics, "python_gc_collections_total")), 0)

    def test_names(self) -> None:
        """The families can be listed; two processes' worth of metrics do not meet."""
        self.assertEqual({name for name in self.metrics.names() if name.startswith("docxy_")}, NAMES)
        self.assertEqual(Metrics({}).names(), self.metrics.names())
        self.assertEqual([one for one in REGISTRY.collect() if one.name.startswith("docxy")], [])

    def test_gauge(self) -> None:
        """A gauge shows what is so when it is asked for, and nothing where nothing is known."""
        known: Values = {}
        self.metrics.gauge("docxy_x", "X.", ("upstream",), lambda: known)
        self.assertEqual(lines(self.metrics, "docxy_x"), [])
        known = {("docker.io",): 3.0}
        self.assertEqual(lines(self.metrics, "docxy_x"), ['docxy_x{upstream="docker.io"} 3.0'])
        with self.assertRaises(ValueError):
            self.metrics.gauge("docxy_x", "Again.", (), lambda: known)

    def test_before(self) -> None:
        """What is under way is counted before it is shown."""
        self.metrics.before(lambda: self.metrics.sent("docker.io", "relay", 9))
        expected = ['docxy_bytes_total{source="relay",upstream="docker.io"} 9.0']
        self.assertEqual(lines(self.metrics, "docxy_bytes"), expected)

    def test_forms(self) -> None:
        """Who asks for OpenMetrics gets it, everybody else the text format."""
        for version in ("; version=1.0.0", ";version=1.0.0;escaping=allow-utf-8;q=0.6", "; version=abc", ""):
            content_type, content = self.metrics.shown(f"text/html, Application/OpenMetrics-Text{version}")
            self.assertEqual(content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8")
            self.assertTrue(content.endswith(b"# EOF\n"))
        for accept in ("", "*/*", "text/html", "\xff", "text/plain; version=abc; escaping=x"):
            content_type, content = self.metrics.shown(accept)
            self.assertTrue(content_type.startswith("text/plain; "), accept)
            self.assertNotIn(b"# EOF", content)
