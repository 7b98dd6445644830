"""
docxy: a self-hosted mirror of container registries, run by ``twistd``.

This file owns the version's public form and imports nothing else of docxy.
"""

from docxy._version import __version__ as _version

__version__: str = _version.public()
__all__ = ["__version__"]
