"""Arguments of `ftddm readers`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ftddm_viewer.shell.flags import add_out, add_sampling, add_unfill, count, number, port, seed

METHODS = (
    "zero-filling, bicubic, truth, ftddm, ftddm:steps=10,tau_flow=0.5 or maps:FOLDER, with NAME= "
    "before it to name it in tables; repeated (zero-filling and ftddm)"
)


def add_readers(parser: argparse.ArgumentParser) -> None:
    """Add what a reader study is made, run and evaluated with."""
    actions = parser.add_subparsers(
        dest="action", required=True, metavar="ACTION", parser_class=type(parser)
    )
    new = actions.add_parser("new", help="make a study: images of every method, and their key")
    new.add_argument(
        "input", nargs="*", type=Path, help="folders of studies; the bundled case if left out"
    )
    add_out(new, overwrite=False)
    new.add_argument("--method", action="append", default=[], metavar="METHOD", help=METHODS)
    new.add_argument(
        "--degrade",
        type=number(float),
        metavar="S",
        help="degrade the studies by this factor first, so that their truth is known",
    )
    new.add_argument(
        "--metabolite", action="append", default=[], metavar="NAME", help="repeated (all)"
    )
    new.add_argument(
        "--slices", type=count, default=3, help="slices of every study, evenly spread (3)"
    )
    new.add_argument(
        "--slice", action="append", type=number(int), default=[], metavar="K",
        help="instead, this slice, counted from 0; repeated",
    )  # fmt: skip
    new.add_argument(
        "--order", type=seed, metavar="SEED", help="seed of the order and of the sides (by chance)"
    )
    new.add_argument(
        "--html", action="store_true", help="also write study.html, which works without a server"
    )
    add_unfill(new)
    add_sampling(new)

    serve = actions.add_parser("serve", help="serve a study to its readers")
    serve.add_argument("folder", type=Path, help="folder of the study")
    serve.add_argument("--host", default="127.0.0.1", help="address to serve on (127.0.0.1)")
    serve.add_argument("--port", type=port, default=7870, help="port (7870)")

    add = actions.add_parser("add", help="add the answers that study.html saved")
    add.add_argument("folder", type=Path, help="folder of the study")
    add.add_argument("file", nargs="+", type=Path, help="files of answers")

    export = actions.add_parser("export", help="write all answers as CSV, and their statistics")
    export.add_argument("folder", type=Path, help="folder of the study")
    add_out(export)
    export.add_argument(
        "--key", type=Path, metavar="FILE", help="the key (FOLDER-key.json, beside the folder)"
    )
    export.add_argument(
        "--unit",
        choices=["slice", "study"],
        default="slice",
        help="what counts as independent in the tests (slice)",
    )
