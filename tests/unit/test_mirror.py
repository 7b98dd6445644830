"""Tests for `docxy.mirror`: what was asked for."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import CancelledError, Deferred

from docxy.answers import Answer
from docxy.interfaces import Reply, Span, UpstreamBroken, UpstreamTimedOut, UpstreamUnreachable
from docxy.mirror import MAX_MANIFEST, MAX_SEARCH, TRIES
from docxy.testing import MemoryBody, reply
from tests.unit.mirror_rig import (
    BLOB,
    BY_DIGEST,
    CONTENT,
    DIGEST,
    MANIFEST,
    TOKEN,
    PullTests,
    Rig,
    body_of,
    stream_of,
    values,
)

SIZE = len(CONTENT)
HEAD = b"HEAD"
CONDITION = (b"If-None-Match", b'"e"')


class MirrorTests(PullTests):
    """What every class below asks."""

    def pulled(
        self,
        url: str,
        *script: Reply | Exception,
        method: bytes = b"GET",
        headers: tuple[tuple[bytes, bytes], ...] = (),
        upstream: str = "docker.io",
    ) -> Answer:
        """The answer when upstream follows this script."""
        self.rig.upstreams[upstream].will_answer(*script)
        caller = self.rig.caller(method, headers, authorization=TOKEN)
        return self.successResultOf(self.rig.pull(url, caller))


class TargetTests(MirrorTests):
    """What upstream is asked for."""

    def test_targets(self) -> None:
        """Path and query are spelt as upstream spells them, ``ns`` and prefixes left out."""
        digest = DIGEST.replace(":", "%3A")
        for url, upstream, target in (
            (MANIFEST, "docker.io", MANIFEST),
            ("/v2/alpine/manifests/3", "docker.io", "/v2/library/alpine/manifests/3"),
            (f"/v2/alpine/blobs/{digest}", "docker.io", BLOB),
            ("/v2/ghcr.io/a/b/tags/list?n=5&last=x", "ghcr.io", "/v2/a/b/tags/list?n=5&last=x"),
            ("/ghcr.io/v2/a/b/manifests/v1", "ghcr.io", "/v2/a/b/manifests/v1"),
            ("/v2/a/b/manifests/v1?ns=ghcr.io", "ghcr.io", "/v2/a/b/manifests/v1"),
            ("/v2/a/b/tags/list?ns=ghcr.io&n=2", "ghcr.io", "/v2/a/b/tags/list?n=2"),
            (
                f"/v2/a/b/referrers/{DIGEST}?artifactType=x",
                "docker.io",
                f"/v2/a/b/referrers/{DIGEST}?artifactType=x",
            ),
            ("/v2/_catalog?n=3", "docker.io", "/v2/_catalog?n=3"),
        ):
            self.pulled(url, reply(200, CONTENT), upstream=upstream)
            asked = self.rig.asked(upstream)[-1]
            self.assertEqual((asked.method, asked.target.decode()), (b"GET", target))

    def test_namespace(self) -> None:
        """Who named the upstream by ``ns`` is told so, also in refusals; nobody else is."""
        for url, told in ((f"{BY_DIGEST}?ns=docker.io", [b"docker.io"]), (BY_DIGEST, [])):
            for theirs in (reply(200, CONTENT), reply(404), reply(401)):
                self.assertEqual(values(self.pulled(url, theirs), b"OCI-Namespace"), told)

    def test_no_answer(self) -> None:
        """An upstream without an answer is 504 for time and 502 for the rest, with the reason."""
        for error, status in (
            (UpstreamTimedOut("late"), 504),
            (UpstreamUnreachable("gone"), 502),
            (UpstreamBroken("cut"), 502),
        ):
            self.hub.will_answer(error)
            refused = self.refused(self.rig.pull(MANIFEST))
            self.assertEqual((refused.status, refused.message), (status, f"docker.io: {error}"))

    def test_in_time(self) -> None:
        """25 seconds are all that a pull has to its first header, whatever they are spent on."""
        body = MemoryBody(CONTENT, end="never")
        scripts: tuple[tuple[bytes, tuple[Reply | Deferred[Reply], ...]], ...] = (
            (b"GET", (Deferred(),)),
            (b"GET", (reply(200, body),)),
            (HEAD, (reply(200, MemoryBody()), Deferred())),
        )
        for method, script in scripts:
            self.hub.will_answer(*script)
            pulling = self.rig.pull(MANIFEST, self.rig.caller(method))
            self.rig.clock.advance(24.9)
            self.assertNoResult(pulling)
            self.rig.clock.advance(0.1)
            self.assertEqual(self.refused(pulling).status, 504)
        self.assertTrue(body.stopped)
        self.assertEqual(self.rig.clock.getDelayedCalls(), [])

    def test_left(self) -> None:
        """A client that leaves cancels what upstream is asked, and what is read of it."""
        cancelled: list[object] = []
        body = MemoryBody(end="never")
        for scripted in (Deferred[Reply](cancelled.append), reply(200, body)):
            self.hub.will_answer(scripted)
            pulling = self.rig.pull(MANIFEST)
            pulling.cancel()
            self.failureResultOf(pulling, CancelledError)
        self.assertEqual((len(cancelled), body.stopped), (1, True))
        self.assertEqual(self.rig.clock.getDelayedCalls(), [])

    def test_unasked(self) -> None:
        """Answers that were not asked for are broken ones, and are let go: 206, 304, 204, redirects."""
        for url, status in ((MANIFEST, 304), (MANIFEST, 206), (BLOB, 206), (BLOB, 204), (BLOB, 307)):
            bodies = [MemoryBody(CONTENT) for _ in range(TRIES)]
            self.hub.will_answer(*(reply(status, body) for body in bodies))
            self.assertEqual(self.refused(self.rig.pull(url)).status, 502, (url, status))
            self.assertEqual({body.fate for body in bodies}, {"dropped"})


class ManifestTests(MirrorTests):
    """Manifests."""

    def test_get(self) -> None:
        """A manifest goes out whole and checked, with upstream's type."""
        headers = [(b"Content-Type", b"application/vnd.oci.image.manifest.v1+json")]
        answer = self.pulled(BY_DIGEST, reply(200, CONTENT, headers))
        self.assertEqual((answer.status, answer.content, answer.length), (200, CONTENT, SIZE))
        self.assertEqual(values(answer, b"Content-Type"), [headers[0][1]])

    def test_range(self) -> None:
        """A range of a manifest is cut here, from what upstream was asked for whole."""
        answer = self.pulled(BY_DIGEST, reply(200, CONTENT), headers=((b"Range", b"bytes=-2"),))
        self.assertEqual((answer.status, answer.content), (206, CONTENT[-2:]))
        self.assertEqual(self.rig.asked()[0].lines(b"Range"), [])

    def test_bound(self) -> None:
        """5 MiB are read, and not a byte more."""
        self.assertEqual(self.pulled(MANIFEST, reply(200, bytes(MAX_MANIFEST))).length, MAX_MANIFEST)
        for body in (MemoryBody(bytes(MAX_MANIFEST + 1)), MemoryBody(b"x" * 65536, endless=True)):
            self.hub.will_answer(reply(200, body))
            self.assertEqual(self.refused(self.rig.pull(MANIFEST)).status, 502)
            self.assertTrue(body.stopped)
            body.close()

    def test_broken(self) -> None:
        """A manifest that breaks off three times is 502, never a part of it."""
        self.hub.will_answer(*(reply(200, MemoryBody(CONTENT, end="broken")) for _ in range(TRIES)))
        self.assertEqual(self.refused(self.rig.pull(MANIFEST)).status, 502)
        self.assertEqual(len(self.rig.asked()), TRIES)

    def test_wrong(self) -> None:
        """A manifest that three times is not what its digest says is 502."""
        self.hub.will_answer(*(reply(200, CONTENT[1:]) for _ in range(TRIES)))
        refused = self.refused(self.rig.pull(BY_DIGEST))
        self.assertEqual((refused.status, refused.code), (502, "UNAVAILABLE"))
        self.assertIn("docker.io: it sent a broken manifest", refused.message)

    def test_asked_again(self) -> None:
        """A broken one is asked for again, elsewhere where that can be, and the right one goes out."""
        told = [(b"Docker-Content-Digest", DIGEST.encode())]
        for url in (MANIFEST, BY_DIGEST):
            cut = reply(200, MemoryBody(CONTENT[1:], end="broken"), host="a")
            wrong = reply(200, CONTENT[1:], told, host="b")
            nonsense = reply(206, CONTENT, told, host="b")
            for second in (wrong, nonsense):
                first = replace(cut, body=MemoryBody(CONTENT[1:], end="broken"))
                answer = self.pulled(url, first, second, reply(200, CONTENT, told))
                self.assertEqual((answer.status, answer.content), (200, CONTENT))
                asked = self.rig.asked()[-3:]
                self.assertEqual([each.avoid for each in asked], [set(), {"a"}, {"a", "b"}])
                self.assertEqual(len({(each.target, each.headers) for each in asked}), 1)

    def test_refused_again(self) -> None:
        """What the registry says to the second asking is said to the client."""
        answer = self.pulled(BY_DIGEST, reply(200, CONTENT[1:]), reply(404, b"{}"))
        self.assertEqual((answer.status, answer.content), (404, b"{}"))

    def test_still_in_time(self) -> None:
        """All tries have 25 seconds together."""
        self.hub.will_answer(reply(200, CONTENT[1:]), Deferred())
        pulling = self.rig.pull(BY_DIGEST)
        self.rig.clock.advance(25)
        self.assertEqual(self.refused(pulling).status, 504)

    def test_not_modified(self) -> None:
        """304 reaches who set a condition, for lists and blobs too."""
        for url in (MANIFEST, BLOB, "/v2/a/b/tags/list"):
            answer = self.pulled(url, reply(304, headers=[(b"ETag", b'"e"')]), headers=(CONDITION,))
            self.assertEqual((answer.status, answer.length, answer.content), (304, None, b""))
            self.assertEqual(self.rig.asked()[-1].lines(b"If-None-Match"), [CONDITION[1]])


