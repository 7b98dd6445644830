"""
The table ``[acme]``: which certificate to obtain, and from whom.

Owns its defaults and what must stand together.  Knows nothing of the protocol,
nor of other tables.
"""

from __future__ import annotations

import re
from typing import Literal, cast, get_args

from docxy.settings import forms
from docxy.settings.forms import Malformed, shown
from docxy.settings.tables import Table
from docxy.settings.values import AcmeSettings

MAX_DOMAINS = 100
"""What Let's Encrypt puts into one certificate at most."""

_KeyType = Literal["ec256", "ec384", "rsa2048", "rsa3072", "rsa4096"]
_TERMS = {"acme-v02.api.letsencrypt.org": "https://letsencrypt.org/repository/"}
_EMAIL = re.compile(r"[^@\s,?&]{1,64}@[^@\s,?&]{1,253}")
_WORD = re.compile(r"[A-Za-z0-9._~-]{1,128}")


def read_acme(table: Table) -> AcmeSettings:
    """
    What the table says.

    :raises SettingsError: a value is wrong or missing.
    """
    domains = table.some("domains", _domain)
    if domains is None:
        raise table.error("domains", "is missing", 'name the mirror, like domains = ["mirror.example.com"]')
    if len(domains) > MAX_DOMAINS:
        raise table.error("domains", "is too long", f"name at most {MAX_DOMAINS}")
    default = AcmeSettings(domains)
    found = AcmeSettings(
        domains=domains,
        email=table.value("email", _email),
        directory=table.value("directory", _directory) or default.directory,
        ca=table.value("ca", forms.plain),
        eab_kid=table.value("eab_kid", _visible),
        eab_hmac_file=table.value("eab_hmac_file", forms.plain),
        key_type=cast("_KeyType", table.word("key_type", *get_args(_KeyType)) or default.key_type),
        profile=table.value("profile", _word),
        state=table.value("state", forms.plain) or default.state,
    )
    _check(found, table)
    return found


def _check(found: AcmeSettings, table: Table) -> None:
    pair = (("eab_kid", found.eab_kid), ("eab_hmac_file", found.eab_hmac_file))
    for (missing, value), (_, other) in (pair, pair[::-1]):
        if value is None and other is not None:
            raise table.error(missing, "is missing", "give acme.eab_kid and acme.eab_hmac_file together")
    if not table.flag("agree_tos", False):
        terms = _TERMS.get(forms.url(found.directory).host, f"of the authority at {found.directory}")
        raise table.error(
            "agree_tos",
            f"an authority issues certificates only to those who agree to its terms ({terms})",
            "read them, then set agree_tos = true or give --acme-agree-tos",
        )


def _domain(text: str) -> str:
    if text.startswith("*"):
        problem = (
            f"{shown(text)} is a wildcard, for which authorities want a DNS record that docxy cannot set"
        )
        raise Malformed(problem, "list the names, or give a certificate by tls.cert and tls.key")
    return forms.host_name(text)


def _email(text: str) -> str:
    if not _EMAIL.fullmatch(text) or not text.isprintable():
        raise Malformed("is not one e-mail address", "write one like operator@example.com")
    return text


def _directory(text: str) -> str:
    found = forms.url(text)
    if found.scheme != "https":
        raise Malformed(f"{shown(text)} is not encrypted", "write an https:// URL")
    return found.base + found.rest


def _visible(text: str) -> str:
    if not (text.isascii() and text.isprintable() and 0 < len(text) <= 1024) or " " in text:
        raise Malformed("is not a key identifier", "copy it from your account at the authority")
    return text


def _word(text: str) -> str:
    if not _WORD.fullmatch(text):
        raise Malformed(f"{shown(text)} is not a profile", "write one that the authority's directory lists")
    return text
