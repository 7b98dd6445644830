"""One upstream, tried from end to end as a pull would."""

import hashlib
import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from docxy.cli.findings import Finding, Mark
from docxy.cli.probe import Probe, remedy
from docxy.cli.samples import Sample, samples
from docxy.interfaces import (
    Authority,
    Reply,
    UpstreamBroken,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimedOut,
    UpstreamUnreachable,
)
from docxy.oci.names import Repository, Tag
from docxy.settings.reader import read
from docxy.settings.values import UpstreamSettings
from docxy.testing import BEARER, FakeTokenSource, FakeUpstream, MemoryBody, reply

URL = "https://registry.example"
UPSTREAM = read(
    {"upstream": [{"name": "registry.example", "url": URL, "realm": "https://auth.example/token"}]}
).upstreams[0]
SAMPLE = Sample(Repository("team/app"), Tag("v1"), True)
CONFIG = b'{"os": "linux"}'
DATE = ("Mon, 23 Nov 2026 20:00:00 GMT", 1795464000.0)
CHALLENGE = (b"WWW-Authenticate", b'Bearer realm="https://auth.example/token",service="registry.example"')
PONG = (CHALLENGE, (b"Date", DATE[0].encode()))


def digest(content: bytes) -> str:
    """The content's address."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


MANIFEST: dict[str, Any] = {
    "config": {"digest": digest(CONFIG), "size": len(CONFIG)},
    "layers": [{"digest": digest(b"layer"), "size": 5000}, {"digest": "odd", "size": 1}, "odd"],
}


def document(content: object, *headers: tuple[bytes, bytes]) -> Reply:
    """An answer with this JSON."""
    return reply(200, json.dumps(content).encode(), headers)


class ProbeTests(SynchronousTestCase):
    """What is found, for what the upstream answers."""

    def probe(
        self,
        *answers: Reply | Exception,
        pong: Reply | Exception | None = None,
        known: Authority = BEARER,
        bearer: bytes | Exception | None = b"Bearer t",
        sample: Sample | None = SAMPLE,
        ahead: float = 0,
        settings: UpstreamSettings = UPSTREAM,
    ) -> list[Finding]:
        """All findings; ``answers`` are those to the pull, ``pong`` that to the ping."""
        pinged = FakeUpstream(reply(401, headers=PONG) if pong is None else pong)
        self.upstream = FakeUpstream(*answers)
        self.tokens = FakeTokenSource(settings, known, bearers=[bearer])
        made = Probe(settings, {URL: pinged}, self.upstream, self.tokens, sample, lambda: DATE[1] + ahead)
        return self.successResultOf(Deferred.fromCoroutine(made.run()))

    def marks(self, found: list[Finding]) -> list[tuple[str, Mark]]:
        """Check and mark of each."""
        return [(one.check, one.mark) for one in found]

    def last(self, found: list[Finding], check: str, mark: Mark, text: str) -> Finding:
        """The last finding, which must be this one, and have a remedy."""
        self.assertEqual((found[-1].check, found[-1].mark), (check, mark))
        self.assertIn(text, found[-1].text)
        self.assertTrue(found[-1].remedy)
        return found[-1]

    def test_whole(self) -> None:
        """A healthy upstream has a line for each step, and the smallest blob is verified."""
        headers = ((b"RateLimit-Limit", b"100;w=21600"), (b"RateLimit-Remaining", b"76;w=21600"))
        found = self.probe(document(MANIFEST, *headers), reply(200, CONFIG, host="cdn.example"))
        checks = ["upstream", "clock", "realm", "token", "quota", "manifest", "blob"]
        self.assertEqual(self.marks(found), [(check, Mark.OK) for check in checks])
        self.assertEqual(found[4].text, "76 of 100 pulls left in 21600 s")
        self.assertEqual(found[-1].text, f"{len(CONFIG)} bytes came from cdn.example, and are right")
        targets = [asked.target.decode() for asked in self.upstream.asked]
        self.assertEqual(targets, ["/v2/team/app/manifests/v1", f"/v2/team/app/blobs/{digest(CONFIG)}"])
        self.assertEqual(
            [asked.lines(b"authorization") for asked in self.upstream.asked], [[b"Bearer t"]] * 2
        )

    def test_index(self) -> None:
        """Of an index the image for linux/amd64 is taken, else the first."""
        one, other = digest(b"arm"), digest(b"amd")
        arm = {"digest": one, "platform": {"os": "linux", "architecture": "arm64"}}
        amd = {"digest": other, "platform": {"os": "linux", "architecture": "amd64"}}
        for entries, taken in (
            ([arm, amd], other),
            ([{"digest": "odd"}, arm], one),
            ([{"digest": one, "platform": 1}], one),
        ):
            self.probe(document({"manifests": entries}), document({}))
            self.assertEqual(self.upstream.asked[1].target.decode(), f"/v2/team/app/manifests/{taken}")

    def test_no_blob(self) -> None:
        """A manifest without a small blob is tried no further."""
        huge = {"layers": [{"digest": digest(b""), "size": 1 << 40}]}
        manifests: tuple[object, ...] = ([], {"config": 1, "layers": 2}, huge)
        for manifest in manifests:
            self.assertEqual(self.probe(document(manifest))[-1].check, "manifest")

    def test_ping(self) -> None:
        """One that cannot be reached, or answers as no registry, ends the trial."""
        unreachable = self.probe(pong=UpstreamUnreachable("TLS failed: certificate verify failed"))
        self.assertIn(
            "openssl s_client", self.last(unreachable, "upstream", Mark.FAILED, "TLS failed").remedy
        )
        self.last(self.probe(pong=reply(404)), "upstream", Mark.FAILED, "status 404")

    def test_mirrors(self) -> None:
        """Each URL before the registry's own is asked too."""
        near, registry = FakeUpstream(reply(200)), FakeUpstream(UpstreamTimedOut("no header within 8 s"))
        tokens = FakeTokenSource(UPSTREAM)
        made = Probe(UPSTREAM, {"http://near": near, URL: registry}, FakeUpstream(), tokens, None, lambda: 0)
        found = self.successResultOf(Deferred.fromCoroutine(made.run()))
        self.assertEqual(self.marks(found), [("upstream", Mark.OK), ("upstream", Mark.FAILED)])
        self.assertNotIn("TLS", found[0].text)

    def test_clock(self) -> None:
        """Half a minute is told, five minutes are wrong, and the direction is named."""
        for ahead, mark, word in (
            (-29, Mark.OK, "behind"),
            (31, Mark.WARNING, "ahead"),
            (-301, Mark.FAILED, "behind"),
        ):
            (clock,) = (one for one in self.probe(sample=None, ahead=ahead) if one.check == "clock")
            self.assertEqual(clock.mark, mark)
            self.assertIn(word, clock.text)
        for date in ((), ((b"Date", b"yesterday"),)):
            self.assertNotIn(
                "clock", {one.check for one in self.probe(sample=None, pong=reply(200, headers=date))}
            )

    def test_realm(self) -> None:
        """A token server that is not known, or not the one allowed, ends the trial with its remedy."""
        known = Authority("unknown", problem="token server x is refused: another host; set realm")
        self.assertEqual(
            self.last(self.probe(known=known), "realm", Mark.FAILED, "refused").remedy, "set realm"
        )
        odd = self.last(self.probe(known=Authority("unknown", problem="odd")), "realm", Mark.FAILED, "odd")
        self.assertTrue(odd.remedy.endswith(f"curl -i {URL}/v2/"))
        foreign = (b"WWW-Authenticate", b'Bearer realm="https://evil.example/token"')
        told = self.probe(pong=reply(401, headers=[foreign]))
        self.assertIn("realm =", self.last(told, "realm", Mark.FAILED, "evil.example").remedy)

    def test_other_authorities(self) -> None:
        """A registry without tokens is pulled from without; of one that takes passwords that is told."""
        found = self.probe(document({}), known=Authority("none"), bearer=None)
        self.assertIn("needs no token", found[2].text)
        self.assertEqual(self.upstream.asked[0].lines(b"authorization"), [])
        self.assertIn("user and password", self.probe(document({}), known=Authority("basic"))[2].text)

    def test_token(self) -> None:
        """A token server that gives none ends the trial."""
        self.last(self.probe(bearer=UpstreamBroken("status 403")), "token", Mark.FAILED, "status 403")

    def test_no_sample(self) -> None:
        """Where no image is known the operator is asked for one, if it could be pulled."""
        found = self.probe(sample=None)
        self.last(found, "image", Mark.WARNING, "no image")
        self.assertEqual(found[-2].text, "the token server answers, TLS is right")
        self.assertEqual(self.tokens.wanted, [()])
        found = self.probe(sample=None, known=Authority("none"))
        self.assertEqual([one.check for one in found[-2:]], ["realm", "image"])
        self.assertEqual(self.probe(sample=None, known=Authority("basic"))[-1].check, "realm")

    def test_token_server(self) -> None:
        """Without an image the token server is met all the same; that it gives nothing then is no fault."""
        refused = UpstreamRefused("the token server answered with status 403")
        found = self.probe(sample=None, bearer=refused)
        self.assertEqual(self.marks(found[-2:]), [("token", Mark.OK), ("image", Mark.WARNING)])
        unreachable = UpstreamUnreachable("TLS failed: certificate verify failed")
        self.last(self.probe(sample=None, bearer=unreachable), "token", Mark.FAILED, "TLS failed")
        account = {"auth": "own", "username": "alice", "password_file": "/nowhere", "repositories": ["*"]}
        with_account = read({"upstream": [{"name": "registry.example", "url": URL, **account}]}).upstreams[0]
        found = self.probe(sample=None, bearer=refused, settings=with_account)
        self.assertIn("account", self.last(found, "token", Mark.WARNING, "status 403").remedy)

    def test_refusals(self) -> None:
        """An image of the table's that is gone is no fault; a named one is, and so is a spent quota."""
        (known,) = samples(read({"upstream": [{"name": "docker.io"}]}).upstreams, ()).values()
        self.last(self.probe(reply(404), sample=known), "manifest", Mark.WARNING, "status 404")
        self.last(self.probe(reply(404)), "manifest", Mark.FAILED, "status 404")
        self.last(self.probe(reply(500)), "manifest", Mark.FAILED, "status 500")
        self.assertIn("log in", self.last(self.probe(reply(429)), "manifest", Mark.FAILED, "429").remedy)

    def test_quota_spent(self) -> None:
        """No pull left is a warning; without a limit and a window only the count is told."""
        (quota,) = (
            one for one in self.probe(document({}, (b"RateLimit-Remaining", b"0"))) if one.check == "quota"
        )
        self.assertEqual((quota.mark, quota.text), (Mark.WARNING, "0 pulls left"))

    def test_broken(self) -> None:
        """Bytes that break off, are no JSON or are others than named are told, with who sent them."""
        self.last(self.probe(reply(200, b"<html>")), "manifest", Mark.FAILED, "no JSON")
        self.last(
            self.probe(reply(200, MemoryBody(b"{", end="broken"))), "manifest", Mark.FAILED, "broke off"
        )
        wrong = self.probe(document(MANIFEST), reply(200, b"other", host="cdn.example"))
        self.last(wrong, "blob", Mark.FAILED, "from cdn.example: content is")
        redirect = UpstreamBroken(
            'redirect to x is refused: no; if it is right, add it to its redirects = ["…"]'
        )
        self.assertIn(
            "add it",
            self.last(self.probe(document(MANIFEST), redirect), "blob", Mark.FAILED, "refused").remedy,
        )


class RemedyTests(SynchronousTestCase):
    """What to do about an upstream that could not be asked."""

    def test_remedies(self) -> None:
        """Each cause has its own."""
        table: list[tuple[UpstreamError, str]] = [
            (UpstreamUnreachable("TLS failed: x"), "openssl s_client -connect registry.example"),
            (UpstreamUnreachable("none of its addresses is public"), "network.allow"),
            (UpstreamUnreachable("its name has no usable address"), "getent hosts registry.example"),
            (UpstreamTimedOut("no header within 8 s"), f"curl -v {URL}/v2/"),
        ]
        for error, words in table:
            self.assertIn(words, remedy(error, URL))
