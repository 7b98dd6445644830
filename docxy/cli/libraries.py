"""
How old the libraries are that nobody but docxy's operator renews.

Reads what is installed, and asks nobody for what is new.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from importlib.metadata import Distribution, distribution, version
from pathlib import Path

from cryptography.hazmat import bindings
from OpenSSL import SSL

from docxy.cli.findings import Finding, failed, fine, warning
from docxy.tls.client import trust_roots_present

OLD = timedelta(days=180)
"""The age from which a library that secures connections is told to be renewed."""

_LIBRARIES = ("cryptography", "pyopenssl", "service-identity", "treq", "twisted")
_RELEASED = re.compile(r"\d{1,2} [A-Z][a-z]{2} \d{4}")
_SYSTEM = "/usr/lib/python3/dist-packages"  # where Debian's packages put theirs
_NEVER = datetime(2000, 1, 1, tzinfo=UTC)  # builds without a date write 1970 or 1980


def library_findings(now: datetime) -> Iterator[Finding]:
    """What apt does not renew: the OpenSSL in the wheels; and what it may not have installed: trust roots."""
    shown = SSL.OpenSSL_version(SSL.OPENSSL_VERSION).decode("ascii", "replace")
    built = SSL.OpenSSL_version(SSL.OPENSSL_BUILT_ON).decode("ascii", "replace")
    yield openssl(f"{shown}, {built}", now, is_bundled(Path(bindings.__file__).parent))
    yield libraries({name: (version(name), put_there(distribution(name))) for name in _LIBRARIES}, now)
    if trust_roots_present():
        yield fine("trust roots", "", "present")
    else:
        yield failed(
            "trust roots", "", "none are installed: no upstream can be met", "install ca-certificates"
        )


def is_bundled(folder: Path) -> bool:
    """
    Whether the compiled modules in ``folder`` bring OpenSSL with them, as wheels do.

    Those of a distribution name its shared library, which its packages renew.
    """
    modules = folder.glob("*.so")
    return not any(b"libcrypto.so" in module.read_bytes() for module in modules)


def openssl(text: str, now: datetime, bundled: bool) -> Finding:
    """What there is to say of an OpenSSL that calls itself so, as ``OpenSSL 3.5.4 30 Sep 2025``."""
    if not bundled:
        return fine("library", "", f"{text}: the system's own, which its packages renew")
    released = _RELEASED.search(text)
    if released is None:
        return fine("library", "", text)
    age = (now - datetime.strptime(released.group(), "%d %b %Y").replace(tzinfo=UTC)).days
    text = f"{text}: {age} days old, comes with docxy"
    if age < OLD.days:
        return fine("library", "", text)
    remedy = "take the newest package of docxy, or: pip install --upgrade cryptography pyopenssl"
    return warning("library", "", text, remedy)


def put_there(found: Distribution) -> datetime | None:
    """
    When ``found`` was built or installed, as its own file's date tells: its release is no younger.

    None where that says nothing: what the system's packages put there they renew, and some leave no date.
    """
    for file in found.files or ():
        path = Path(str(file.locate()))
        if file.name == "METADATA" and not path.is_relative_to(_SYSTEM):
            moment = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            return moment if moment > _NEVER else None
    return None


def libraries(found: Mapping[str, tuple[str, datetime | None]], now: datetime) -> Finding:
    """What there is to say of these, each with its version and when it was built or installed."""
    ages = {name: max((now - moment).days, 0) for name, (_, moment) in found.items() if moment is not None}
    shown = (
        f"{name} {one}" + (f" ({_days(ages[name])})" if name in ages else "")
        for name, (one, _) in found.items()
    )
    text = ", ".join(shown) + (": since they were built or installed" if ages else "")
    old = [name for name, days in ages.items() if days >= OLD.days]
    if not old:
        return fine("library", "", text)
    remedy = f"take the newest package of docxy, or: pip install --upgrade {' '.join(old)}"
    return warning("library", "", text, remedy)


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"
