"""
What is shipped: the sdist, the wheel, and `twistd` finding the plugin wherever docxy is installed.

Everything is built from a copy of the checkout, so that nothing stale in it can slip in.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

import docxy

ROOT = Path(__file__).resolve().parent.parent.parent

LEFT_BEHIND = shutil.ignore_patterns(
    ".git",
    ".tox",
    ".venv",
    ".*_cache",
    "__pycache__",
    "build",
    "dist",
    "_build",
    "*.egg-info",
    "dropin.cache",
)


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """
    What the command printed; a failure shows all of it.

    The environment is this process's, but without our PYTHONPATH.
    """
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=inherited | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


class ShippedTests(SynchronousTestCase):
    """The sdist, and the wheel that is built from it."""

    folder: ClassVar[Path]
    checkout: ClassVar[Path]
    wheel: ClassVar[Path]
    sdist: ClassVar[Path]

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = Path(tempfile.mkdtemp(prefix="docxy-packaging-"))
        cls.checkout = cls.folder / "checkout"
        shutil.copytree(ROOT, cls.checkout, ignore=LEFT_BEHIND)
        cls.wheel, cls.sdist = cls.build(cls.folder / "built")

    @classmethod
    def tearDownClass(cls) -> None:
        shutil.rmtree(cls.folder)

    @classmethod
    def build(cls, built: Path, **environment: str) -> tuple[Path, Path]:
        """A wheel and an sdist in the folder ``built``."""
        command = (sys.executable, "-m", "build", "--no-isolation", "--outdir", built, cls.checkout)
        run(*command, cwd=cls.folder, **environment)
        (wheel,) = built.glob("*.whl")
        (sdist,) = built.glob("*.tar.gz")
        return wheel, sdist

    def install(self, name: str, *what: str | Path) -> Path:
        """A fresh virtual environment with docxy's pinned requirements and this."""
        place = self.folder / name
        run(sys.executable, "-m", "virtualenv", "--quiet", place, cwd=self.folder)
        pip = (place / "bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check", "install")
        for job in ("run", "build"):
            run(*pip, "--requirement", ROOT / f"requirements/{job}.txt", cwd=self.folder)
        run(*pip, "--no-deps", "--no-build-isolation", *what, cwd=self.folder)
        run(place / "bin/python", "-m", "pip", "check", cwd=self.folder)
        return place / "bin"

    def assert_found(self, bin_folder: Path, **environment: str) -> None:
        """Fail unless this `twistd` lists docxy and shows its options."""
        twistd = bin_folder / "twistd"
        self.assertIn(" docxy ", run(twistd, "--help", cwd=self.folder, **environment))
        self.assertIn("--listen", run(twistd, "docxy", "--help", cwd=self.folder, **environment))

    def test_wheel(self) -> None:
        """The wheel holds every module of ours, the one plugin, and nothing else of ours or Twisted's."""
        with zipfile.ZipFile(self.wheel) as archive:
            names = {name for name in archive.namelist() if ".dist-info/" not in name}
        ours = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docxy").rglob("*.py")}
        extra = {"docxy/py.typed", "twisted/plugins/docxy_plugin.py"}
        self.assertEqual({name for name in names if name.endswith(".py")} | extra, ours | extra)
        self.assertEqual(extra - names, set())

    def test_version_and_licence(self) -> None:
        """The wheel's metadata carry the package's own version and the licence's text."""
        dist_info = f"docxy-{docxy.__version__}.dist-info"
        with zipfile.ZipFile(self.wheel) as archive:
            metadata = archive.read(f"{dist_info}/METADATA").decode()
            licence = archive.read(f"{dist_info}/licenses/LICENSE").decode()
        self.assertIn(f"\nVersion: {docxy.__version__}\n", metadata)
        self.assertEqual(licence, (ROOT / "LICENSE").read_text())

    def test_reproducible(self) -> None:
        """With SOURCE_DATE_EPOCH the same files give the same wheel and sdist, now and later."""
        first = self.build(self.folder / "first", SOURCE_DATE_EPOCH="1700000000")
        copy = self.folder / "copy"
        shutil.copytree(self.checkout, copy, copy_function=shutil.copy)  # with times of its own
        for path in copy.rglob("*.py"):
            path.chmod(0o660)
        self.patch(type(self), "checkout", copy)
        second = self.build(self.folder / "second", SOURCE_DATE_EPOCH="1700000000")
        for one, other in zip(first, second, strict=True):
            self.assertEqual(one.name, other.name)
            self.assertEqual(
                hashlib.sha256(one.read_bytes()).hexdigest(), hashlib.sha256(other.read_bytes()).hexdigest()
            )

    def test_sdist(self) -> None:
        """The sdist is enough to test, to document and to package docxy."""
        with tarfile.open(self.sdist) as archive:
            names = {name.partition("/")[2] for name in archive.getnames()}
        wanted = {
            "NEWS.rst",
            "dev",
            "install.sh",
            "docs/conf.py",
            "docxy.tac",
            "requirements/run.txt",
            "tests/test_layers.py",
            "tox.ini",
        }
        self.assertEqual(wanted - names, set())

    def test_installed_wheel(self) -> None:
        """`twistd docxy --help` and `docxy` work where only the wheel is installed."""
        installed = self.install("from-wheel", "--no-index", self.wheel)
        self.assert_found(installed)
        self.assertEqual(
            run(installed / "docxy", "--version", cwd=self.folder), f"docxy {docxy.__version__}\n"
        )

    def test_editable(self) -> None:
        """`twistd docxy --help` works in an environment made as `./dev run` makes it."""
        mode = ("--config-settings", "editable_mode=compat")
        self.assert_found(self.install("editable", *mode, "--editable", self.checkout))

    def test_checkout(self) -> None:
        """`twistd docxy --help` works from a checkout by its path alone."""
        self.assert_found(Path(sys.executable).parent, PYTHONPATH=str(self.checkout))
