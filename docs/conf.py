"""Sphinx's settings; the version is docxy's own."""

import sys
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

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


class ManualReferences(SphinxPostTransform):
    """In a manual page, what refers to another page of this documentation: its name there, or its title."""

    builders = ("man",)
    default_priority = 5  # before Sphinx makes links of them, which lead nowhere there
    manuals: ClassVar = {page: f"{name}({section})" for page, name, _, _, section in man_pages}

    def run(self, **_: object) -> None:
        """Put words in the place of each."""
        for found in list(self.document.findall(pending_xref)):
            if found["reftype"] == "doc":
                page = found["reftarget"]
                words = self.manuals.get(page)
                if words is None:
                    found.replace_self(nodes.emphasis(text=self.env.titles[page].astext()))
                else:
                    found.replace_self(nodes.strong(text=words))


def setup(app: Sphinx) -> None:
    """What Sphinx calls."""
    app.add_post_transform(ManualReferences)
