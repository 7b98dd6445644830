"""The dashboard and the alert rules in docs/monitoring ask for metrics that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from docxy.metrics import ENDED, MENDED, REFUSED
from docxy.settings.values import AdminSettings
from tests.unit.service_rig import ServiceCase, settings

FOLDER = Path(__file__).resolve().parents[2] / "docs/monitoring"
METRIC = re.compile(r"\b(?:docxy|process|python)_[a-z_]+\b")


class MonitoringTests(ServiceCase):
    """What is shipped for Prometheus and Grafana."""

    def known(self) -> set[str]:
        """Every name that a rule may use: those of the families, with what is put behind them."""
        self.build(settings(admin=AdminSettings("tcp:9100:interface=127.0.0.1")))
        told = self.connect(1).get("/metrics").body.decode()
        found = set()
        for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", told, re.MULTILINE):
            ends = ("", "_bucket", "_sum", "_count") if kind == "histogram" else ("",)
            found |= {name + end for end in ends}
        return found

    def dashboard(self) -> Any:
        """The dashboard."""
        return json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))

    def test_names(self) -> None:
        """Every metric in a rule, in a panel and in the documentation exists."""
        asked = [target["expr"] for panel in self.dashboard()["panels"] for target in panel["targets"]]
        asked += [one["query"] for one in self.dashboard()["templating"]["list"]]
        rules = (FOLDER / "alerts.yml").read_text(encoding="utf-8")
        page = (FOLDER.parent / "monitoring.rst").read_text(encoding="utf-8")
        used = {name for text in (*asked, rules, page) for name in METRIC.findall(text)}
        self.assertGreater(len(used), 10)
        self.assertEqual(used - self.known() - {"python_gc_"}, set())

    def test_documented(self) -> None:
        """Every metric of docxy's own stands in the documentation."""
        page = (FOLDER.parent / "monitoring.rst").read_text(encoding="utf-8")
        own = {re.sub("_(bucket|sum|count)$", "", name) for name in self.known() if name.startswith("docxy_")}
        self.assertEqual({name for name in own if f"``{name}" not in page}, set())

    def test_causes(self) -> None:
        """The causes that begin at 0 are those that the code names, and each stands in the documentation."""
        code = {
            path: path.read_text(encoding="utf-8") for path in (FOLDER.parents[1] / "docxy").rglob("*.py")
        }
        whole = "".join(code.values())
        self.assertEqual(set(re.findall(r'\.because\("(\w+)"\)', whole)), set(REFUSED))
        upstream = "".join(text for path, text in code.items() if path.parent.name == "upstream")
        mended = set(re.findall(r'_(?:mend|give_up)\("(\w+)", ', upstream))
        mended |= set(re.findall(r'return \(?"(\w+)", f"it sent', upstream))
        self.assertEqual(mended, set(MENDED))
        page = (FOLDER.parent / "monitoring.rst").read_text(encoding="utf-8")
        self.assertEqual({cause for cause in (*ENDED, *REFUSED) if f"``{cause}``" not in page}, set())

    def test_dashboard(self) -> None:
        """Panels have numbers and places of their own."""
        panels = self.dashboard()["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
        self.assertEqual(len(places), len(panels))