class HeadTests(MirrorTests):
    """HEADs, which stay HEADs."""

    def test_length(self) -> None:
        """The real size is told; nothing is asked twice."""
        for url in (MANIFEST, BLOB):
            body = MemoryBody()
            answer = self.pulled(url, reply(200, body, length=1234), method=HEAD)
            self.assertEqual((answer.status, answer.length, answer.content), (200, 1234, b""))
            self.assertEqual((self.rig.asked()[-1].method, body.fate), (HEAD, "dropped"))
        self.assertEqual(len(self.rig.asked()), 2)

    def test_probe(self) -> None:
        """A size that upstream left out is found by one byte of a GET."""
        for url in (MANIFEST, BLOB):
            body = MemoryBody(b"a")
            part = reply(206, body, [(b"Content-Range", b"bytes 0-0/777")], length=1)
            ranged = ((b"Range", b"bytes=5-6"),)
            answer = self.pulled(url, reply(200, MemoryBody()), part, method=HEAD, headers=ranged)
            self.assertEqual((answer.status, answer.length, body.fate), (200, 777, "dropped"))
            head, probe = self.rig.asked()[-2:]
            self.assertEqual((head.lines(b"Range"), probe.lines(b"Range")), ([], [b"bytes=0-0"]))
            self.assertEqual(
                (probe.method, probe.target, probe.lines(b"Authorization")), (b"GET", head.target, [TOKEN])
            )

    def test_probe_failed(self) -> None:
        """A size that cannot be found is left out: the client may ask by GET."""
        for outcome in (UpstreamBroken("cut"), reply(403), reply(206)):
            answer = self.pulled(MANIFEST, reply(200, MemoryBody()), outcome, method=HEAD)
            self.assertEqual((answer.status, answer.length), (200, None))

    def test_refused(self) -> None:
        """A HEAD's refusal keeps its status."""
        for status in (404, 405, 500):
            self.assertEqual(self.pulled(MANIFEST, reply(status), method=HEAD).status, status)


