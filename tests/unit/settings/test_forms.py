"""The written forms of single settings."""

from collections.abc import Callable
from ipaddress import ip_network

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.settings import forms
from docxy.settings.forms import Malformed, Url

Parser = Callable[[str], object]

PARSERS: tuple[Parser, ...] = (
    forms.url,
    forms.base_url,
    forms.host_name,
    forms.host_pattern,
    forms.network,
    forms.source_address,
    forms.component,
    forms.secret,
    forms.upstream_name,
    forms.repository_glob,
    forms.service,
    forms.endpoint,
    forms.port,
    forms.plain,
    forms.size,
)
HOSTILE = (
    "a-" * 50_000 + "!",
    "a." * 50_000 + "!",
    "0" * 100_000,
    "https://" + "a-" * 50_000,
    "*." * 50_000,
    "ssl:" + "\\:" * 50_000 + "\n",
)


class FormsTestCase(SynchronousTestCase):
    """Tables of right and wrong texts."""

    def check_right(self, parse: Parser, table: dict[str, object]) -> None:
        """``parse`` makes each value of its text."""
        self.assertEqual({text: parse(text) for text in table}, table)

    def check_wrong(self, parse: Parser, texts: list[str]) -> None:
        """``parse`` refuses each text in one printable line with a remedy."""
        for text in texts:
            fault = self.assertRaises(Malformed, parse, text)
            self.assertTrue((fault.problem + fault.remedy).isprintable(), repr(text))
            self.assertTrue(fault.problem and fault.remedy, repr(text))


class UrlTests(FormsTestCase):
    """URLs and their parts."""

    def test_right(self) -> None:
        """Scheme and host are lower-cased, the scheme's own port is left out, the rest is kept."""
        self.check_right(
            forms.url,
            {
                "https://auth.docker.io/token": Url("https", "auth.docker.io", None, "/token"),
                "HTTPS://Example.COM:443/A?b=%2F": Url("https", "example.com", None, "/A?b=%2F"),
                "http://127.0.0.1:5000": Url("http", "127.0.0.1", 5000, ""),
                "http://[::1]:80/": Url("http", "::1", None, "/"),
                "https://my_registry?": Url("https", "my_registry", None, "?"),
            },
        )

    def test_base(self) -> None:
        """A base is written with brackets round IPv6 and with its port where it has one."""
        table = {
            "https://Example.com/": "https://example.com",
            "http://[::1]:5000": "http://[::1]:5000",
            "https://example.com:8443": "https://example.com:8443",
        }
        self.assertEqual({text: forms.base_url(text).base for text in table}, table)

    def test_wrong(self) -> None:
        """No scheme, another scheme, user names, fragments, bad hosts and bad ports are refused."""
        self.check_wrong(
            forms.url,
            [
                "",
                "registry.example.com",
                "localhost:5000",
                "ftp://example.com",
                "https://",
                "https:///token",
                "https://user@example.com",
                "https://example.com/#top",
                "https://exa mple.com",
                "https://example.com\\@evil",
                "https://example.com\n",
                "https://bücher.example",
                "https://[::1",
                "https://[fe80::1%25eth0]/",
                "https://example.com.",
                "https://127.1/",
                "https://example.com:0",
                "https://example.com:",
                "https://example.com:99999",
                "https://example.com:5x",
                "https://a.example/" + "a" * 3000,
            ],
        )

    def test_base_has_no_path(self) -> None:
        """A registry is a host, and the remedy is that host's URL."""
        fault = self.assertRaises(Malformed, forms.base_url, "https://example.com/v2/?x")
        self.assertEqual(fault.remedy, "write https://example.com")
        self.check_wrong(forms.base_url, ["https://example.com/v2", "https://example.com?x", "nothing"])

    def test_missing_scheme_has_its_remedy(self) -> None:
        """Who forgot the scheme is shown the whole URL."""
        fault = self.assertRaises(Malformed, forms.url, "registry.example.com:5000")
        self.assertEqual(fault.remedy, "write https://registry.example.com:5000")

    def test_password_is_not_repeated(self) -> None:
        """A URL with a password never gets into a message."""
        for text in ("https://user:hunter2@example.com", "user:hunter2@example.com", "https://x\\hunter2@y"):
            fault = self.assertRaises(Malformed, forms.url, text)
            self.assertNotIn("hunter2", fault.problem + fault.remedy)

    def test_no_account_is_repeated(self) -> None:
        """Whatever stands before an @ never gets into a message, whichever setting it was given for."""
        for parse in PARSERS:
            for text in ("https://user:hunter2@example.com", "hunter2@example.com:5000", "a.b:hunter2@x@y"):
                try:
                    parse(text)
                except Malformed as told:
                    self.assertNotIn("hunter2", told.problem + told.remedy)
        for parse in (forms.upstream_name, forms.host_name, forms.host_pattern, forms.url):
            fault = self.assertRaises(Malformed, parse, "user:hunter2@example.com")
            self.assertEqual((fault.problem, fault.remedy), forms.WITH_USER)

    @given(
        st.sampled_from(["http", "https"]),
        st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?(\.[a-z]{2,5}){0,2}", fullmatch=True),
        st.integers(1, 65535),
    )
    @settings(derandomize=True, max_examples=50)
    def test_round_trip(self, scheme: str, host: str, port: int) -> None:
        """A base URL is read as it was written."""
        read = forms.base_url(f"{scheme}://{host}:{port}")
        self.assertEqual(forms.base_url(read.base), read)


