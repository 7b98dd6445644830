"""`docxy.service`: what a reload replaces, and what stays."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import Any
from weakref import ref

from docxy.settings.forms import network
from docxy.settings.values import LimitSettings
from tests.unit.service_rig import ServiceCase, settings
from tests.unit.upstream.test_resolver import FixedResolver
from tests.unit.web.rig import HUB, Connection


class RenewedTests(ServiceCase):
    """A service whose settings change while it runs."""

    def setUp(self) -> None:
        """A mirror that serves."""
        super().setUp()
        self.wanted = settings()
        self.service = self.build(self.wanted, lambda: self.wanted)

    def reload(self, **more: Any) -> None:
        """Change keys of the server."""
        self.wanted = replace(self.wanted, server=replace(self.wanted.server, **more))
        self.service.reload()

    def realm(self, connection: Connection, path: str = "/v2/") -> str:
        """Where a client is sent for its token."""
        return str(connection.get(path, host="x.example").headers["WWW-Authenticate"])

    def test_next_request(self) -> None:
        """The next request is served by new settings, over a connection that was there before as well."""
        client = self.connect()
        self.assertIn("https://mirror.example.com/auth", self.realm(client))
        self.reload(public_urls=("https://new.example",))
        self.assertIn("https://new.example/auth", self.realm(client))
        self.assertEqual(self.said("info"), ["reloaded"])

    def test_allow(self) -> None:
        """Who may use the mirror changes."""
        self.reload(allow=(network("198.51.100.0/24"),))
        self.assertEqual(self.connect().get("/v2/").status, 403)
        self.reload(allow=())
        self.assertEqual(self.connect().get("/v2/").status, 401)

    def test_secret_path(self) -> None:
        """So does the secret path."""
        self.reload(secret_path="0123456789abcdef")
        self.assertEqual(self.connect().get("/").status, 404)
        self.assertEqual(self.connect().get("/0123456789abcdef/").status, 200)

    def test_redirect(self) -> None:
        """The plain listener leads to the new URL."""
        self.wanted = settings(redirect=("tcp:8080:interface=127.0.0.1",))
        self.service = self.build(self.wanted, lambda: self.wanted)
        self.reload(public_urls=("https://new.example",))
        self.assertEqual(self.connect(-1).get("/").headers["Location"], "https://new.example/")

    def test_upstreams(self) -> None:
        """Upstreams come and go."""
        path = "/v2/other.example/a/manifests/latest"
        other = replace(HUB, name="other.example", prefixes=("other.example",), hosts=())
        self.assertEqual(self.named(path), "-")
        self.wanted = replace(self.wanted, upstreams=(*self.wanted.upstreams, other))
        self.service.reload()
        self.assertEqual(self.named(path), "other.example")

    def named(self, path: str) -> str:
        """The upstream of a pull, as the log has it."""
        client = self.connect()
        client.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        client.leave()
        return str(self.logged.access[-1]["upstream"])

    def test_connections_stay_counted(self) -> None:
        """Limits change for the next connection, and those that there are count."""
        self.wanted = replace(self.wanted, limits=LimitSettings(connections_per_client=2))
        first = self.connect()
        self.service.reload()
        second = self.connect()
        self.assertEqual((first.closed, second.closed, self.connect().closed), (False, False, True))
        first.leave()
        self.assertFalse(self.connect().closed)

    def test_relays_stay_counted(self) -> None:
        """A relay that runs on by the old settings counts against the new limit, until it ends."""
        client = self.pull()
        self.wanted = replace(self.wanted, limits=LimitSettings(relays=1))
        self.service.reload()
        self.assertEqual(self.connect(-1).get("/v2/library/b/manifests/latest").status, 503)
        self.assertEqual(self.service._wired.relays.active, 1)
        client.leave()
        self.assertEqual(self.service._wired.relays.active, 0)

    def pull(self) -> Connection:
        """A client whose pull waits for the upstream, at an address where nobody answers."""
        self.reactor.nameResolver = FixedResolver("8.8.8.8")
        self.service = self.build(self.wanted, lambda: self.wanted)
        client = self.connect(-1)
        client.send(b"GET /v2/library/a/manifests/latest HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual(client.line.value(), b"")
        return client

    def test_wrong(self) -> None:
        """Where a new part cannot be made everything stays as it was, and keeps its connections."""
        path = self.folder() / "ca.pem"
        path.write_text("broken")
        before = self.served()
        self.wanted = replace(
            settings(public_urls=("https://new.example",)), upstreams=(replace(HUB, ca=str(path)),)
        )
        self.service.reload()
        [error] = self.said("error")
        self.assertTrue(error.startswith("not reloaded: upstream[docker.io].ca: "), error)
        self.assertIs(self.served(), before)
        self.assertEqual(self.service.settings, settings())

    def served(self) -> Any:
        """What the mirror's site serves."""
        wired: Any = self.service._wired
        return wired.mirror_site.served

    def test_memory(self) -> None:
        """Fifty reloads leave nothing behind, even where pulls run across them."""
        pulling = self.pull()
        mirrors = [ref(self.outwards().mirror)]
        for number in range(50):
            self.reload(public_urls=(f"https://{number}.example",))
            mirrors.append(ref(self.outwards().mirror))
        pulling.leave()
        gc.collect()
        self.assertEqual([number for number, made in enumerate(mirrors) if made() is not None], [50])

    def outwards(self) -> Any:
        """What asks upstreams."""
        wired: Any = self.service._wired
        return wired._outwards

    def test_learnt(self) -> None:
        """What was learnt of quotas and wrong bytes is kept, and old connections are given up."""
        old = self.outwards()
        self.service.reload()
        self.assertIs(self.outwards().mirror._asking._quota, old.mirror._asking._quota)
        self.assertIs(self.outwards().mirror._misfits, old.mirror._misfits)
        self.assertEqual([agent._pool.cachedConnectionTimeout for agent in old.agents], [0])
