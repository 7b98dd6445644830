"""The console command ``docxy``: what an operator asks of a mirror's set-up, and of one that runs."""

from docxy.cli.command import main

__all__ = ["main"]
