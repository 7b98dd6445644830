"""
`./dev bench`: run the cases, print the table, write the JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from bench import cases, machine, ways
from bench.charts import charts
from bench.interleave import run_case
from bench.place import Place
from bench.promises import HASH, promises
from bench.results import Results, to_json
from bench.table import table
from bench.ways import Peer, Way
from tests.e2e.rig.hub import require
from tests.e2e.rig.processes import RigError
from tests.e2e.rig.seed import MIB, TEN_LAYERS

BEGUN = time.monotonic()
CHECKOUT = Path(__file__).resolve().parent.parent
DOCUMENTED = CHECKOUT / "docs/benchmarks"
ROUNDS, QUICK_ROUNDS = 5, 1
COMMANDS = ("docker-registry", "nginx", "skopeo", "curl", "wrk", "ip", "nsenter", "unshare", "setpriv")


def arguments() -> argparse.ArgumentParser:
    """The options."""
    names = ", ".join(case.name for case in cases.every())
    options = argparse.ArgumentParser(prog="./dev bench", description="docxy side by side with others.")
    options.add_argument("--quick", action="store_true", help="fewer cases, rounds and bytes: two minutes")
    options.add_argument(
        "--case", action="append", default=[], metavar="NAME", help=f"only this one: {names}"
    )
    options.add_argument("--way", action="append", default=[], metavar="NAME", help="only ways so called")
    options.add_argument("--rounds", type=int, help=f"default: {ROUNDS}, with --quick {QUICK_ROUNDS}")
    options.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="one more proxy; in COMMAND {listen} {upstream} {cert} {key} {ca} {state} are put in",
    )
    options.add_argument(
        "--peer-url", action="append", default=[], metavar="NAME=URL", help="where it is; default: {url}"
    )
    options.add_argument("--output", type=Path, default=CHECKOUT / "bench/results", metavar="FOLDER")
    options.add_argument("--write-docs", action="store_true", help="write to docs/benchmarks instead")
    return options


def pairs(options: argparse.ArgumentParser, given: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE, each; ends the program where one is none."""
    wrong = [text for text in given if "=" not in text]
    if wrong:
        options.error(f"not NAME=VALUE: {wrong[0]}")
    return {name: value for name, _, value in (text.partition("=") for text in given)}


def peers(options: argparse.ArgumentParser, told: argparse.Namespace) -> list[Peer]:
    """The further proxies."""
    urls = pairs(options, told.peer_url)
    return [
        Peer(name, command, urls.get(name, "{url}")) for name, command in pairs(options, told.peer).items()
    ]


def chosen(options: argparse.ArgumentParser, told: argparse.Namespace) -> tuple[list[cases.Case], list[Way]]:
    """What is to be run, through what; ends the program where a name is unknown."""
    every = {case.name: case for case in cases.every()}
    unknown = set(told.case) - set(every)
    if unknown:
        options.error(f"no such case: {unknown.pop()}; there are {', '.join(every)}")
    quick = [case for case in every.values() if case.quick or not told.quick]
    wanted = [every[name] for name in told.case] or quick
    through = ways.every(peers(options, told))
    return wanted, [way for way in through if not told.way or way.name.startswith(tuple(told.way))]


def say(text: str) -> None:
    """Tell how far it is, beside the table, with the seconds since the start."""
    print(f"{time.monotonic() - BEGUN:4.0f} s  {text}", file=sys.stderr)


def run(told: argparse.Namespace, wanted: Sequence[cases.Case], through: Sequence[Way]) -> Results:
    """Measure."""
    results = Results({"date": machine.today(), "quick": told.quick, "machine": machine.machine()})
    results.about["versions"] = machine.versions()
    rounds = told.rounds or (QUICK_ROUNDS if told.quick else ROUNDS)
    layers = [size // 4 for size in TEN_LAYERS] if told.quick else TEN_LAYERS
    state = Path(tempfile.mkdtemp(prefix="docxy-bench-", dir="/tmp"))
    try:
        with closing(Place(state, layers, told.quick)) as place:
            for case in wanted:
                run_case(place, case, through, rounds, results, say)
    finally:
        shutil.rmtree(state)
    results.about[HASH] = cost_of_hashing()
    return results


def cost_of_hashing() -> float:
    """CPU seconds that this Python needs for the sha256 of a GiB."""
    piece, count = bytes(MIB), 256
    hashed, begun = hashlib.sha256(), time.process_time()
    for _ in range(count):
        hashed.update(piece)
    return (time.process_time() - begun) * 1024 / count


def write(results: Results, folder: Path) -> None:
    """The run as JSON, text and pictures, in place of the one that was there."""
    from bench.plots import draw  # it takes a second, which no usage error should

    folder.mkdir(parents=True, exist_ok=True)
    for old in (path for kind in ("json", "txt", "svg") for path in folder.glob(f"*.{kind}")):
        old.unlink()
    (folder / "table.txt").write_text(table(results))
    (folder / "promises.txt").write_text(promises(results))
    (folder / "results.json").write_text(json.dumps(to_json(results), indent=2) + "\n")
    for chart in charts(results):
        draw(chart, folder)


def main() -> None:
    """Do what the options say."""
    options = arguments()
    told = options.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: needs root, for it makes a network namespace; run ./dev bench as root")
    try:
        require(COMMANDS)
        results = run(told, *chosen(options, told))
    except RigError as error:
        sys.exit(f"bench: {error}")
    print(table(results))
    print(promises(results))
    folder = DOCUMENTED if told.write_docs else told.output
    write(results, folder)
    print(f"written: {folder}")


if __name__ == "__main__":
    main()
