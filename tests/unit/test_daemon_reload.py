"""What a service reads again while it runs, and as which user."""

from __future__ import annotations

import io
import json
import shutil
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from twisted.application.service import Application
from twisted.logger import ILogObserver, LogLevel

from docxy.process import GivenUp
from docxy.settings.given import Given
from docxy.settings.values import Account, LimitSettings, LogSettings, Settings, SettingsError, TLSSettings
from docxy.tls.certificates import PairFiles, load_files
from tests.unit.service_rig import ServiceCase, settings
from tests.unit.web.rig import HUB, Connection, address


def install(new: TLSSettings, old: TLSSettings) -> None:
    """Put one pair in the place of another."""
    for place, renewed in ((old.cert, new.cert), (old.key, new.key)):
        assert place is not None and renewed is not None
        shutil.copy(renewed, place)


class ReloadTests(ServiceCase):
    """HUP."""

    def test_nothing_changed(self) -> None:
        """Where nothing changed that is all that is said, without a way to load as well."""
        found = settings()
        self.build(found).reload()
        self.build(found, lambda: found).reload()
        self.assertEqual(self.said("info"), ["reloaded", "reloaded"])

    def test_certificate(self) -> None:
        """The new certificate is shown, from wherever it is now, and its names are believed."""
        old, new = self.pair("old.example"), self.pair("new.example")
        built = self.build(settings(tls=old), lambda: settings(tls=new))
        self.assertEqual(built._certificates.names(), ("old.example",))
        built.reload()
        self.assertEqual(built._certificates.names(), ("new.example",))
        self.assertEqual(self.said("info"), ["reloaded"])

    def test_certificate_gone(self) -> None:
        """Settings without a certificate leave the old one in its place."""
        built = self.build(settings(tls=self.pair("old.example")), lambda: settings("5001"))
        built.reload()
        self.assertEqual(built._certificates.names(), ("old.example",))
        self.assertEqual(self.said("warn")[-1], "reloaded; a restart is needed for: server.listen")

    def test_restart_needed(self) -> None:
        """What a running service does not take over is named, each time; all else is taken over."""
        changed = settings("5001", redirect=("tcp:80",), limits=LimitSettings(relays=7))
        built = self.build(settings(), lambda: changed)
        for _ in range(2):
            built.reload()
        keys = "server.listen, server.redirect"
        self.assertEqual(self.said("warn"), 2 * [f"reloaded; a restart is needed for: {keys}"])
        self.assertEqual(built.settings.limits.relays, 7)
        self.assertEqual(built.settings.server.listen, settings().server.listen)

    def test_wrong(self) -> None:
        """Wrong settings change nothing and say what is wrong."""

        def load() -> Settings:
            raise SettingsError("server.drain", "is wrong", "mend it")

        built = self.build(settings(), load)
        built.reload()
        self.assertEqual(self.said("error"), ["not reloaded: server.drain: is wrong; mend it"])
        self.assertEqual(built.settings, settings())

    def test_wrong_with_certificate(self) -> None:
        """Wrong settings do not keep a renewed certificate from being shown."""
        old, new = self.pair("old.example"), self.pair("new.example")

        def load() -> Settings:
            raise SettingsError("server.drain", "is wrong", "mend it")

        built = self.build(settings(tls=old), load)
        install(new, old)
        built.reload()
        self.assertEqual(built._certificates.names(), ("new.example",))
        self.assertEqual(self.said("info"), [])

    def test_one_cause(self) -> None:
        """What is wrong for settings and certificate alike is one line."""
        tls = self.pair("old.example")

        def load() -> Settings:
            load_files(PairFiles(str(tls.cert), str(tls.key)), now=datetime.now(UTC))
            raise AssertionError("the pair is broken")

        built = self.build(settings(tls=tls), load)
        assert tls.cert is not None
        Path(tls.cert).write_text("broken")
        built.reload()
        self.assertEqual(len(self.said("error")), 1)

    def test_warnings(self) -> None:
        """New warnings are said, and those that stand are not said again."""
        changed = settings(warnings=("old", "new"))
        built = self.build(settings(warnings=("old",)), lambda: changed)
        built.startService()
        for _ in range(2):
            built.reload()
        self.assertEqual([text for text in self.said("warn") if text in ("old", "new")], ["old", "new"])

    def test_log(self) -> None:
        """The log is written as the new settings say."""
        out = io.StringIO()
        self.patch(sys, "stdout", out)
        self.patch(sys, "argv", ["twistd", "-n"])
        changed = settings(log=LogSettings("json", "error"))
        built = self.build(settings(), lambda: changed)
        application: Any = Application("docxy")
        built.setServiceParent(application)
        built.reload()
        observer = application.getComponent(ILogObserver)
        for level in (LogLevel.info, LogLevel.error):
            observer({"log_time": 0.0, "log_level": level, "log_format": level.name})
        self.assertEqual([json.loads(line)["message"] for line in out.getvalue().splitlines()], ["error"])


