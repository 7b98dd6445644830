"""What a service bounds for the whole process."""

from __future__ import annotations

import resource
from dataclasses import replace
from typing import Any

from docxy import daemon
from docxy.settings.values import LimitSettings
from tests.unit.service_rig import ServiceCase, settings


class LimitTests(ServiceCase):
    """File descriptors, and who may have how many."""

    def test_connections(self) -> None:
        """The mirror's listeners and those that redirect share one limit of connections."""
        limits = LimitSettings(connections=3)
        self.build(settings("5000", "5001", redirect=["tcp:5002:interface=127.0.0.1"], limits=limits))
        for index in range(3):
            self.assertFalse(self.connect(index).closed)
        self.assertTrue(self.connect(0).closed)
        self.assertTrue(self.connect(2).closed)

    def test_files(self) -> None:
        """As many open files are asked for as clients and relays may need, and 256 more."""
        found = replace(settings(), limits=LimitSettings(connections=1000, relays=2000))
        asked: list[Any] = []
        self.patch(resource, "getrlimit", lambda _: (100, 3000))
        self.patch(resource, "setrlimit", lambda _, new: asked.append(new))
        [warning] = daemon._raise_file_limit(found)
        self.assertEqual(asked, [(3000, 3000)])
        self.assertIn("limits.connections and limits.relays may need 3256 open files, 3000", warning)
