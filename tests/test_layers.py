"""
The house's order, kept by the build: who may import whom, what is small, what is tested.

The list below and the one in the documentation's architecture page are the same list.
"""

import ast
import re
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent

# From top to bottom: a module imports only from its own line or from lines above.
LAYERS = (
    "_version",
    "oci",
    "registries",
    "settings",
    "interfaces",
    "policy",
    "process",
    "log",
    "metrics",
    "usage",
    "tls",
    "acme",
    "upstream",
    "store",
    "answers",
    "content",
    "asking",
    "auth",
    "mirror",
    "web",
    "overview",
    "signals",
    "notify",
    "pidfile",
    "inheritance",
    "handover",
    "daemon",
    "service",
    "tap",
    "cli",
    "testing",
)

# The registry's words and our decisions: no I/O, no clock, no chance.
PURE = ("oci", "policy")
PURE_BENCH = ("charts", "promises", "results", "table")  # of bench/: what makes words of figures
IMPURE_MODULES = {"asyncio", "os", "random", "secrets", "socket", "ssl", "subprocess", "threading", "time"}

UNTESTED = {
    "__init__.py": "exports only",
    "_version.py": "one value, rewritten by incremental",
    "interfaces.py": "declares; the implementers' tests verify it",
    "testing.py": "every other test exercises it",
    "values.py": "shapes without a line of logic; the reader's tests build each",
}

MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 40
EMPTY_WORDS = {"util", "utils", "helper", "helpers", "manager", "managers", "handler", "handlers"}


def sources(*folders: str) -> Iterator[Path]:
    """Every Python file below these folders of the checkout."""
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def shown(path: Path) -> str:
    """The path as a person would type it."""
    return path.relative_to(ROOT).as_posix()


