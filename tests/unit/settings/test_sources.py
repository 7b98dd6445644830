"""Flags, environment and file, merged."""

import os
import shutil
import tempfile
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from docxy.settings.reader import read
from docxy.settings.sources import VARIABLES, Places, load, working_folder
from docxy.settings.values import Settings, SettingsError


class SourcesTestCase(SynchronousTestCase):
    """A folder of its own in the place of /etc/docxy."""

    def setUp(self) -> None:
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.places = Places(self.path("docxy.toml"), self.path("chain.pem"), self.path("key.pem"))

    def path(self, name: str) -> str:
        """The full name of a file in the folder."""
        return os.path.join(self.folder, name)

    def write(self, name: str, text: str = "") -> str:
        """Make a file in the folder; its full name."""
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def write_pair(self) -> None:
        """Make the default certificate and key."""
        self.write("chain.pem")
        self.write("key.pem")

    def load(self, options: dict[str, Any] | None = None, /, **environ: str) -> Settings:
        """The settings of these flags and of variables, written without their ``DOCXY_``."""
        return load(options or {}, {f"DOCXY_{name}": text for name, text in environ.items()}, self.places)

    def check_error(self, expected: str, options: dict[str, Any] | None = None, /, **environ: str) -> None:
        """The start is refused with the error of this text; ``DIR`` stands for the folder."""
        error = self.assertRaises(SettingsError, self.load, options, **environ)
        self.assertEqual(str(error).replace(self.folder, "DIR"), expected)


class OrderTests(SourcesTestCase):
    """Flag beats environment beats file beats default."""

    def test_nothing(self) -> None:
        """Without anything the defaults hold."""
        self.assertEqual(self.load(), read({}))

    def test_order(self) -> None:
        """Each source in turn is beaten by the next."""
        self.assertEqual(self.load().log.level, "info")
        self.write("docxy.toml", '[log]\nlevel = "error"\nformat = "json"\n')
        self.assertEqual(self.load().log.level, "error")
        self.assertEqual(self.load(LOG_LEVEL="warn").log.level, "warn")
        found = self.load({"log-level": "debug"}, LOG_LEVEL="warn").log
        self.assertEqual((found.level, found.format), ("debug", "json"))

    def test_lists_are_not_added_up(self) -> None:
        """A list that beats another takes its place."""
        self.write("docxy.toml", '[server]\nlisten = ["tcp:1", "tcp:2"]\n')
        self.assertEqual(self.load().server.listen, ("tcp:1", "tcp:2"))
        self.assertEqual(self.load(LISTEN=" tcp:3  tcp:4 ").server.listen, ("tcp:3", "tcp:4"))
        self.assertEqual(self.load({"listen": ["tcp:5"]}, LISTEN="tcp:3").server.listen, ("tcp:5",))

    def test_empty_is_not_set(self) -> None:
        """Empty variables, absent flags and empty lists of flags say nothing."""
        options: dict[str, Any] = {"config": None, "listen": [], "upstream": []}
        self.assertEqual(
            self.load(options, **{name.removeprefix("DOCXY_"): " " for name in VARIABLES}), read({})
        )

    def test_every_way(self) -> None:
        """Each flag reaches its setting."""
        self.write_pair()
        found = self.load(
            {
                "cert": self.path("chain.pem"),
                "key": self.path("key.pem"),
                "listen": ["ssl:8443"],
                "redirect": ["tcp:8080"],
                "public-url": ["https://a.example", "https://b.example"],
                "behind-proxy": ["10.0.0.0/8"],
                "log-format": "json",
                "log-level": "warn",
            }
        )
        expected = {
            "tls": {"cert": self.path("chain.pem"), "key": self.path("key.pem")},
            "server": {
                "listen": ["ssl:8443"],
                "redirect": ["tcp:8080"],
                "public_url": ["https://a.example", "https://b.example"],
                "trusted_proxies": ["10.0.0.0/8"],
            },
            "log": {"format": "json", "level": "warn"},
        }
        self.assertEqual(found, read(expected))

    def test_words(self) -> None:
        """No redirect is `none`; who is a proxy may be true or false."""
        self.write_pair()
        self.assertEqual(self.load().server.redirect, ("tcp:80",))
        self.assertEqual(self.load(REDIRECT="none").server.redirect, ())
        self.assertEqual(len(self.load(BEHIND_PROXY="true").server.trusted_proxies), 2)
        self.assertEqual(
            self.load({"behind-proxy": ["false"]}, BEHIND_PROXY="true").server.trusted_proxies, ()
        )
        expected = "--behind-proxy: 'true' is not a network; write an address or a network like 10.0.0.0/8"
        self.check_error(expected, {"behind-proxy": ["true", "10.0.0.0/8"]})

    def test_older_variables(self) -> None:
        """They beat the file and are beaten by flags."""
        self.write_pair()
        self.write("docxy.toml", '[server]\nlisten = "ssl:9443"\nredirect = []\n')
        self.assertEqual(self.load(HTTPS_PORT="8443").server.listen, ("ssl:8443",))
        self.assertEqual(self.load(HTTP_PORT="8080").server.redirect, ("tcp:8080",))
        found = self.load({"listen": ["ssl:443"]}, HTTPS_PORT="8443", HTTP_PORT="8080").server
        self.assertEqual((found.listen, found.redirect), (("ssl:443",), ()))
        found = self.load({"redirect": ["tcp:81"]}, HTTPS_PORT="8443", HTTP_PORT="8080").server
        self.assertEqual((found.listen, found.redirect), (("ssl:8443",), ("tcp:81",)))


