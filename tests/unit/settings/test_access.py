"""What `[access]` may say, and when a mirror is open to all."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from docxy.settings.access import MAX_KEYS, interface_of, open_warnings
from docxy.settings.forms import network
from docxy.settings.reader import read
from docxy.settings.values import AccessSettings, Allotment, KeySettings, SettingsError

KEY = {"name": "alice", "path": "alices-path"}


class AccessTests(SynchronousTestCase):
    """The table."""

    def check_error(self, expected: str, access: dict[str, Any], **others: Any) -> None:
        """These settings are refused with this text."""
        error = self.assertRaises(SettingsError, read, {"access": access, **others})
        self.assertEqual(str(error), expected)

    def test_all(self) -> None:
        """Every key has its place."""
        found = read(
            {
                "access": {
                    "allow": ["192.0.2.0/24"],
                    "deny": "192.0.2.7",
                    "requests": 6000,
                    "requests_per_client": 600,
                    "rate": "50 MB",
                    "rate_per_client": 10_000_000,
                    "budget": "1.5 TiB",
                    "state": "/srv/traffic.json",
                    "key": [{**KEY, "requests": 60, "rate": "1MB", "budget": "2GB"}],
                }
            }
        ).access
        self.assertEqual(
            found,
            AccessSettings(
                allow=(network("192.0.2.0/24"),),
                deny=(network("192.0.2.7"),),
                client=Allotment(600, 10_000_000),
                everybody=Allotment(6000, 50_000_000, 3 << 39),
                keys=(KeySettings("alice", "alices-path", Allotment(60, 1_000_000, 2_000_000_000)),),
                state="/srv/traffic.json",
            ),
        )
        self.assertNotIn("alices-path", repr(found))

    def test_default(self) -> None:
        """Without the table there is no bound."""
        self.assertEqual(read({}).access, AccessSettings())

    def test_keys(self) -> None:
        """A key needs a name and a path, both its own."""
        for keys, expected in (
            ([{"path": "alices-path"}], 'access.key[1].name: is missing; write name = "alice"'),
            ([{"name": "alice"}], "access.key[alice].path: is missing; choose 20 random letters"),
            ([KEY, {**KEY, "path": "other-path"}], "access.key[alice].name: is there twice; choose another"),
            ([KEY, {**KEY, "name": "bob"}], "access.key[bob].path: is another key's too; choose another"),
            (
                [{**KEY, "name": "a b"}],
                "access.key[1].name: 'a b' is not a key's name; "
                "use at most 64 letters and digits, with . _ or - among them",
            ),
            (
                [{**KEY, "size": 1}],
                "access.key[1].size: is unknown; known here: name, path, requests, rate, budget",
            ),
            (
                [{"name": str(one), "path": f"secret-{one}"} for one in range(MAX_KEYS + 1)],
                "access.key: is too long; list at most 256",
            ),
        ):
            self.check_error(expected, {"key": keys})
        error = self.assertRaises(SettingsError, read, {"access": {"key": [{**KEY, "path": "Short!"}]}})
        self.assertNotIn("Short!", str(error))

    def test_paths(self) -> None:
        """No secret path is an upstream's name, nor two the same."""
        upstream = [{"name": "docker.io", "prefix": "hubprefix"}]
        for access, server, expected in (
            (
                {"key": [{**KEY, "path": "hubprefix"}]},
                {},
                "access.key[alice].path: is the name of an upstream; choose 20 random letters",
            ),
            (
                {},
                {"secret_path": "hubprefix"},
                "server.secret_path: is the name of an upstream; choose 20 random letters",
            ),
            (
                {"key": [KEY]},
                {"secret_path": "alices-path"},
                "access.key[alice].path: is server.secret_path too; choose another, or remove one of the two",
            ),
        ):
            self.check_error(expected, access, server=server, upstream=upstream)
        both = {"server": {"secret_path": "plain-path"}, "access": {"key": [KEY]}}
        self.assertEqual(read(both).access.keys[0].name, "alice")

    def test_bounds(self) -> None:
        """Rates and budgets too small to serve anybody are refused."""
        self.check_error(
            "access.rate: is out of bounds; write 10000 to 1000000000000 bytes, or 0 for no bound",
            {"rate": "9"},
        )
        self.check_error(
            "access.budget: is out of bounds; write 1000000 to 1000000000000000000 bytes, or 0 for no bound",
            {"budget": "5 KB"},
        )
        self.check_error("access.allow: is empty; list at least one, or remove the key", {"allow": []})

    def test_account(self) -> None:
        """An account of the mirror's own is guarded by a key or by networks of this table, too."""
        account = {"name": "docker.io", "auth": "own", "username": "a", "password_file": "/p"}
        self.assertRaises(SettingsError, read, {"upstream": [account]})
        for access in ({"allow": ["192.0.2.0/24"]}, {"key": [KEY]}):
            self.assertIsNotNone(read({"upstream": [account], "access": access}).upstreams[0].account)


