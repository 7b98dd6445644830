"""One connection's bytes, in whatever pieces they come: the network cuts them where it likes."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import HTTPChannel

from docxy.interfaces import TokenReply
from docxy.testing import reply
from docxy.web.channel import LINGER, MAX_FORM
from tests.unit.web.rig import Rig, request

FORM = "Content-Type: application/x-www-form-urlencoded"
CHUNKED = "Transfer-Encoding: chunked"
MANIFEST = "/v2/library/alpine/manifests/latest"
JSON = [(b"Content-Type", b"application/json")]
MANY = 40  # answers that each fake has ready: more than any of these connections asks for

WHOLE = [
    request("GET", "/v2/"),
    request("HEAD", "/health"),
    request("GET", "/generate_204", version="1.0"),
    request("GET", MANIFEST, "Authorization: Bearer t"),
    request("GET", "/v2/library/alpine/tags/list?n=2", "Accept: a/b", "Accept: c/d"),
    request("GET", "/auth/token?service=s&scope=repository:a:pull"),
    request("POST", "/auth/token", FORM, "Content-Length: 9") + b"service=s",
    request("POST", "/auth/token", FORM, CHUNKED) + b"8\r\nservice=\r\n1\r\ns\r\n0\r\n\r\n",
    request("POST", "/auth/token", FORM, "Content-Length: 3") + b"\x16=\r",
    request("GET", "/health", "X-Folded: a", " b"),
    request("PUT", MANIFEST),
    request("GET", "/health", "Connection: close"),
    b"\r\n",
]
BROKEN = [
    request("GET", "/health", "Content-Length: 1") + b"x",
    request("POST", "/auth/token", FORM, CHUNKED) + b"zz\r\n",
    request("POST", "/auth/token", FORM, "Content-Length: 99999"),
    request("GET", "/health", "no colon"),
    request("GET", "/health", "Host: twice"),
    b"GET /health\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
    b"\r\n\r\n\r\n",
    b"GET /hea",
]
SAID = st.lists(st.sampled_from(WHOLE) | st.sampled_from(BROKEN) | st.binary(max_size=20), max_size=5)


def pieces(said: bytes, cuts: list[int]) -> list[bytes]:
    """``said`` cut at these places, as far as it has them."""
    places = sorted({0, len(said), *(cut % (len(said) + 1) for cut in cuts)})
    return [said[start:end] for start, end in pairwise(places)]


def heard(*said: bytes) -> tuple[bytes, bool, bool, list[object]]:
    """All answers without their dates, whether we closed, whether by a reset, and what upstream was asked."""
    rig = Rig()
    rig.hub.will_answer(*[reply(404, b"{}", JSON) for _ in range(MANY)])
    rig.tokens["docker.io"].answers += [TokenReply(200, tuple(JSON), b"{}")] * MANY
    connection = rig.connect()
    for piece in said:
        connection.send(piece)
    rig.clock.pump([LINGER, 0])
    answers = re.sub(rb"(?m)^Date: .*\r\n", b"", connection.line.taken)
    asked: list[object] = [*rig.hub.asked, *rig.tokens["docker.io"].relayed]
    return answers, connection.closed, connection.line.aborted, asked


class PiecesTests(SynchronousTestCase):
    """The same bytes get the same answers."""

    @settings(derandomize=True, deadline=None, max_examples=150)
    @given(SAID, st.lists(st.integers(0, 2000), max_size=8))
    def test_cut_anywhere(self, said: list[bytes], cuts: list[int]) -> None:
        """Requests cut at arbitrary places are answered as they are in one piece."""
        whole = b"".join(said)
        self.assertEqual(heard(*pieces(whole, cuts)), heard(whole))

    def test_byte_by_byte(self) -> None:
        """Any request, whole or broken, alone or after another, is answered byte by byte as in one piece."""
        for said in (*WHOLE, *BROKEN):
            for before in (b"", WHOLE[0]):
                with self.subTest(said=said):
                    whole = before + said
                    self.assertEqual(heard(*(bytes([byte]) for byte in whole)), heard(whole))

    def test_cut_once(self) -> None:
        """Two requests are answered alike wherever the one cut between them, or within them, falls."""
        for said in WHOLE[3:8]:
            whole = said + WHOLE[0]
            wanted = heard(whole)
            for cut in range(len(whole)):
                self.assertEqual(heard(whole[:cut], whole[cut:]), wanted, cut)

    def test_looks(self) -> None:
        """However many pieces a line comes in, it is looked at once: time does not grow with its square."""
        seen: list[int] = []
        original = HTTPChannel.dataReceived

        def look(channel: HTTPChannel, data: bytes) -> None:
            seen.append(len(data))
            original(channel, data)

        self.patch(HTTPChannel, "dataReceived", look)
        connection = Rig().connect()
        for byte in request("GET", "/generate_204", f"X-Long: {'x' * 20000}"):
            connection.send(bytes([byte]))
        self.assertEqual(connection.answer().status, 204)
        self.assertEqual(len(seen), 4)  # the request line, two headers and the empty line

    def test_one_buffer(self) -> None:
        """What is asked for ahead of time is kept in one object, as bytes and not as pieces."""
        rig = Rig()
        rig.hub.will_answer(Deferred())
        connection = rig.connect()
        connection.send(request("GET", MANIFEST))
        for byte in b"GET /health HTTP/1.1\r\n" * 40:
            connection.send(bytes([byte]))
        self.assertEqual([len(kept) for kept in connection.http._dataBuffer], [880])

    def test_tiny_chunks(self) -> None:
        """A form of the largest size in chunks of a byte, each piece of one alone, is one form."""
        rig = Rig()
        rig.tokens["docker.io"].answers.append(TokenReply(200, tuple(JSON), b"{}"))
        connection = rig.connect()
        connection.send(request("POST", "/auth/token", FORM, CHUNKED))
        form = b"a=" + b"x" * (MAX_FORM - 2)
        for byte in form:
            for piece in (b"1", b"\r\n", bytes([byte]), b"\r\n"):
                connection.send(piece)
        connection.send(b"0\r\n\r\n")
        self.assertEqual(connection.answer("POST").status, 200)
        [asked] = rig.tokens["docker.io"].relayed
        self.assertEqual(asked.params, (("a", "x" * (MAX_FORM - 2)),))

    def test_answers_differ(self) -> None:
        """What is compared does tell answers apart."""
        self.assertGreater(len({heard(said)[0] for said in (*WHOLE, *BROKEN)}), 12)