class FileTests(SourcesTestCase):
    """The settings file, and the files that settings name."""

    def test_given(self) -> None:
        """A file that is given is read in the place of the default, the flag's before the variable's."""
        self.write("docxy.toml", '[log]\nlevel = "error"\n')
        one, two = self.write("1.toml", '[log]\nlevel = "warn"\n'), self.write("2.toml", "")
        self.assertEqual(self.load(CONFIG=one).log.level, "warn")
        self.assertEqual(self.load({"config": two}, CONFIG=one).log.level, "info")

    def test_missing(self) -> None:
        """A file that is given must be there."""
        end = "cannot be read (No such file or directory); name a TOML file that docxy may read"
        self.check_error(f"--config: DIR/none.toml {end}", {"config": self.path("none.toml")})
        self.check_error(f"DOCXY_CONFIG: DIR/none.toml {end}", CONFIG=self.path("none.toml"))

    def test_unreadable(self) -> None:
        """A folder is no file, neither as default."""
        os.mkdir(self.path("docxy.toml"))
        end = "cannot be read (Is a directory); name a TOML file that docxy may read"
        self.check_error(f"config: DIR/docxy.toml {end}")

    def test_not_toml(self) -> None:
        """A slip of the pen is shown with its line."""
        self.write("docxy.toml", "[server]\nlisten tcp:5000\n")
        error = self.assertRaises(SettingsError, self.load)
        self.assertRegex(error.problem, r"\A/.*/docxy\.toml: line 2, column 8: .+\Z")

    def test_hostile_files(self) -> None:
        """Bytes, depth and numbers that no TOML reader takes are refused like any other."""
        for text in (b"\xff", b"a = " + b"[" * 100_000, b"a = " + b"9" * 5000):
            with open(self.path("docxy.toml"), "wb") as file:
                file.write(text)
            self.assertEqual(self.assertRaises(SettingsError, self.load).key, "config")

    def test_key_of_the_file(self) -> None:
        """What the file has wrong is named with the file, what is not from it without."""
        self.write("docxy.toml", '[server]\nlisten = 3\n[[upstream]]\nname = "docker.io"\nstall = 0\n')
        end = 'is not a list of strings; write ["one", "another"]'
        self.check_error(f"server.listen in DIR/docxy.toml: {end}")
        expected = "upstream[docker.io].stall in DIR/docxy.toml: is out of bounds; write 1 to 86400 seconds"
        self.check_error(expected, {"listen": ["tcp:1"]})
        self.write("docxy.toml", '[log]\nformat = "json"\n')
        expected = "--log-level: is 'x'; write debug or info or warn or error"
        self.check_error(expected, {"log-level": "x"})

    def test_broken_tables(self) -> None:
        """A file whose tables are none is refused by the reader, whatever flags say."""
        for text in ("server = 3\ntls = 4\nupstream = 5\n", "upstream = [3]\n"):
            self.write("docxy.toml", text)
            error = self.assertRaises(SettingsError, self.load, {"listen": ["tcp:1"]})
            self.assertIn("docxy.toml", error.key)

    def test_relative_names(self) -> None:
        """Names in the file are relative to the file, others to the working directory."""
        self.write_pair()
        self.write("ca.pem")
        self.write(
            "docxy.toml",
            '[tls]\ncert = "chain.pem"\nkey = "key.pem"\n[[upstream]]\nname = "ghcr.io"\nca = "ca.pem"\n',
        )
        found = self.load({"config": os.path.relpath(self.path("docxy.toml"))})
        self.assertEqual(
            (found.tls.cert, found.upstreams[0].ca), (self.path("chain.pem"), self.path("ca.pem"))
        )
        found = self.load(CERT_PATH=os.path.relpath(self.path("chain.pem")))
        self.assertEqual(found.tls.cert, self.path("chain.pem"))

    def test_named_files(self) -> None:
        """Each file that is named can be read at start."""
        end = "DIR/x cannot be read (No such file or directory); name a file that docxy may read"
        self.write_pair()
        pair = {"cert": self.path("chain.pem"), "key": self.path("x")}
        self.check_error(f"--key: {end}", pair)
        self.write("docxy.toml", '[[upstream]]\nname = "ghcr.io"\nca = "x"\n')
        self.check_error(f"upstream[ghcr.io].ca in DIR/docxy.toml: {end}")
        account = 'auth = "own"\nusername = "u"\npassword_file = "x"\nrepositories = "*"\n'
        self.write("docxy.toml", f'[[upstream]]\nname = "ghcr.io"\n{account}')
        end = end.replace("DIR/x", "the password file")
        self.check_error(f"upstream[ghcr.io].password_file in DIR/docxy.toml: {end}")

    def test_named_pipe(self) -> None:
        """A pipe that nobody writes to does not hold the start up."""
        os.mkfifo(self.path("chain.pem"))
        self.write("key.pem")
        found = self.load({"cert": self.path("chain.pem"), "key": self.path("key.pem")})
        self.assertEqual(found.tls.cert, self.path("chain.pem"))

    def test_empty_name(self) -> None:
        """A flag for a file needs one."""
        expected = "--cert: is empty or has control characters; write it out, or remove the key"
        self.check_error(expected, {"cert": ""})