class BlobTests(MirrorTests):
    """Blobs."""

    def test_get(self) -> None:
        """A blob is a stream, untaken and verified."""
        answer = self.pulled(BLOB, reply(200, CONTENT))
        self.assertEqual((answer.status, answer.length, body_of(answer).fate), (200, SIZE, "untaken"))
        self.assertIsNotNone(stream_of(answer).verifier)

    def test_range(self) -> None:
        """A range goes up with its condition; a 206 passes, and a 200 is cut to a 206."""
        lines = ((b"Range", b"bytes=5-"), (b"User-Agent", b"containerd"))
        part = reply(206, CONTENT[5:], [(b"Content-Range", b"bytes 5-255/256")])
        for theirs in (part, reply(200, CONTENT)):
            answer = self.pulled(BLOB, theirs, headers=lines)
            self.assertEqual((answer.status, answer.length), (206, SIZE - 5))
            self.assertEqual(stream_of(answer).span, Span(5, SIZE, SIZE))
            self.assertEqual(values(answer, b"Content-Range"), [b"bytes 5-255/256"])
            self.assertEqual(self.rig.asked()[-1].lines(b"Range"), [b"bytes=5-"])

    def test_unsatisfiable(self) -> None:
        """Upstream's 416 keeps its Content-Range, from a CDN too."""
        for redirected in (False, True):
            theirs = reply(416, b"<Error/>", [(b"Content-Range", b"bytes */256")], redirected=redirected)
            answer = self.pulled(BLOB, theirs, headers=((b"Range", b"bytes=999-"),))
            self.assertEqual((answer.status, values(answer, b"Content-Range")), (416, [b"bytes */256"]))


