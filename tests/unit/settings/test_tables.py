"""Tables of settings: closed lists of keys, and values of the right type."""

from collections.abc import Callable
from dataclasses import fields

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.settings import forms
from docxy.settings.tables import KEYS, LATER, Table
from docxy.settings.values import LimitSettings, SettingsError


def table(**values: object) -> Table:
    """An upstream's table of these values: it has keys of every type."""
    return Table("upstream", "upstream[a]", values)


class TableTestCase(SynchronousTestCase):
    """Errors as the operator sees them."""

    def check_error(self, expected: str, function: Callable[..., object], *args: object) -> None:
        """Calling ``function`` raises the error of this text."""
        self.assertEqual(str(self.assertRaises(SettingsError, function, *args)), expected)


class KeysTests(TableTestCase):
    """Which keys there are."""

    def test_limits(self) -> None:
        """Every limit has its key, and there is no other."""
        self.assertEqual(KEYS["limits"], tuple(one.name for one in fields(LimitSettings)))

    def test_unknown_with_a_neighbour(self) -> None:
        """A slip is refused with the key that was meant."""
        self.check_error("server.lisen: is unknown; write listen", Table, "server", "server", {"lisen": 1})
        self.check_error("upstreams: is unknown; write upstream", Table, "", "", {"upstreams": []})

    def test_unknown_without_neighbours(self) -> None:
        """Where nothing is near, the known keys are listed; strange keys are quoted."""
        self.check_error("tls.zz: is unknown; known here: cert, key, bulk", Table, "tls", "tls", {"zz": 1})
        self.check_error(
            "tls.'z\\n': is unknown; known here: cert, key, bulk", Table, "tls", "tls", {"z\n": 1}
        )

    def test_later(self) -> None:
        """Keys of parts that do not exist yet say so."""
        for kind, keys in LATER.items():
            for key in keys:
                expected = f"{key}: is of a part that this version lacks; remove it"
                self.check_error(expected, Table, kind, "", {key: 1})

    def test_not_a_table(self) -> None:
        """A value where a table belongs is refused."""
        expected = "server: is not a table; write its keys below a line in [brackets]"
        self.check_error(expected, Table("", "", {"server": 3}).table, "server")

    def test_absent_tables(self) -> None:
        """What is absent is empty."""
        root = Table("", "", {})
        self.assertEqual(root.table("server").path, "server")
        self.assertEqual(root.tables("upstream"), [])
        self.assertNotIn("listen", root.table("server"))
        self.assertIn("url", table(url="x"))

    def test_array(self) -> None:
        """An array of tables is a list."""
        self.assertEqual(Table("", "", {"upstream": [{"a": 1}]}).tables("upstream"), [{"a": 1}])
        expected = "upstream: is not an array of tables; write [[upstream]]"
        self.check_error(expected, Table("", "", {"upstream": {"name": "a"}}).tables, "upstream")