class CertificateTests(SourcesTestCase):
    """The certificate in its default place."""

    def test_pair(self) -> None:
        """Both files together turn TLS on."""
        self.write_pair()
        found = self.load()
        self.assertEqual((found.tls.cert, found.server.listen), (self.places.cert, ("ssl:443",)))
        self.assertEqual(self.load(LISTEN="ssl:8443").tls.cert, self.places.cert)

    def test_not_needed(self) -> None:
        """Where no listener takes it, it is left alone, and nothing is warned of."""
        self.write_pair()
        self.write("docxy.toml", '[server]\nlisten = "tcp:5000:127.0.0.1"\n')
        self.assertEqual(self.load(), self.load(LISTEN="tcp:5000:127.0.0.1"))
        self.assertEqual((self.load().tls.cert, self.load().warnings), (None, ()))

    def test_half(self) -> None:
        """One of the two alone is not used, and that is said."""
        self.write("key.pem")
        found = self.load()
        self.assertEqual(found.server.listen, ("tcp:5000:interface=127.0.0.1",))
        self.assertIn("only one is there", found.warnings[0])

    def test_missing(self) -> None:
        """TLS without a certificate is refused under the name by which TLS was asked for."""
        end = "needs a certificate; set tls.cert and tls.key (--cert, --key) or --acme, or listen on tcp:"
        self.check_error(f"--listen: ssl:8443 {end}", {"listen": ["ssl:8443"]})
        self.check_error(f"DOCXY_HTTPS_ENABLED: ssl:443 {end}", HTTPS_ENABLED="yes")