class ListTests(MirrorTests):
    """Tags, referrers and the catalog."""

    def linked(self, rig: Rig, url: str, *links: bytes, upstream: str = "docker.io") -> list[bytes]:
        """The Link lines that the client gets."""
        self.rig = rig
        theirs = reply(200, b"{}", [(b"Link", link) for link in links])
        return values(self.pulled(url, theirs, upstream=upstream), b"Link")

    def test_link(self) -> None:
        """The next page is on the path by which the client came: prefix, ``ns`` and secret among it."""
        link = b'<https://registry.example/v2/library/alpine/tags/list?n=2&last=b>; rel="next"'
        query = "?n=2&last=b"
        for secret, url, path, ns in (
            (None, "/v2/alpine/tags/list", "/v2/alpine/tags/list", ""),
            (None, "/hub/v2/alpine/tags/list", "/hub/v2/alpine/tags/list", ""),
            (None, "/v2/hub/alpine/tags/list", "/v2/hub/alpine/tags/list", ""),
            (None, "/v2/alpine/tags/list?ns=docker.io", "/v2/alpine/tags/list", "&ns=docker.io"),
            ("k7x9", "/k7x9/v2/alpine/tags/list", "/k7x9/v2/alpine/tags/list", ""),
            ("k7x9", "/v2/k7x9/alpine/tags/list", "/v2/k7x9/alpine/tags/list", ""),
            (None, f"/v2/a/b/referrers/{DIGEST}", f"/v2/a/b/referrers/{DIGEST}", ""),
            (None, "/v2/_catalog", "/v2/_catalog", ""),
        ):
            found = self.linked(Rig(secret=secret), url, link)
            self.assertEqual(found, [f'<{path}{query}{ns}>; rel="next"'.encode()], url)

    def test_relative_link(self) -> None:
        """A relative link works as well, the first usable one counts, and others are left out."""
        good = b'</v2/_catalog?last=b>; rel="next"'
        self.assertEqual(self.linked(self.rig, "/v2/_catalog", b"nonsense", good, good), [good])
        self.assertEqual(self.linked(self.rig, "/v2/_catalog", b"nonsense"), [])
        self.assertEqual(self.linked(self.rig, "/v2/_catalog"), [])

    def test_get(self) -> None:
        """A list is relayed as it is."""
        answer = self.pulled("/v2/a/b/tags/list", reply(200, b"{}", [(b"OCI-Filters-Applied", b"x")]))
        self.assertEqual((answer.status, answer.length, stream_of(answer).verifier), (200, 2, None))
        self.assertEqual(values(answer, b"OCI-Filters-Applied"), [b"x"])

    def test_head(self) -> None:
        """A HEAD of a list is answered without asking for its size."""
        answer = self.pulled("/v2/a/b/tags/list", reply(200, length=9), method=HEAD)
        self.assertEqual((answer.status, answer.length, answer.content), (200, 9, b""))


class SearchTests(PullTests):
    """Docker Hub's search."""

    def test_search(self) -> None:
        """The query goes up as it is, and the answer comes back."""
        self.hub.will_answer(reply(200, b'{"results": []}', [(b"Content-Type", b"application/json")]))
        answer = self.successResultOf(self.rig.search("/v1/search?q=al%20pine&n=25"))
        self.assertEqual((answer.status, answer.content, answer.length), (200, b'{"results": []}', 15))
        self.assertEqual(values(answer, b"Content-Type"), [b"application/json"])
        self.assertEqual(self.rig.asked()[0].target, b"/v1/search?q=al%20pine&n=25")

    def test_refused(self) -> None:
        """A refusal keeps its status, and a 429 tells a short wait."""
        self.hub.will_answer(reply(429, b"{}", [(b"Retry-After", b"999")]))
        answer = self.successResultOf(self.rig.search("/v1/search?q=x"))
        self.assertEqual((answer.status, values(answer, b"Retry-After")), (429, [b"60"]))

    def test_failed(self) -> None:
        """What is too large, broken or late is 502 or 504."""
        for scripted, status in (
            (reply(200, bytes(MAX_SEARCH + 1)), 502),
            (UpstreamBroken("it has no search"), 502),
            (UpstreamTimedOut("late"), 504),
        ):
            self.hub.will_answer(scripted)
            self.assertEqual(self.refused(self.rig.search("/v1/search?q=x")).status, status)

    def test_in_time(self) -> None:
        """A search takes 10 seconds at most."""
        body = MemoryBody(end="never")
        self.hub.will_answer(reply(200, body))
        searching = self.rig.search("/v1/search?q=x")
        self.rig.clock.advance(10)
        self.assertEqual(self.refused(searching).status, 504)
        self.assertTrue(body.stopped)
