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
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from docxy.settings.values import AcmeSettings, SettingsError
from docxy.tls.certificates import PairFiles

_OTHERS = re.compile(r"[^a-z0-9.-]+")
_MAX_FILE = 65_536  # bytes


class Busy(Exception):
    """Another process has the lock."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account at the authority: its URL there, and its private key in PEM."""

    url: str
    key: bytes


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
        self._pair = self._own / "certificate.pem"

    @property
    def pair(self) -> PairFiles:
        """The certificate's chain and its key, in one file: they never differ."""
        path = str(self._pair)
        return PairFiles(path, path, "acme.state", "acme.state")

    def prepare(self) -> None:
        """
        Make the folders.

        :raises SettingsError: this process may not.
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

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from ordering in this block; raises `Busy` where one does."""
        with open(self.folder / "lock", "a", encoding="ascii", opener=_open_closed) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Busy from None
            yield

    # The account

    def account(self) -> Account | None:
        """The account that was made; None where there is none, or nothing that can be read."""
        try:
            url = json.loads(_read(self._own / "account.json"))["url"]
            key = _read(self._own / "account.pem")
            load_pem_private_key(key, None)
        except (OSError, ValueError, TypeError, KeyError, UnsupportedAlgorithm):
            return None
        return Account(url, key) if isinstance(url, str) else None

    def keep_account(self, account: Account) -> None:
        """Write it; the key first, without which the URL is of no use."""
        write_whole(self._own / "account.pem", account.key)
        write_whole(self._own / "account.json", json.dumps({"url": account.url}).encode("ascii"))

    def forget_account(self) -> None:
        """The authority knows it no longer."""
        with suppress(FileNotFoundError):
            (self._own / "account.json").unlink()

    # The certificate

    def keep_pair(self, chain: bytes, key: bytes) -> None:
        """Write the chain and its key, both in PEM."""
        write_whole(self._pair, key.rstrip() + b"\n" + chain)

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
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)  # the new name, too, is on the disk
    finally:
        os.close(folder)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MAX_FILE)


def _open_closed(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
