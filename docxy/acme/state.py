"""
What is kept of an account and its certificate: files that only docxy's user may read.

Owns their names and that each is whole at every moment.  One folder for each
authority's directory: accounts and certificates of another one are no use.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from docxy.settings.values import AcmeSettings, SettingsError
from docxy.tls.certificates import PairFiles, load_files
from docxy.tls.server import make_context

_OTHERS = re.compile(r"[^a-z0-9.-]+")
_MAX_FILE = 65_536  # bytes
_PAIR = "certificate.pem"


class Busy(Exception):
    """Another process has the lock."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account at the authority: its URL there, and its private key in PEM."""

    url: str
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Tries that failed in a row, for these names, and when the next is due (seconds since the epoch)."""

    failures: int
    due: float
    names: tuple[str, ...]


class State:
    """The files of one authority's directory, in the folder of the settings."""

    def __init__(self, settings: AcmeSettings) -> None:
        self.folder = Path(settings.state)
        name = _OTHERS.sub("_", settings.directory.lower().removeprefix("https://")).strip("_")
        self._own = self.folder / name[:200]
        self._pair = self._own / _PAIR

    @property
    def pair(self) -> PairFiles:
        """The certificate's chain and its key, in one file: they never differ."""
        return _in_one(self._pair)

    def others(self) -> list[PairFiles]:
        """What other authorities have issued."""
        return [_in_one(path) for path in sorted(self.folder.glob(f"*/{_PAIR}")) if path != self._pair]

    def prepare(self) -> None:
        """
        Make the folders.

        :raises SettingsError: this process may not, or may not use the files that are there.
        """
        try:
            for folder in (self.folder, self._own):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                if not os.access(folder, os.W_OK | os.X_OK):
                    raise PermissionError(13, os.strerror(13))
        except OSError as error:
            raise SettingsError(
                "acme.state",
                f"{self.folder} cannot be written ({error.strerror})",
                f"make it for docxy's user: install -d -m 700 -o USER {self.folder}",
            ) from None
        for path in (self.folder / "lock", *self._own.glob("[!.]*")):
            if path.exists() and not os.access(path, os.R_OK | os.W_OK):
                raise SettingsError(
                    "acme.state",
                    f"{path} belongs to another user",
                    f"give all to docxy's user: chown -R USER {self.folder}",
                )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from ordering in this block; raises `Busy` where one does."""
        with open(self.folder / "lock", "a", encoding="ascii", opener=_open_closed) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Busy from None
            self._sweep()
            yield

    def _sweep(self) -> None:
        """Remove what a process left that was killed while it wrote under the lock: keys may be in there."""
        for name in (".account.*", ".issued.*", ".room.*"):
            for left in self._own.glob(name):
                left.unlink(missing_ok=True)

    # The account

    def account(self) -> Account | None:
        """The account that was made; None where there is none, or nothing that can be read."""
        try:
            url = json.loads(_read(self._own / "account.json"))["url"]
        except (OSError, ValueError, TypeError, KeyError):
            return None
        key = self.account_key()
        return Account(url, key) if isinstance(url, str) and key is not None else None

    def keep_account(self, account: Account) -> None:
        """Write it; the key first, without which the URL is of no use."""
        self.keep_account_key(account.key)
        write_whole(self._own / "account.json", json.dumps({"url": account.url}).encode("ascii"))

    def account_key(self) -> bytes | None:
        """The key of an account, whether or not that was made; None where there is none that can be read."""
        try:
            key = _read(self._own / "account.pem")
            load_pem_private_key(key, None)
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
            return None
        return key

    def keep_account_key(self, key: bytes) -> None:
        """Write it before the account is made: an authority that knows a key gives the same account again."""
        if self.account_key() != key:
            write_whole(self._own / "account.pem", key)

    def forget_account(self) -> None:
        """The authority knows it no longer; its key may serve for the next one."""
        with suppress(FileNotFoundError):
            (self._own / "account.json").unlink()

    # The certificate

    def try_room(self) -> None:
        """Raise `OSError` where a certificate could not be kept: none is to be issued in vain."""
        path = self._own / "room"
        write_whole(path, bytes(_MAX_FILE))
        path.unlink()

    def keep_pair(self, chain: bytes, key: bytes) -> None:
        """
        Write the chain and its key, both in PEM.

        :raises SettingsError: they could never serve, whatever the time; the old pair stays.
        """
        path = self._own / "issued.pem"
        write_whole(path, key.rstrip() + b"\n" + chain)
        make_context(load_files(_in_one(path), now=_first_moment(chain)))
        os.replace(path, self._pair)
        _sync(self._own)

    # Failures

    def trouble(self, names: tuple[str, ...]) -> Trouble | None:
        """What is still to be waited for, so that a restart is no way around it; None for other names."""
        try:
            told = json.loads(_read(self._own / "failures.json"))
            found = Trouble(int(told["failures"]), float(told["due"]), tuple(told["names"]))
        except (OSError, ValueError, TypeError, KeyError, OverflowError):
            return None
        return found if found.names == names and found.failures > 0 else None

    def keep_trouble(self, trouble: Trouble | None) -> None:
        """Write it; None: all is well."""
        path = self._own / "failures.json"
        if trouble is None:
            with suppress(FileNotFoundError):
                path.unlink()
            return
        told = {"failures": trouble.failures, "due": trouble.due, "names": list(trouble.names)}
        write_whole(path, json.dumps(told).encode("ascii"))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, so that readers find the old one or the whole new one."""
    descriptor, made = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(made, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(made)
        raise
    _sync(path.parent)


def _sync(folder: Path) -> None:
    """Have the names in it on the disk, too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _in_one(path: Path) -> PairFiles:
    return PairFiles(str(path), str(path), "acme.state", "acme.state")


def _first_moment(chain: bytes) -> datetime:
    """When its leaf begins: a clock of ours that is wrong makes nothing of it worse."""
    try:
        return x509.load_pem_x509_certificates(chain)[0].not_valid_before_utc
    except ValueError:
        return datetime.now(UTC)  # it is refused at any time


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MAX_FILE)


def _open_closed(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
