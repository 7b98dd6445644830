"""`docxy.service`: what clients use, over a reload and as the admin listener tells it."""

from __future__ import annotations

import os
import socket
from dataclasses import replace

from twisted.internet import endpoints
from twisted.python.systemd import ListenFDs

from docxy.settings.forms import network
from docxy.settings.values import AccessSettings, AdminSettings, Allotment, KeySettings
from tests.unit.service_rig import ServiceCase, settings

BOUND = AccessSettings(client=Allotment(requests=1))


class AccessTests(ServiceCase):
    """[access] in a whole service."""

    def test_reload(self) -> None:
        """A reload brings other bounds and keeps the counts; a bound that goes is gone."""
        wanted = [settings(access=BOUND), settings(access=AccessSettings())]
        built = self.build(settings(access=BOUND), lambda: wanted.pop(0))
        self.assertEqual([self.connect().get("/v2/x").status for _ in range(2)], [404, 429])
        built.reload()
        self.assertEqual(self.connect().get("/v2/x").status, 429)
        built.reload()
        self.assertEqual(self.connect().get("/v2/x").status, 404)

    def test_month(self) -> None:
        """Budgets, and what is spent of them, are metrics; the end of the service keeps the counts."""
        path = self.folder() / "traffic.json"
        key = KeySettings("alice", "alices-path", Allotment(budget=5000))
        access = AccessSettings(everybody=Allotment(budget=10**6), keys=(key,), state=str(path))
        admin = AdminSettings("tcp:9100:interface=127.0.0.1")
        built = self.build(settings(access=access, admin=admin))
        page = self.connect().get("/alices-path/").body
        told = self.connect(1).get("/metrics").body.decode()
        for line in (
            f'docxy_month_bytes{{key="alice"}} {len(page):.1f}',
            f'docxy_month_bytes{{key=""}} {len(page):.1f}',
            'docxy_budget_bytes{key="alice"} 5000.0',
            'docxy_key_requests_total{key="alice"} 1.0',
        ):
            self.assertIn(line, told)
        built._wired.usage.end()
        self.assertIn(f'"bytes": {len(page)}', path.read_text())

    def test_inherited(self) -> None:
        """A mirror is open to all on a socket of systemd's, too, whose address only the socket tells."""
        found = settings()
        found = replace(found, server=replace(found.server, listen=("systemd:domain=INET:index=0",)))
        for more, expected in ((AccessSettings(), 1), (AccessSettings(allow=(network("192.0.2.7"),)), 0)):
            with socket.create_server(("127.0.0.1", 0)) as listening:
                handed = ListenFDs([os.dup(listening.fileno())], ("web",))
                self.patch(endpoints._SystemdParser, "_sddaemon", handed)
                self.build(replace(found, access=more)).startService()
            warned = [one for one in self.said("warn") if one.startswith("server.listen")]
            self.assertEqual(len(warned), expected)
            self.logged.events.clear()

    def test_other_listeners(self) -> None:
        """Neither redirects nor the admin listener are bounded, nor closed by networks."""
        self.build(
            settings(
                access=replace(BOUND, deny=(network("127.0.0.0/8"),)),
                redirect=("tcp:8080:interface=127.0.0.1",),
                admin=AdminSettings("tcp:9100:interface=127.0.0.1"),
            )
        )
        for index, path, status in ((0, "/v2/", 403), (1, "/", 308), (2, "/metrics", 200)):
            self.assertEqual({self.connect(index).get(path).status for _ in range(3)}, {status})
