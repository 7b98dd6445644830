"""Sphinx's settings; the version is docxy's own."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from docxy import __version__

project = "docxy"
author = "docxy contributors"
copyright = author
version = release = __version__

extensions: list[str] = []
exclude_patterns = ["_build"]
nitpicky = True
default_role = "literal"
highlight_language = "none"
smartquotes = False

html_theme = "furo"
html_title = f"docxy {__version__}"
html_show_sphinx = False
html_copy_source = False

man_pages = [
    ("command", "docxy", "a mirror of container registries", author, "1"),
    ("settings", "docxy.toml", "settings of docxy", author, "5"),
]
