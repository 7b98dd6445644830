"""
Tests for `docxy.oci.links`.
"""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.oci.links import rewrite

quick = settings(derandomize=True, max_examples=200, deadline=None)

PATH = "/hub/v2/library/alpine/tags/list"

LINKS = [
    ('</v2/a/tags/list?n=100&last=v1>; rel="next"', None, "n=100&last=v1"),
    ('<https://evil.example/v2/a/tags/list?last=v1>; rel="next"', None, "last=v1"),
    ('<//evil.example/?last=v1>; rel="next"', None, "last=v1"),
    ('<?last=v1>;rel="next"', None, "last=v1"),
    ('</x?last=a%2Fb+c&y=%3D?>; rel="next"', None, "last=a%2Fb+c&y=%3D?"),
    ("</x?last=1#frag>; rel=next", None, "last=1"),
    ('</x?last=1>; title="a, b; c"; REL = "prev NEXT"', None, "last=1"),
    ('</x?last=0>; rel="prev", </x?last=1>; rel="next"', None, "last=1"),
    ('</x?last=1>; crossorigin; rel="next";', None, None),
    ('</x?last=1>; crossorigin; rel="next"', None, "last=1"),
    ('</x?last=1>; rel="next"', "docker.io", "last=1&ns=docker.io"),
    ('</x?last=1>; rel="next"', "localhost:5000", "last=1&ns=localhost%3A5000"),
    ('</x?ns=evil&last=1&&n%73=b>; rel="next"', "ghcr.io", "last=1&ns=ghcr.io"),
    ('</x?ns=evil&last=1>; rel="next"', None, "last=1"),
    ('\t </x?last=1>\t;\trel="next" , ', None, "last=1"),
]
NO_LINKS = [
    "",
    "x",
    "</x?last=1>",
    '</x?last=1>; rel="prev"',
    '</x?last=1>; rel="nextish"',
    '</x?last=1>; rel="prev"; rel="next"',
    "</x?last=1>; rel",
    '</x?last=1>; rel="next',
    '</x?last=1>; rel="ne\\xt"',
    "</x?last=1>; rel=next>",
    '</x?last=1> rel="next"',
    '</x?last=1; rel="next"',
    '/x?last=1; rel="next"',
    '</x?last= 1>; rel="next"',
    '</x?last="1>; rel="next"',
    '</x?last=\\1>; rel="next"',
    '</x?last=1\r\nSet-Cookie: a=b>; rel="next"',
    '</x?last=\x00>; rel="next"',
    '</x?last=é>; rel="next"',
    '</x>; rel="next"',
    '</x?>; rel="next"',
    '</x?ns=a>; rel="next"',
    '</x#?last=1>; rel="next"',
    "</x?last=" + "a" * 8192 + '>; rel="next"',
]
HOSTILE = ["<>" * 4000, "<>;a" * 2000, "<>" + ";a" * 4000, "<" * 8192, "<>;" + " " * 8000, "<>," * 2700]


class RewriteTests(SynchronousTestCase):
    def test_rewritten(self) -> None:
        """Only the query of upstream's link survives, on the client's path, with the client's ns."""
        for value, ns, query in LINKS:
            expected = None if query is None else f'<{PATH}?{query}>; rel="next"'
            self.assertEqual(rewrite(value, client_path=PATH, ns=ns), expected, value)

    def test_nothing(self) -> None:
        """A value that is malformed, dangerous or leads to no next page gives no link."""
        for value in [*NO_LINKS, *HOSTILE]:
            self.assertIsNone(rewrite(value, client_path=PATH, ns="docker.io"), value[:60])

    def test_again(self) -> None:
        """A link of ours is read as it was."""
        for value, ns, query in LINKS:
            once = rewrite(value, client_path=PATH, ns=ns)
            if query is not None and once is not None:
                self.assertEqual(rewrite(once, client_path=PATH, ns=ns), once)

    @quick
    @given(
        st.text(max_size=30)
        | st.text('<>;, "=\\?&#ns\t', max_size=40)
        | st.text(max_size=20).map('</x?{}>; rel="next"'.format)
    )
    def test_any_value(self, value: str) -> None:
        """Any value gives no link, or one that keeps to its form."""
        link = rewrite(value, client_path=PATH, ns="a:1")
        if link is not None:
            self.assertTrue(
                re.fullmatch(re.escape(f"<{PATH}?") + r'[!#-~]+&ns=a%3A1>; rel="next"', link), link
            )