class UpstreamTests(SourcesTestCase):
    """The list of upstreams by flag and variable."""

    def names(self, settings: Settings) -> list[tuple[str, str]]:
        """Names and URLs, in their order."""
        return [(one.name, one.urls[0]) for one in settings.upstreams]

    def test_words(self) -> None:
        """Each word is a name, or a name and its URL."""
        expected = [("a", "https://a.example"), ("ghcr.io", "https://ghcr.io")]
        self.assertEqual(self.names(self.load({"upstream": ["a=https://a.example", "ghcr.io"]})), expected)
        self.assertEqual(self.names(self.load(UPSTREAM="a=https://a.example ghcr.io")), expected)

    def test_entries_of_the_file(self) -> None:
        """Words decide list and order; an entry of the file keeps what it says, but for a URL given here."""
        self.write(
            "docxy.toml",
            '[[upstream]]\nname = "a"\nurl = "https://a.example"\nstall = 3\n'
            '[[upstream]]\nname = "docker.io"\nverify = false\n[[upstream]]\nname = "quay.io"\n',
        )
        found = self.load(UPSTREAM="registry-1.docker.io a=https://b.example")
        self.assertEqual(
            self.names(found), [("docker.io", "https://registry-1.docker.io"), ("a", "https://b.example")]
        )
        self.assertEqual((found.upstreams[0].verify, found.upstreams[1].stall), (False, 3.0))

    def test_errors(self) -> None:
        """A wrong word is named by its flag, a wrong entry by its file."""
        self.write("docxy.toml", '[[upstream]]\nname = "a"\nstall = 0\n')
        end = "is not a URL; write one like https://registry.example.com"
        self.check_error(f"--upstream: {end}", {"upstream": ["a="]})
        self.check_error(f"DOCXY_UPSTREAM: {end}", UPSTREAM="b=")
        self.check_error("--upstream: 'B' is not lower-case; write 'b'", {"upstream": ["B=https://x"]})
        expected = "upstream[a].stall in DIR/docxy.toml: is out of bounds; write 1 to 86400 seconds"
        self.check_error(expected, {"upstream": ["a=https://x"]})
        expected = "--upstream: is there twice; remove one of the two"
        self.check_error(expected, {"upstream": ["ghcr.io", "ghcr.io"]})


class FolderTests(SourcesTestCase):
    """A folder that is gone while a process is in it."""

    def test_gone(self) -> None:
        """Whole paths, or none, do without; a path within it is refused under its flag or variable."""
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(gone := tempfile.mkdtemp())
        os.rmdir(gone)
        self.assertEqual((working_folder(), self.load()), ("", read({})))
        written = self.write("own.toml", '[log]\nlevel = "error"\n')
        self.assertEqual(self.load({"config": written}).log.level, "error")
        end = "is in no folder: docxy's own is gone; write the whole path, or start docxy elsewhere"
        self.check_error(f"--config: a.toml {end}", {"config": "a.toml"})
        self.check_error(f"DOCXY_CERT_PATH: a.pem {end}", CERT_PATH="a.pem")


class RefusedTests(SourcesTestCase):
    """What is not there, and what is only mentioned."""

    def test_later(self) -> None:
        """Parts that do not exist yet are refused under the name that was given."""
        end = "is of a part that this version lacks; remove it"
        self.check_error(f"--cache: {end}", {"cache": "/var/cache"})
        self.check_error(f"DOCXY_CACHE_SIZE: {end}", CACHE_SIZE="1G")
        self.write("docxy.toml", "[cache]\nx = 1\n")
        self.check_error(f"cache in DIR/docxy.toml: {end}")

    def test_proxies(self) -> None:
        """An outgoing proxy is not used, and that is said once."""
        environ = {
            "HTTPS_PROXY": "http://u:hunter2@proxy",
            "all_proxy": "x",
            "HTTP_PROXY": "",
            "NO_PROXY": "y",
        }
        expected = "HTTPS_PROXY, all_proxy: is not supported, upstreams are met directly"
        self.assertEqual(load({}, environ, self.places).warnings, (expected,))

    def test_misspelt_variables(self) -> None:
        """A variable that is nearly one of ours is mentioned; what others put there is not."""
        environ = {"DOCXY_LISTENN": "x", "DOCXY_PORT_443_TCP": "x", "DOXCY_LISTEN": "x", "HOME": "/"}
        expected = "DOCXY_LISTENN: is unknown and has no effect; DOCXY_LISTEN is known"
        self.assertEqual(load({}, environ, self.places).warnings, (expected,))
        later = {"DOCXY_CACH": "x"}
        self.assertEqual(load({}, later, self.places).warnings, ())

    def test_default_places(self) -> None:
        """Without other places /etc/docxy is looked at."""
        self.assertEqual(Places().config, "/etc/docxy/docxy.toml")
        self.assertIsInstance(load({"listen": ["tcp:1"], "config": self.write("c.toml")}, {}), Settings)
