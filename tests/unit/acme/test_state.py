"""Tests for `docxy.acme.state`: files in a real folder."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from docxy.acme.keys import new_key, pem_of
from docxy.acme.state import Account, Busy, State, Trouble, write_whole
from docxy.settings.values import AcmeSettings, SettingsError
from docxy.tls.certificates import load_files
from tests.unit.tls.throwaway import NOW, Wish, intermediate, issue, leaf

CHAIN = leaf().pem + intermediate().pem


class StateTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A folder that is not there yet."""
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.folder = Path(made.name, "docxy", "acme")
        self.state = State(self.settings())
        self.state.prepare()

    def settings(self, directory: str = AcmeSettings(("a",)).directory) -> AcmeSettings:
        """Settings of this folder."""
        return AcmeSettings(("a.example",), directory=directory, state=str(self.folder))

    def files(self) -> list[str]:
        """All files, below the folder."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())

    def test_nobody_else_reads(self) -> None:
        """Folders and files are their owner's alone, and each directory's apart."""
        self.state.keep_account(Account("https://ca.example/1", pem_of(new_key("ec256"))))
        self.state.keep_pair(CHAIN, leaf().key_pem())
        self.state.try_room()
        self.state.keep_trouble(Trouble(1, 2.0, ("a.example",)))
        with self.state.locked():
            pass
        below = "acme-v02.api.letsencrypt.org_directory"
        names = ("account.json", "account.pem", "certificate.pem", "failures.json")
        self.assertEqual(self.files(), [*(f"{below}/{name}" for name in names), "lock"])
        for path in (self.folder, *self.folder.rglob("*")):
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o700 if path.is_dir() else 0o600, path)
        other = State(self.settings("https://ca.example:14000/dir?a=../.."))
        other.prepare()
        self.assertIsNone(other.account())
        self.assertEqual(Path(other.pair.cert).parent, self.folder / "ca.example_14000_dir_a_.._..")

    def test_refused(self) -> None:
        """A folder that cannot be made is told, with the command that makes it."""
        (self.folder / "file").touch()
        state = State(AcmeSettings(("a.example",), state=str(self.folder / "file" / "below")))
        error = self.assertRaises(SettingsError, state.prepare)
        self.assertEqual(error.key, "acme.state")
        self.assertIn("cannot be written (Not a directory)", error.problem)
        self.assertIn("install -d -m 700 -o USER ", error.remedy)

    def test_read_only(self) -> None:
        """So is one that cannot be written to."""
        self.patch(os, "access", lambda path, mode: False)
        error = self.assertRaises(SettingsError, self.state.prepare)
        self.assertIn("cannot be written (Permission denied)", error.problem)

    def test_foreign(self) -> None:
        """Files that another user left there are told at the start, with the command that mends it."""
        self.state.keep_account(Account("https://ca.example/1", pem_of(new_key("ec256"))))
        with self.state.locked():
            pass
        for foreign in ("lock", "account.pem"):
            self.patch(os, "access", lambda path, mode, foreign=foreign: path.name != foreign)
            error = self.assertRaises(SettingsError, self.state.prepare)
            self.assertIn(f"/{foreign} belongs to another user", error.problem)
            self.assertEqual(error.remedy, f"give all to docxy's user: chown -R USER {self.folder}")

    def test_others(self) -> None:
        """What other authorities issued is found; ours is not among it."""
        self.assertEqual(self.state.others(), [])
        made = []
        for number in range(2):
            other = State(self.settings(f"https://ca{number}.example/"))
            other.prepare()
            other.keep_pair(CHAIN, leaf().key_pem())
            made.append(other.pair)
        self.state.keep_pair(CHAIN, leaf().key_pem())
        self.assertEqual(self.state.others(), made)

    def test_useless(self) -> None:
        """What could never serve does not take the place of what does; what a clock of ours dislikes does."""
        self.state.keep_pair(CHAIN, leaf().key_pem())
        for chain, key in ((leaf().pem, leaf().key_pem()), (CHAIN, pem_of(new_key("ec256"))), (b"", b"")):
            self.assertRaises(SettingsError, self.state.keep_pair, chain, key)
            self.assertEqual(load_files(self.state.pair, now=NOW).chain[0], leaf().certificate)
        old = issue(Wish(days=(-90, -1)), intermediate())
        self.state.keep_pair(old.pem + intermediate().pem, old.key_pem())
        self.assertRaises(SettingsError, load_files, self.state.pair, now=NOW)

    def test_no_room(self) -> None:
        """A disk without room for a certificate is told, and nothing stays of the try."""

        def refuse(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        self.patch(os, "fsync", refuse)
        self.assertRaises(OSError, self.state.try_room)
        self.assertEqual(self.files(), [])

    def test_account(self) -> None:
        """An account is read as it was written; without its key, or forgotten, there is none."""
        self.assertIsNone(self.state.account())
        account = Account("https://ca.example/1", pem_of(new_key("ec256")))
        self.state.keep_account(account)
        self.assertEqual(self.state.account(), account)
        self.assertNotIn("PRIVATE", repr(account))
        self.state.forget_account()
        self.state.forget_account()
        self.assertIsNone(self.state.account())
        self.assertEqual(self.state.account_key(), account.key)

    def test_broken_account(self) -> None:
        """What cannot be read is no account."""
        account = Account("https://ca.example/1", pem_of(new_key("ec256")))
        own = Path(self.state.pair.cert).parent
        for name, content in (
            ("account.json", "{"),
            ("account.json", "[]"),
            ("account.json", '{"url": 7}'),
            ("account.json", "\0"),
            ("account.pem", "nonsense"),
        ):
            self.state.keep_account(account)
            (own / name).write_text(content)
            self.assertIsNone(self.state.account(), content)

    def test_pair(self) -> None:
        """Chain and key lie in one file, as listeners read it."""
        self.state.keep_pair(CHAIN, leaf().key_pem())
        found = load_files(self.state.pair, now=NOW)
        self.assertEqual((len(found.chain), found.warnings), (2, ()))

    def test_trouble(self) -> None:
        """Failures are remembered for the same names, until all is well."""
        trouble = Trouble(3, 1234.5, ("a.example",))
        self.state.keep_trouble(trouble)
        self.assertEqual(self.state.trouble(("a.example",)), trouble)
        self.assertIsNone(self.state.trouble(("b.example",)))
        for _ in range(2):
            self.state.keep_trouble(None)
            self.assertIsNone(self.state.trouble(("a.example",)))

    def test_broken_trouble(self) -> None:
        """What cannot be read is none."""
        path = Path(self.state.pair.cert).parent / "failures.json"
        for content in (
            "{",
            "[]",
            '{"failures": 1e999}',
            '{"failures": 0, "due": 1, "names": ["a.example"]}',
        ):
            path.write_text(content)
            self.assertIsNone(self.state.trouble(("a.example",)), content)

    def test_lock(self) -> None:
        """One process orders at a time."""
        with self.state.locked():
            self.assertRaises(Busy, State(self.settings()).locked().__enter__)
        with State(self.settings()).locked():
            pass

    def test_swept(self) -> None:
        """What a process left that was killed while it wrote goes with the next lock; nothing else does."""
        (own,) = (folder for folder in self.folder.iterdir() if folder.is_dir())
        for name in ("issued.pem", "account.pem", "account.json", "room"):
            (own / f".{name}.abcd1234").touch()
            (own / name).touch()
        (own / ".failures.json.abcd1234").touch()  # another process may be writing it
        with self.state.locked():
            kept = sorted(path.name for path in own.iterdir())
        self.assertEqual(
            kept, [".failures.json.abcd1234", "account.json", "account.pem", "issued.pem", "room"]
        )

    def test_whole(self) -> None:
        """A file that cannot be written leaves the old one, and nothing beside it."""
        path = self.folder / "file"
        write_whole(path, b"old")

        def refuse(source: str, target: Path) -> None:
            raise OSError(28, "No space left on device")

        self.patch(os, "replace", refuse)
        self.assertRaises(OSError, write_whole, path, b"new")
        self.assertEqual(path.read_bytes(), b"old")
        self.assertEqual(self.files(), ["file"])