class HostTests(FormsTestCase):
    """Host names, addresses and patterns."""

    def test_right(self) -> None:
        """Names are lower-cased, addresses take their usual form."""
        self.check_right(
            forms.host_name,
            {
                "Mirror.Example.com": "mirror.example.com",
                "localhost": "localhost",
                "10.0.0.7": "10.0.0.7",
                "[2001:DB8::1]": "2001:db8::1",
                "2001:db8:0::1": "2001:db8::1",
                "xn--bcher-kva.example": "xn--bcher-kva.example",
            },
        )

    def test_wrong(self) -> None:
        """Ports, dots at the end, long labels and half addresses are refused."""
        wrong = [
            "",
            ".",
            "a..b",
            "a.",
            "-a.b",
            "a-.b",
            "a:80",
            "a/b",
            "a b",
            "127.1",
            "0x7f000001",
            "1.2.3.4.5",
        ]
        self.check_wrong(forms.host_name, [*wrong, "a" * 64, ".".join(["abc"] * 80), "[a]", "fe80::1%eth0"])

    def test_patterns(self) -> None:
        """A pattern is a host, or a suffix that is nobody's top-level domain."""
        self.check_right(
            forms.host_pattern,
            {"*.Docker.com": "*.docker.com", "cdn.quay.io": "cdn.quay.io", "10.0.0.7": "10.0.0.7"},
        )
        self.check_wrong(forms.host_pattern, ["*", "*.com", "*.10.0.0.7", "a.*.b", "*a.b", "*.*.a.b", "**"])


class NetworkTests(FormsTestCase):
    """Networks and addresses."""

    def test_networks(self) -> None:
        """An address alone is the network of that address."""
        self.check_right(
            forms.network,
            {
                "10.0.0.0/8": ip_network("10.0.0.0/8"),
                "192.0.2.7": ip_network("192.0.2.7/32"),
                "2001:db8::/32": ip_network("2001:db8::/32"),
            },
        )
        self.check_wrong(forms.network, ["", "true", "10.0.0.0/33", "10.0.0.1-10.0.0.9", "example.com"])

    def test_bits_outside_the_mask(self) -> None:
        """A slip in a network is refused with the network that was meant."""
        fault = self.assertRaises(Malformed, forms.network, "10.1.2.3/8")
        self.assertEqual(fault.remedy, "write 10.0.0.0/8")

    def test_loopback(self) -> None:
        """This machine alone is loopback; names are not looked up."""
        texts = ("127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::", "", "localhost", "192.0.2.7")
        self.assertEqual([one for one in texts if forms.is_loopback(one)], ["127.0.0.1", "127.9.9.9", "::1"])

    def test_source(self) -> None:
        """Connections leave from one real address."""
        self.check_right(forms.source_address, {"192.0.2.7": "192.0.2.7", "2001:DB8::1": "2001:db8::1"})
        self.check_wrong(
            forms.source_address, ["eth0", "0.0.0.0", "::", "224.0.0.1", "fe80::1%eth0", "10.0.0.0/8"]
        )


