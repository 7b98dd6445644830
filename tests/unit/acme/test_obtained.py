"""Tests for `docxy.acme.obtained`: the parts of a certificate that docxy obtains, and their wiring."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from docxy.acme import obtained
from docxy.acme.challenges import HTTP, TLS
from docxy.acme.obtained import Obtained
from docxy.acme.state import State
from docxy.process import GivenUp
from docxy.settings.values import AcmeSettings, SettingsError
from docxy.tls.shown import Certificates
from tests.unit.service_rig import ServiceCase, settings
from tests.unit.tls.throwaway import NOW, Wish, intermediate, issue


class ObtainedTests(ServiceCase):
    def acme(self, folder: str | None = None, **values: Any) -> AcmeSettings:
        """Settings with a folder of their own, unless they share one."""
        state = folder or str(self.folder() / "acme")
        return AcmeSettings(("mirror.example.com",), state=state, **values)

    def test_library_missing(self) -> None:
        """Without the library the start ends, and the remedy is named."""
        for missing in ("acme", "josepy"):
            self.patch(obtained, "find_spec", lambda name, missing=missing: None if name == missing else name)
            error = self.assertRaises(SettingsError, Obtained, self.acme(), lambda: NOW)
            self.assertEqual(
                (error.key, error.remedy),
                ("acme.domains", "install docxy with it: pip install 'docxy[acme]'"),
            )

    def test_kinds(self) -> None:
        """HTTP is tried first where there is a plain listener."""
        made = Obtained(self.acme(), lambda: NOW)
        for by_http, kinds in ((True, (HTTP, TLS)), (False, (TLS,))):
            renewal: Any = made.renewal(self.reactor, Certificates(lambda: NOW), by_http=by_http)
            self.assertEqual(renewal._source._kinds, kinds)

    def test_wired(self) -> None:
        """The service shows a stand-in, answers for pending tokens alone, begins and ends the renewal."""
        self.patch(obtained, "in_thread", lambda reactor, work: Deferred())
        found = settings(acme=self.acme(), redirect=("tcp:80:interface=127.0.0.1",))
        built = self.build(found)
        wired: Any = built._wired
        self.assertEqual(wired.certificates.names(), ("mirror.example.com",))
        client = self.connect(1)
        self.assertEqual(client.get("/.well-known/acme-challenge/token").status, 404)
        with wired._obtained.challenges.published(HTTP, "mirror.example.com", "token.thumb"):
            self.assertEqual(client.get("/.well-known/acme-challenge/token").body, b"token.thumb")
        self.assertIsNone(wired.renewal._life)
        built.startService()
        self.assertIsNotNone(wired.renewal._nap)
        built.reload()
        self.assertEqual(self.said("error"), [])
        built.stopService()
        self.assertTrue(wired.renewal._life.called)

    def test_other_authority(self) -> None:
        """Where another authority's certificate is still good, it is shown until there is one of this one."""
        acme = self.acme(directory="https://new.example/dir")
        for name, days in (("mirror.example.com", 30), ("mirror.example.com", 60), ("other.example", 90)):
            one = issue(Wish(name, days=(-1, days)), intermediate())
            state = State(self.acme(directory=f"https://{days}.example/dir", folder=acme.state))
            state.prepare()
            state.keep_pair(one.pem + intermediate().pem, one.key_pem())
        made = Obtained(acme, lambda: NOW)
        known = Certificates(lambda: NOW, made.pair, made.coming)
        assert known.default is not None
        self.assertEqual(known.default.pair.not_after, NOW + timedelta(days=60))
        self.assertTrue(known.awaited)

    def test_start_refused(self) -> None:
        """A folder that cannot be written ends the start in one line."""
        place = self.folder() / "file"
        place.touch()
        built = self.build(settings(acme=AcmeSettings(("mirror.example.com",), state=str(place))))
        error = self.assertRaises(GivenUp, built.startService)
        self.assertTrue(str(error).startswith("acme.state: "), str(error))

    def test_pair_kept(self) -> None:
        """Its files are where the settings say."""
        acme = self.acme()
        self.assertEqual(
            Path(Obtained(acme, lambda: NOW).pair.cert).parts[: len(Path(acme.state).parts)],
            Path(acme.state).parts,
        )
