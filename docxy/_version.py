"""
The version, in the form that incremental reads and rewrites.

``python -m incremental.update docxy`` changes it; nothing else does.
"""

from incremental import Version

__version__ = Version("docxy", 0, 1, 0, dev=0)
__all__ = ["__version__"]
