"""
PEM files: read, split into blocks, named when they are something else.

Owns what a file may look like (RFC 7468, and the older headers of RFC 1421).
Knows nothing of what certificates mean.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from docxy.settings.values import SettingsError

MAX_FILE = 4 * 1024 * 1024  # bytes; a bundle of every public root is 0.3 MiB

_CERTIFICATE_LABELS = frozenset({"CERTIFICATE", "X509 CERTIFICATE"})
_BEGIN, _END, _DASHES = "-----BEGIN ", "-----END ", "-----"
_USER_REMEDY = "make it readable for the user that docxy runs as"


@dataclass(frozen=True, slots=True, repr=False)
class Block:
    """
    One labelled block: its DER, and whether a passphrase locks it.

    The repr shows the label alone, since a block may be a private key.
    """

    label: str
    der: bytes
    encrypted: bool

    def __repr__(self) -> str:
        return f"<Block {self.label}>"

    @property
    def is_certificate(self) -> bool:
        """Whether the label promises a certificate."""
        return self.label in _CERTIFICATE_LABELS

    @property
    def is_key(self) -> bool:
        """Whether the label promises a private key of any form."""
        return self.label.endswith("PRIVATE KEY")


def read_blocks(path: str, key: str) -> tuple[Block, ...]:
    """
    All blocks of the PEM file at ``path``, in its order, at least one.

    :raises SettingsError: under ``key``: the file cannot be read, or is not PEM.
    """
    raw = _read(path, key)
    blocks = parse_blocks(raw.decode("ascii", "replace"))
    if blocks:
        return blocks
    if raw[:1] == b"\x30":
        problem = f"{path!r} is binary (DER or PKCS#12), not PEM"
        remedy = "convert it: openssl x509 -inform DER, openssl pkey -inform DER, or openssl pkcs12 -nodes"
    else:
        problem = f"{path!r} holds no PEM block"
        remedy = "give a file with -----BEGIN CERTIFICATE----- or -----BEGIN PRIVATE KEY----- lines"
    raise SettingsError(key, problem, remedy)


def _read(path: str, key: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_FILE + 1)
    except FileNotFoundError:
        raise SettingsError(key, f"{path!r} does not exist", "name the PEM file") from None
    except PermissionError:
        raise SettingsError(key, f"{path!r} may not be read", _USER_REMEDY) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingsError(key, f"{path!r} cannot be read ({reason})", "name the PEM file") from None
    if len(raw) > MAX_FILE:
        raise SettingsError(key, f"{path!r} is larger than {MAX_FILE} bytes", "name the PEM file")
    return raw


def parse_blocks(text: str) -> tuple[Block, ...]:
    """The whole blocks of ``text``; what stands between them, and a block without its end, is passed over."""
    blocks = []
    label, body = None, list[str]()
    for line in map(str.strip, text.splitlines()):
        if line.startswith(_BEGIN) and line.endswith(_DASHES):
            label, body = line[len(_BEGIN) : -len(_DASHES)], []
        elif label is not None and line == f"{_END}{label}{_DASHES}":
            blocks.append(_block(label, body))
            label = None
        elif label is not None:
            body.append(line)
    return tuple(blocks)


def _block(label: str, body: list[str]) -> Block:
    headers = [line for line in body if ":" in line]  # base64 has no colon
    locked = any(line.startswith("Proc-Type:") and "ENCRYPTED" in line for line in headers)
    encoded = "".join(line for line in body if line not in headers)
    try:
        der = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        der = b""  # what loads it says that it is broken
    return Block(label, der, locked or label == "ENCRYPTED PRIVATE KEY")


def certificates(blocks: tuple[Block, ...], path: str, key: str) -> tuple[x509.Certificate, ...]:
    """
    The certificates among ``blocks``, in their order, perhaps none.

    :raises SettingsError: under ``key``: one of them is broken.
    """
    found = []
    for number, block in enumerate((block for block in blocks if block.is_certificate), 1):
        try:
            found.append(x509.load_der_x509_certificate(block.der))
        except ValueError:
            raise SettingsError(
                key,
                f"certificate {number} in {path!r} is broken",
                "copy the file again from where it was issued",
            ) from None
    return tuple(found)