class ValueTests(TableTestCase):
    """One value out of one key."""

    def test_absent(self) -> None:
        """Without the key there is nothing, or the default."""
        empty = table()
        self.assertIsNone(empty.get("url"))
        self.assertIsNone(empty.value("url", forms.plain))
        self.assertIsNone(empty.values("url", forms.plain))
        self.assertIsNone(empty.some("url", forms.plain))
        self.assertIsNone(empty.word("auth", "own"))
        self.assertTrue(empty.flag("verify", True))
        self.assertEqual(empty.seconds("stall", 15.0), 15.0)
        self.assertEqual(empty.count("stall", 15), 15)

    def test_value(self) -> None:
        """A string is parsed, and the parser's complaint gets the key."""
        self.assertEqual(table(realm="80").value("realm", forms.port), 80)
        expected = "upstream[a].realm: 'x' is not a port; write a number from 1 to 65535"
        self.check_error(expected, table(realm="x").value, "realm", forms.port)
        expected = "upstream[a].realm: is a number, not a string; put it in quotes"
        self.check_error(expected, table(realm=80).value, "realm", forms.port)

    def test_values(self) -> None:
        """A list is parsed one by one, a string is a list of one, and what is there twice counts once."""
        self.assertEqual(table(url=["2", "1", "2"]).values("url", forms.port), (2, 1))
        self.assertEqual(table(url="1").values("url", forms.port), (1,))
        self.assertEqual(table(url=[]).values("url", forms.port), ())
        expected = 'upstream[a].url: is not a list of strings; write ["one", "another"]'
        for wrong in (3, True, {"a": "b"}, ["a", 3]):
            self.check_error(expected, table(url=wrong).values, "url", forms.plain)
        expected = "upstream[a].url: is too long; list at most 1000"
        self.check_error(expected, table(url=["a"] * 1001).values, "url", forms.plain)

    def test_some(self) -> None:
        """Where an empty list would open what it seems to close, it is refused."""
        self.assertEqual(table(url="1").some("url", forms.port), (1,))
        expected = "upstream[a].url: is empty; list at least one, or remove the key"
        self.check_error(expected, table(url=[]).some, "url", forms.port)

    def test_word(self) -> None:
        """A word is one of a few, and a number may stand for its digits."""
        self.assertEqual(table(auth="own").word("auth", "own", "passthrough"), "own")
        self.assertEqual(table(auth=4).word("auth", "4", "6"), "4")
        self.check_error(
            "upstream[a].auth: is 'Own'; write own or not", table(auth="Own").word, "auth", "own", "not"
        )
        self.check_error(
            "upstream[a].auth: is 'a list'; write 4 or 6", table(auth=[4]).word, "auth", "4", "6"
        )

    def test_flag(self) -> None:
        """Yes and no are TOML's own."""
        self.assertFalse(table(verify=False).flag("verify", True))
        for value, kind in (("false", "a string"), (0, "a number"), (object(), "of another type")):
            expected = f"upstream[a].verify: is {kind}, not true or false; write true or false"
            self.check_error(expected, table(verify=value).flag, "verify", True)

    def test_seconds(self) -> None:
        """Times are numbers of seconds within a day."""
        self.assertEqual(table(stall=1).seconds("stall", 15.0), 1.0)
        self.assertEqual(table(stall=0).seconds("stall", 15.0, least=0.0), 0.0)
        for wrong in ("15s", True, [15]):
            error = self.assertRaises(SettingsError, table(stall=wrong).seconds, "stall", 15.0)
            self.assertEqual(error.remedy, "write a number like 15")
        for outside in (0, -1, 86401, float("inf"), float("nan"), 10**400):
            expected = "upstream[a].stall: is out of bounds; write 0.1 to 86400 seconds"
            self.check_error(expected, table(stall=outside).seconds, "stall", 15.0)

    def test_count(self) -> None:
        """Counts are whole numbers from 1 to a million."""
        self.assertEqual(table(stall=7).count("stall", 64), 7)
        for wrong in ("7", 7.0, False):
            error = self.assertRaises(SettingsError, table(stall=wrong).count, "stall", 64)
            self.assertEqual(error.remedy, "write one like 64")
        for wrong in (0, -1, 1_000_001, 10**400):
            expected = "upstream[a].stall: is out of bounds; write 1 to 1000000"
            self.check_error(expected, table(stall=wrong).count, "stall", 64)

    @given(
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(),
            st.floats(),
            st.text(max_size=5),
            st.lists(st.text(max_size=3), max_size=3),
            st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
        )
    )
    @settings(derandomize=True, max_examples=200)
    def test_any_value(self, value: object) -> None:
        """Whatever stands in a file, nothing but a `SettingsError` of one line escapes."""
        readers: tuple[Callable[[Table], object], ...] = (
            lambda one: one.value("url", forms.url),
            lambda one: one.values("url", forms.network),
            lambda one: one.word("url", "a", "b"),
            lambda one: one.flag("url", True),
            lambda one: one.seconds("url", 1.0),
            lambda one: one.count("url", 1),
            lambda one: one.tables("url"),
        )
        for reader in readers:
            try:
                reader(table(url=value))
            except SettingsError as error:
                self.assertTrue(str(error).isprintable())


class SizeTests(TableTestCase):
    """Bytes of a table."""

    def size(self, value: object) -> int:
        """A budget of 10 to 1000 bytes."""
        return Table("access", "access", {"budget": value}).size("budget", 10, 1000)

    def test_right(self) -> None:
        """A number or a text; 0 is no bound, and so is nothing."""
        self.assertEqual([self.size(value) for value in (0, 10, "1 KB", "0")], [0, 10, 1000, 0])
        self.assertEqual(Table("access", "access", {}).size("budget", 10, 1000), 0)

    def test_wrong(self) -> None:
        """Other types and what is out of bounds are refused."""
        bounds = "access.budget: is out of bounds; write 10 to 1000 bytes, or 0 for no bound"
        for value, expected in (
            (9, bounds),
            ("2 KB", bounds),
            (-1, bounds),
            (True, 'access.budget: is a boolean, not a size; write one like "500 GB"'),
            (1.5, 'access.budget: is a number, not a size; write one like "500 GB"'),
            ("much", 'access.budget: \'much\' is not a size; write one like "500 GB" or "20 MiB"'),
        ):
            self.check_error(expected, self.size, value)
