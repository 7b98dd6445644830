"""
Tests for `docxy.tls.pem`.
"""

from __future__ import annotations

import base64
import os
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.settings.values import SettingsError
from docxy.tls import pem
from docxy.tls.pem import Block, certificates, parse_blocks, read_blocks
from tests.unit.tls.throwaway import intermediate, leaf, root, write

quick = settings(derandomize=True, max_examples=50, deadline=None)


def armour(label: str, der: bytes, newline: str = "\n") -> str:
    """A block as other programs write it."""
    return newline.join(
        [f"-----BEGIN {label}-----", base64.b64encode(der).decode(), f"-----END {label}-----", ""]
    )


NOBODY = 65534  # a user that owns nothing


class ParseTests(SynchronousTestCase):
    def test_blocks(self) -> None:
        """Blocks come in their order; text between them, line ends and indentation do not matter."""
        text = (
            "Bag Attributes\r\n"
            + armour("CERTIFICATE", b"one", "\r\n")
            + "  subject=x\n"
            + armour("EC PARAMETERS", b"2")
        )
        indented = "\n".join("  " + line for line in armour("PRIVATE KEY", b"three").splitlines())
        found = parse_blocks(text + indented)
        self.assertEqual(
            found,
            (
                Block("CERTIFICATE", b"one", False),
                Block("EC PARAMETERS", b"2", False),
                Block("PRIVATE KEY", b"three", False),
            ),
        )

    def test_kinds(self) -> None:
        """Labels tell certificates from keys."""
        for label, certificate, key in [
            ("CERTIFICATE", True, False),
            ("X509 CERTIFICATE", True, False),
            ("TRUSTED CERTIFICATE", False, False),
            ("PRIVATE KEY", False, True),
            ("RSA PRIVATE KEY", False, True),
            ("EC PRIVATE KEY", False, True),
            ("ENCRYPTED PRIVATE KEY", False, True),
            ("PUBLIC KEY", False, False),
            ("CERTIFICATE REQUEST", False, False),
        ]:
            block = Block(label, b"", False)
            self.assertEqual((block.is_certificate, block.is_key), (certificate, key), label)

    def test_encrypted(self) -> None:
        """Both forms of a locked key are seen without trying to open it."""
        modern = parse_blocks(armour("ENCRYPTED PRIVATE KEY", b"x"))
        lines = armour("RSA PRIVATE KEY", b"x").splitlines()
        old = parse_blocks(
            "\n".join([lines[0], "Proc-Type: 4,ENCRYPTED", "DEK-Info: AES-256-CBC,00", "", *lines[1:]])
        )
        self.assertEqual([block.encrypted for block in modern + old], [True, True])
        self.assertEqual(old[0].der, b"x")

    def test_unfinished(self) -> None:
        """A block without its own end is no block, and swallows nothing after the next beginning."""
        broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END PRIVATE KEY-----\n"
        self.assertEqual(parse_blocks(broken), ())
        self.assertEqual(
            parse_blocks(broken + armour("PRIVATE KEY", b"x")), (Block("PRIVATE KEY", b"x", False),)
        )

    def test_broken_body(self) -> None:
        """A body that is not base64 gives an empty block."""
        self.assertEqual(
            parse_blocks(armour("PRIVATE KEY", b"x").replace("=", "!")), (Block("PRIVATE KEY", b"", False),)
        )

    def test_repr(self) -> None:
        """No repr shows a key."""
        self.assertEqual(repr(Block("PRIVATE KEY", b"secret", False)), "<Block PRIVATE KEY>")

    @quick
    @given(
        st.lists(
            st.tuples(st.sampled_from(["CERTIFICATE", "RSA PRIVATE KEY", "X"]), st.binary(max_size=60)),
            max_size=4,
        )
    )
    def test_round_trip(self, parts: list[tuple[str, bytes]]) -> None:
        """What was armoured is found again."""
        found = parse_blocks("".join(armour(label, der) for label, der in parts))
        self.assertEqual([(block.label, block.der) for block in found], parts)

    @quick
    @given(st.text(alphabet="-BEGINDX \n=A:", max_size=200))
    def test_anything(self, text: str) -> None:
        """No text makes the parser fail."""
        parse_blocks(text)

    def test_linear(self) -> None:
        """A hostile file is read once, not once for each beginning."""
        self.assertEqual(parse_blocks("-----BEGIN A-----\n" * 50_000), ())


class ReadTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A directory."""
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.directory = Path(made.name)

    def refused(self, path: str) -> str:
        """The problem with ``path``."""
        with self.assertRaises(SettingsError) as caught:
            read_blocks(path, "tls.cert")
        self.assertEqual(caught.exception.key, "tls.cert")
        self.assertIn(repr(path), caught.exception.problem)
        problem: str = caught.exception.problem
        return problem

    def test_refused(self) -> None:
        """Whatever is not a PEM file is called what it is."""
        file = self.directory / "file"
        for content, problem in [
            (b"", "no PEM block"),
            (b"hello", "no PEM block"),
            (b"\xff\xfe\x00", "no PEM block"),
            (root().certificate.public_bytes(Encoding.DER), "binary (DER or PKCS#12)"),
        ]:
            with self.subTest(content=content[:9]):
                self.assertIn(problem, self.refused(write(file, content)))
        self.assertIn("does not exist", self.refused(str(self.directory / "missing")))
        self.assertIn("cannot be read", self.refused(str(self.directory)))
        self.assertIn("cannot be read", self.refused("nul\0byte"))

    def test_unreadable(self) -> None:
        """A file that is another user's is named as such."""
        file = self.directory / "file"
        write(file, root().pem)
        file.chmod(0)
        self.directory.chmod(0o755)
        if os.geteuid() == 0:  # root may read everything
            self.addCleanup(os.seteuid, 0)
            os.seteuid(NOBODY)
        self.assertIn("may not be read", self.refused(str(file)))

    def test_too_large(self) -> None:
        """A file without end is not read to its end."""
        file = self.directory / "large"
        with file.open("wb") as out:
            out.truncate(pem.MAX_FILE + 1)
        self.assertIn("larger than", self.refused(str(file)))

    def test_certificates(self) -> None:
        """Certificates are loaded in order, keys passed over, and a broken one is counted."""
        parts = [leaf().pem, leaf().key_pem(), intermediate().pem]
        path = write(self.directory / "chain", parts)
        self.assertEqual(
            certificates(read_blocks(path, "ca"), path, "ca"),
            (leaf().certificate, intermediate().certificate),
        )
        write(self.directory / "chain", [*parts, root().pem.replace(b"MII", b"AAA")])
        with self.assertRaises(SettingsError) as caught:
            certificates(read_blocks(path, "ca"), path, "ca")
        self.assertIn("certificate 3", caught.exception.problem)