def dotted(path: Path) -> str:
    """The module's name: docxy/oci/names.py -> docxy.oci.names."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer(module: str) -> str:
    """The line of LAYERS that a module stands on; "" for `docxy` itself."""
    return [*module.split("."), ""][1]


def tree(path: Path) -> ast.Module:
    """The file, parsed."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[str]:
    """Dotted names of all that a file imports, inside functions too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of a file."""
    nodes = ast.walk(tree(path))
    return (node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of its body, the docstring left out."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def words(name: str) -> set[str]:
    """The words in a snake_case or CamelCase name."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def expected_tests(path: Path) -> Path:
    """Where the tests of a module of ours stand: docxy/oci/names.py -> tests/unit/oci/test_names.py."""
    return ROOT / "tests/unit" / path.parent.relative_to(ROOT / "docxy") / f"test_{path.name}"


class ImportTests(SynchronousTestCase):
    """Imports point upwards."""

    maxDiff = None

    def test_every_module_has_its_line(self) -> None:
        """A new module is placed in LAYERS before it is used."""
        found = {layer(dotted(path)) for path in sources("docxy")} - {""}
        self.assertEqual(found - set(LAYERS), set())

    def test_upwards_only(self) -> None:
        """No module imports from a line below its own."""
        order = {name: line for line, name in enumerate(LAYERS)}
        wrong = [
            f"{shown(path)} imports {name}"
            for path in sources("docxy")
            for name in imports(path)
            if name.startswith("docxy.") and order.get(layer(name), -1) > order.get(layer(dotted(path)), -1)
            if dotted(path) != "docxy"
        ]
        self.assertEqual(wrong, [])

    def test_no_rings(self) -> None:
        """No module imports itself by way of others, inside one package either."""
        modules = {dotted(path): path for path in sources("docxy")}
        graph = {
            module: {
                target
                for name in imports(path)
                for target in (name, name.rpartition(".")[0])
                if target in modules and target != module and path.name != "__init__.py"
            }
            for module, path in modules.items()
        }
        self.assertGreater(len(list(TopologicalSorter(graph).static_order())), 1)

    def test_pure_layers(self) -> None:
        """Words and decisions need the standard library alone, and of it neither clock nor socket."""
        allowed = (set(sys.stdlib_module_names) - IMPURE_MODULES) | {"docxy"}
        wrong = [
            f"{shown(path)} imports {name}"
            for path in sources(*(f"docxy/{name}" for name in PURE))
            for name in imports(path)
            if name.split(".")[0] not in allowed
        ]
        self.assertEqual(wrong, [])

    def test_pure_bench(self) -> None:
        """So does what the bench makes of its figures."""
        allowed = set(sys.stdlib_module_names) - IMPURE_MODULES
        wrong = [
            f"{shown(path)} imports {name}"
            for path in sources("bench")
            for name in imports(path)
            if path.stem in PURE_BENCH
            and name.split(".")[0] not in allowed
            and name.split(".")[1] not in PURE_BENCH
        ]
        self.assertEqual(wrong, [])


class ShapeTests(SynchronousTestCase):
    """Everything is small, and is called by a word that says something."""

    maxDiff = None

    def test_files(self) -> None:
        """No file is longer than one sitting."""
        long = [
            f"{shown(path)}: {count} lines"
            for path in sources("docxy", "twisted", "tests", "bench")
            if (count := len(path.read_text(encoding="utf-8").splitlines())) > MAX_FILE_LINES
        ]
        self.assertEqual(long, [])

    def test_functions(self) -> None:
        """No function outgrows a screen."""
        long = [
            f"{shown(path)}:{function.lineno} {function.name}: {length(function)} lines"
            for path in sources("docxy", "twisted", "bench")
            for function in functions(path)
            if length(function) > MAX_FUNCTION_LINES
        ]
        self.assertEqual(long, [])

    def test_names(self) -> None:
        """No module or class is called by an empty word."""
        empty = [shown(path) for path in sources("docxy", "tests") if words(path.stem) & EMPTY_WORDS]
        empty += [
            f"{shown(path)}: {node.name}"
            for path in sources("docxy")
            for node in ast.walk(tree(path))
            if isinstance(node, ast.ClassDef) and words(node.name) & EMPTY_WORDS
        ]
        self.assertEqual(empty, [])


class TestedTests(SynchronousTestCase):
    """The tests mirror the house."""

    maxDiff = None

    def test_mirror(self) -> None:
        """Every docxy/x/y.py has its tests/unit/x/test_y.py, and so has what is pure of the bench."""
        missing = [
            shown(path)
            for path in sources("docxy")
            if path.name not in UNTESTED and not expected_tests(path).exists()
        ]
        missing += [name for name in PURE_BENCH if not (ROOT / f"tests/unit/bench/test_{name}.py").exists()]
        self.assertEqual(missing, [])

    def test_sentences(self) -> None:
        """Every test says in a sentence which behaviour it shows."""
        silent = [
            f"{shown(path)}:{function.lineno} {function.name}"
            for path in sources("tests")
            for function in functions(path)
            if function.name.startswith("test_") and not ast.get_docstring(function)
        ]
        self.assertEqual(silent, [])

    def test_no_foreign_switches(self) -> None:
        """No test module imports a name, as `suppress`, that trial reads as a switch for its tests."""
        switches = {"skip", "suppress", "timeout", "todo"}
        taken = [
            f"{shown(path)}: {alias.asname or alias.name}"
            for path in sources("tests")
            if path.name.startswith("test_")
            for node in tree(path).body
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
            if (alias.asname or alias.name) in switches
        ]
        self.assertEqual(taken, [])

    def test_no_async_tests(self) -> None:
        """No test is a coroutine: a SynchronousTestCase passes it without running it."""
        asleep = [
            f"{shown(path)}:{function.lineno} {function.name}"
            for path in sources("tests")
            for function in functions(path)
            if function.name.startswith("test_") and isinstance(function, ast.AsyncFunctionDef)
        ]
        self.assertEqual(asleep, [])