class WordTests(FormsTestCase):
    """Path components, names and other words."""

    def test_components(self) -> None:
        """A component is what the distribution spec allows, and none of docxy's own paths."""
        self.check_right(forms.component, {text: text for text in ("hub", "my-hub", "a.b_c-d", "0")})
        wrong = ["", "Hub", "a/b", "-a", "a-", "a--b", "a b", "ü", "a" * 129, "v1", "v2", "auth", "health"]
        self.check_wrong(forms.component, [*wrong, "generate_204"])

    def test_secrets(self) -> None:
        """A secret is a component of some length."""
        self.check_right(forms.secret, {"k7x-abcd": "k7x-abcd", "a" * 128: "a" * 128})
        self.check_wrong(
            forms.secret, ["", "short", "a" * 129, "K7X-ABCD", "k7x/abcd", "generate_204", "-k7xabcd"]
        )

    def test_secret_is_not_repeated(self) -> None:
        """A mistyped secret never gets into a message."""
        fault = self.assertRaises(Malformed, forms.secret, "Hunter2-Hunter2")
        self.assertNotIn("unter2", fault.problem + fault.remedy)

    def test_upstream_names(self) -> None:
        """An upstream is called by a host, a host with port, or a word."""
        right = ("docker.io", "localhost:5000", "10.0.0.7:5000", "hub", "my_registry:80")
        self.check_right(forms.upstream_name, {text: text for text in right})
        wrong = [
            "",
            "Docker.io",
            "v2",
            "a:",
            "a:0",
            "a:65536",
            "a:b",
            ":5000",
            "a.b.",
            "a/b",
            "https://a.b",
            "a.b/c",
        ]
        self.check_wrong(forms.upstream_name, [*wrong, "[::1]:5000", "a:1:2", "010.0.0.1"])

    def test_globs(self) -> None:
        """Patterns of repositories hold what repository names and globs hold."""
        self.check_right(
            forms.repository_glob, {text: text for text in ("*", "library/*", "a/[b-d]?", "a-b_c.d")}
        )
        self.check_wrong(forms.repository_glob, ["", "Library/*", "a b", "a:b", "a" * 256, "a\n"])

    def test_services(self) -> None:
        """A service is whatever stands in a challenge without need of escapes."""
        right = ("registry.docker.io", "registry.aliyuncs.com:cn-hangzhou:26842", "A b")
        self.check_right(forms.service, {text: text for text in right})
        self.check_wrong(forms.service, ["", 'a"b', "a\\b", "a\r\nb", "ü", "a" * 257])

    def test_endpoints(self) -> None:
        """An endpoint has a type, a colon and more."""
        right = ("ssl:443", "tcp:5000:interface=127.0.0.1", "unix:/run/a b", "systemd:domain=INET:index=0")
        self.check_right(forms.endpoint, {text: text for text in right})
        self.check_wrong(
            forms.endpoint, ["", "443", ":443", "tcp:", "tcp", "TCP:1", "tcp:5000\n", "tcp:50\x0000"]
        )

    def test_ports(self) -> None:
        """A port is a number from 1 to 65535."""
        self.check_right(forms.port, {"1": 1, "443": 443, "65535": 65535})
        self.check_wrong(forms.port, ["", "0", "65536", "-1", "٣", "4 4", "tcp://10.0.0.1:80", "9" * 5000])

    def test_plain(self) -> None:
        """Anything that can be read, but not nothing."""
        self.check_right(forms.plain, {"/etc/ssl/ä b.pem": "/etc/ssl/ä b.pem"})
        self.check_wrong(forms.plain, ["", "  ", "a\0b", "a\nb"])


class HostileTests(SynchronousTestCase):
    """Whatever is given, a parser answers or says `Malformed`, and soon."""

    @given(st.sampled_from(PARSERS), st.text(max_size=40))
    @settings(derandomize=True, max_examples=300)
    def test_any_text(self, parse: Parser, text: str) -> None:
        """No other exception escapes, and no message has more than one line."""
        try:
            parse(text)
        except Malformed as fault:
            self.assertTrue((fault.problem + fault.remedy).isprintable())

    @given(
        st.sampled_from(PARSERS),
        st.text("abz019.:/[]@%*-_#?\\", max_size=30),
        st.sampled_from(["", "https://"]),
    )
    @settings(derandomize=True, max_examples=300)
    def test_nearly_right(self, parse: Parser, text: str, before: str) -> None:
        """The same for texts of the letters that matter."""
        try:
            parse(before + text)
        except Malformed as fault:
            self.assertTrue((fault.problem + fault.remedy).isprintable())

    def test_long(self) -> None:
        """Long texts meet no pattern that takes more than linear time, and make short messages."""
        for parse in PARSERS:
            for text in HOSTILE:
                try:
                    parse(text)
                except Malformed as fault:
                    self.assertLess(len(fault.problem + fault.remedy), 500)

    def test_shown(self) -> None:
        """What is shown is quoted, on one line, and cut."""
        self.assertEqual(forms.shown("a\nb"), r"'a\nb'")
        self.assertEqual(forms.shown("a" * 200), "'" + "a" * 75 + "...'")
        self.assertEqual(forms.shown("u:p@w@host"), "'***@host'")
        self.assertEqual(forms.shown(5), "5")
