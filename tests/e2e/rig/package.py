"""
docxy's Debian package: built as its documentation says, and once more as a newer version. Its sdist, and
what that is installed with.

Knows the package by its files, and imports none of docxy.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from .mirror import CHECKOUT
from .processes import RigError, environment, run

_WAYS = re.compile(r"(?i)(https?_proxy|no_proxy|PIP_\w+)")


def built(suite: str, folder: Path) -> Path:
    """The package, built for that release in a fresh chroot; DOCXY_E2E_PACKAGES may hold it ready."""
    ready = os.environ.get("DOCXY_E2E_PACKAGES")
    if ready:
        return Path(shutil.copytree(Path(ready) / suite, folder)) / _only(folder).name
    ways = {name: value for name, value in os.environ.items() if _WAYS.fullmatch(name)}
    command = [str(CHECKOUT / "packaging/build-deb"), suite, str(folder)]
    run(command, environment(**ways), seconds=1800).check()
    return _only(folder)


def _only(folder: Path) -> Path:
    found = list(folder.glob("docxy_*.deb"))
    if len(found) != 1:
        raise RigError(f"not one package but {found}")
    return found[0]


def field(package: Path, name: str) -> str:
    """A field of its control file."""
    return run(["dpkg-deb", "--field", str(package), name]).check().out.strip()


def needs(package: Path) -> list[str]:
    """The names of the packages that it depends on or recommends."""
    text = f"{field(package, 'Depends')}, {field(package, 'Recommends')}"
    return sorted({re.split(r"[ :]", one)[0] for one in text.split(", ")})


def newer(package: Path, version: str) -> Path:
    """The same package with other code in it: docxy calls itself by ``version``, of three numbers."""
    tree = package.parent / version
    run(["dpkg-deb", "--raw-extract", str(package), str(tree)]).check()
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*", f"Version: {version}", control.read_text()))
    (code,) = tree.glob("usr/lib/docxy/lib/python3*/site-packages/docxy/_version.py")
    numbers = version.replace(".", ", ")
    code.write_text(re.sub(r'Version\("docxy".*\)', f'Version("docxy", {numbers})', code.read_text()))
    made = package.parent / f"docxy-{version}.deb"
    run(["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(tree), str(made)]).check()
    return made


def sdist(folder: Path) -> Path:
    """The sdist, with a name that begins with ``docxy-``."""
    copy = folder / "checkout"
    kept = shutil.ignore_patterns(".*", "_build", "__pycache__", "results", "*.egg-info")
    shutil.copytree(CHECKOUT, copy, ignore=kept)
    command = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", str(folder), str(copy)]
    run(command, seconds=300).check()
    shutil.rmtree(copy)
    (made,) = folder.glob("docxy-*.tar.gz")
    return made


def wheels(folder: Path, python: str) -> Path:
    """A folder with all that a virtual environment of ``python``, as ``3.11``, takes from PyPI for docxy."""
    kept = os.environ.get("DOCXY_E2E_CACHE")
    made = Path(kept or folder) / f"wheels-{python}"
    ways = {name: value for name, value in os.environ.items() if _WAYS.fullmatch(name)}
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    which = ["--require-hashes", "--only-binary=:all:", "--python-version", python, "--dest", str(made)]
    for job in ("acme", "build"):
        listed = ["--requirement", str(CHECKOUT / f"requirements/{job}.txt")]
        run([*pip, *which, *listed], environment(HOME=str(folder), **ways), seconds=600).check()
    return made
