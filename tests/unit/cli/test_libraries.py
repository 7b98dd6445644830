"""How old the libraries are that nobody but docxy's operator renews."""

import os
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from importlib.metadata import Distribution
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from docxy.cli import libraries
from docxy.cli.findings import Mark

DAY = timedelta(1)


class LibraryTests(SynchronousTestCase):
    """How old is what secures connections."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def test_openssl(self) -> None:
        """Half a year after its release it is to be renewed; what tells no date is only shown."""
        now = datetime(2026, 1, 1, tzinfo=UTC)
        for shown, mark, words in (
            ("OpenSSL 3.5.4 30 Sep 2025", Mark.OK, ": 93 days old, comes with docxy"),
            ("OpenSSL 3.0.1 14 Dec 2021", Mark.WARNING, ": 1479 days old, comes with docxy"),
            ("LibreSSL", Mark.OK, ""),
        ):
            found = libraries.openssl(f"{shown}, built on: today", now, True)
            self.assertEqual((found.mark, found.text), (mark, f"{shown}, built on: today{words}"))
        self.assertIn("pip install --upgrade", libraries.openssl("x 14 Dec 2021", now + DAY, True).remedy)

    def test_distribution(self) -> None:
        """What the system's packages renew is of no age: their fixes leave the version as it is."""
        found = libraries.openssl("OpenSSL 3.0.1 14 Dec 2021", datetime.now(UTC), False)
        self.assertEqual((found.mark, "which its packages renew" in found.text), (Mark.OK, True))

    def test_bundled(self) -> None:
        """A module that names the shared library has it from the system; a wheel's names none."""
        (self.folder / "_rust.abi3.so").write_bytes(b"\x7fELF\0libc.so.6\0OpenSSL 3.5.4\0")
        (self.folder / "_rust.pyi").write_bytes(b"libcrypto.so.3")
        self.assertTrue(libraries.is_bundled(self.folder))
        (self.folder / "_openssl.abi3.so").write_bytes(b"\x7fELF\0libssl.so.3\0libcrypto.so.3\0")
        self.assertFalse(libraries.is_bundled(self.folder))

    def test_roots(self) -> None:
        """Without trust roots something is wrong; versions are told in any case."""
        for present, mark in ((True, Mark.OK), (False, Mark.FAILED)):
            self.patch(libraries, "trust_roots_present", lambda present=present: present)
            *_, versions, roots = libraries.library_findings(datetime.now(UTC))
            self.assertIn("twisted 2", versions.text)
            self.assertEqual(roots.mark, mark)

    def installed(self, moment: datetime, folder: str = "one-1.dist-info") -> Distribution:
        """A library whose files are from then."""
        there = self.folder / folder
        there.mkdir()
        (there / "METADATA").write_text("Metadata-Version: 2.1\nName: one\nVersion: 1\n")
        (there / "RECORD").write_text(f"one.py,,\n{folder}/METADATA,,\n")
        os.utime(there / "METADATA", times=(moment.timestamp(), moment.timestamp()))
        return Distribution.at(there)

    def test_put_there(self) -> None:
        """Its own file tells when a library came, unless its builder wiped that out or the system has it."""
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        found = self.installed(moment)
        self.assertEqual(libraries.put_there(found), moment)
        self.assertIsNone(
            libraries.put_there(self.installed(datetime(1980, 1, 1, tzinfo=UTC), "two-1.dist-info"))
        )
        self.patch(libraries, "_SYSTEM", str(self.folder))
        self.assertIsNone(libraries.put_there(found))
        (self.folder / "old.egg-info").mkdir()
        self.assertIsNone(libraries.put_there(Distribution.at(self.folder / "old.egg-info")))

    def test_ages(self) -> None:
        """Each has its age, and those that came half a year ago are to be renewed."""
        now = datetime(2026, 12, 1, tzinfo=UTC)
        young = {"a": ("1", now - DAY), "b": ("2", None), "c": ("3", now + DAY)}
        found = libraries.libraries(young, now)
        self.assertEqual(
            (found.mark, found.text),
            (Mark.OK, "a 1 (1 day), b 2, c 3 (0 days): since they were built or installed"),
        )
        found = libraries.libraries({**young, "d": ("4", now - libraries.OLD)}, now)
        self.assertEqual(
            (found.mark, found.remedy.split(", or: ")[1]), (Mark.WARNING, "pip install --upgrade d")
        )
        self.assertEqual(libraries.libraries({"a": ("1", None)}, now).text, "a 1")