class OwnCertificateTests(ServiceCase):
    """The certificate of a single listener."""

    def listener(self, tls: TLSSettings) -> Settings:
        """Settings with one such listener."""
        text = f"ssl:5443:interface=127.0.0.1:privateKey={tls.key}:certKey={tls.cert}"
        return replace(settings(), server=replace(settings().server, listen=(text,)))

    def realm(self, host: str) -> str:
        """What a client of the listener is told that asks by this name."""
        site = cast("Any", self.reactor.tcpServers[0][1]).wrappedFactory
        connection = Connection(site, cast("Any", self.reactor), address("::1"), address("::1"))
        return str(connection.get("/v2/", host=host).headers["WWW-Authenticate"])

    def test_believed(self) -> None:
        """Its names are believed, as those of the settings' certificate are."""
        self.build(self.listener(self.pair("own.example")))
        self.assertIn('realm="http://own.example/auth/token"', self.realm("own.example"))

    def test_reloaded(self) -> None:
        """A reload reads it again."""
        old, new = self.pair("old.example"), self.pair("new.example")
        built = self.build(self.listener(old))
        install(new, old)
        built.reload()
        self.assertIn('realm="http://new.example/auth/token"', self.realm("new.example"))
        self.assertNotIn("old.example", self.realm("old.example"))
        self.assertEqual(self.said("info"), ["reloaded"])

    def test_broken(self) -> None:
        """A broken one stays, and is told under the name that the operator gave."""
        tls = self.pair("old.example")
        found = replace(self.listener(tls), given=Given({"server.listen": "--listen"}))
        built = self.build(found)
        assert tls.cert is not None
        Path(tls.cert).write_text("broken")
        built.reload()
        [error] = self.said("error")
        self.assertTrue(error.startswith("not reloaded: --listen: "), error)
        self.assertEqual(self.said("info"), [])
        self.assertIn("old.example", self.realm("old.example"))


class RereadTests(ServiceCase):
    """What must be read again is looked at as the service's user."""

    def account(self, password_file: str) -> Settings:
        """Settings with an account."""
        hub = replace(HUB, auth="own", account=Account("me", password_file))
        given = Given({"upstream[docker.io]": "--upstream"})
        return replace(settings(), upstreams=(hub,), given=given)

    def test_password_file(self) -> None:
        """A password file that cannot be read ends the start, in one line."""
        self.patch(sys, "__stderr__", io.StringIO())
        built = self.build(self.account("/nowhere/password"))
        error = self.assertRaises(GivenUp, built.startService)
        self.assertIn("--upstream: the password file cannot be read (No such file", str(error))
        self.assertFalse(built.running)

    def test_certificates(self) -> None:
        """A key that a reload could not read is one warning."""
        tls = self.pair("a.example")
        built = self.build(settings(tls=tls))
        self.assertEqual([text for text in built._warnings() if "cannot be read" in text], [])
        assert tls.key is not None
        Path(tls.key).unlink()
        [warning] = [text for text in built._warnings() if "cannot be read" in text]
        self.assertIn(f"tls.key: {tls.key} cannot be read", warning)


class NamedTests(ServiceCase):
    """What is found after the settings were read is told by their keys."""

    def test_ca(self) -> None:
        """A trust root that is none is told as its upstream's."""
        path = self.folder() / "ca.pem"
        path.write_text("broken")
        found = replace(settings(), upstreams=(replace(HUB, ca=str(path)),))
        error = self.assertRaises(SettingsError, self.build, found)
        self.assertEqual(error.key, "upstream[docker.io].ca")