class OpenTests(SynchronousTestCase):
    """The warning of a mirror that is open to all."""

    def warned(self, listen: str, **more: Any) -> bool:
        """Whether these settings warn of it."""
        server = {"listen": listen, **more.pop("server", {})}
        found = [one for one in read({"server": server, **more}).warnings if one.startswith("server.listen")]
        self.assertTrue(all(listen in one and "access.allow" in one for one in found))
        return bool(found)

    def test_listeners(self) -> None:
        """It is where strangers may reach a listener: a public address, or all of them."""
        for listen in (
            "tcp:5000",
            "tcp:5000:interface=",
            "tcp:5000:interface=0.0.0.0",
            "tcp6:5000:interface=\\:\\:",
            "tcp:5000:interface=8.8.8.8",
            "tcp:5000:8.8.8.8",
        ):
            self.assertTrue(self.warned(listen), listen)
        for listen in (
            "tcp:5000:interface=127.0.0.1",
            "tcp:5000:interface=10.0.0.7",
            "tcp:5000:192.168.1.1",
            "tcp:5000:interface=\\:\\:1",
            "unix:/run/docxy.sock",
            "systemd:domain=INET:index=0",
        ):
            self.assertFalse(self.warned(listen), listen)

    def test_guarded(self) -> None:
        """Whoever lets only some in, or says that all are meant, is not warned."""
        for more in (
            {"server": {"allow": "192.0.2.0/24"}},
            {"server": {"secret_path": "plain-path"}},
            {"access": {"allow": ["0.0.0.0/0", "::/0"]}},
            {"access": {"key": [KEY]}},
        ):
            self.assertFalse(self.warned("tcp:5000", **more), more)
        self.assertTrue(self.warned("tcp:5000", access={"deny": "192.0.2.7", "budget": "1 GB"}))

    def test_inherited(self) -> None:
        """What is known of a listener only once it is there is judged in the same way."""
        found = read({"server": {"listen": "systemd:domain=INET:index=0"}})
        for address, expected in (("0.0.0.0", 1), ("::", 1), ("8.8.8.8", 1), ("127.0.0.1", 0), (None, 0)):
            warnings = list(open_warnings(found, [("systemd:domain=INET:index=0", address)]))
            self.assertEqual(len(warnings), expected, address)
        guarded = read({"access": {"key": [KEY]}})
        self.assertEqual(list(open_warnings(guarded, [("systemd:domain=INET:index=0", "::")])), [])

    def test_interface(self) -> None:
        """The interface is read in each form of an endpoint."""
        for listener, interface in (
            ("ssl:443", ""),
            ("ssl:443:interface=192.0.2.7", "192.0.2.7"),
            ("tcp:80:192.0.2.7", "192.0.2.7"),
            ("tcp:80:interface=2001\\:db8\\:\\:1", "2001:db8::1"),
            ("unix:/run/x", None),
            ("systemd:domain=INET:index=0", None),
            ("ssl:systemd:domain=INET:index=0", None),
        ):
            self.assertEqual(interface_of(listener), interface, listener)
