"""Flags that several commands share, and the numbers that they take."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from ftddm_core.settings import controls

ALONE = {"consistency": "exact"}
"""Meaning of a flag that is given without a value, as in earlier versions."""


def add_out(parser: argparse.ArgumentParser, *, overwrite: bool = True) -> argparse.Action:
    """Add the folder of the results, which is returned, and whether files in it may be replaced."""
    out = parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder the files are written to"
    )
    if overwrite:
        parser.add_argument(
            "--overwrite", action="store_true", help="replace files of the same name"
        )
    return out


def add_further(parser: argparse.ArgumentParser) -> None:
    """Add the further forms in which maps are written."""
    parser.add_argument(
        "--also",
        action="append",
        choices=["t1", "dicom"],
        default=[],
        help="also write the maps in T1 space, or as DICOM parametric maps; may be repeated",
    )
    parser.add_argument(
        "--dicom-of",
        type=Path,
        metavar="FILE",
        help="DICOM file of the series that the maps are registered with: its patient and study",
    )


class Sparing(argparse.Action):
    """A flag without a value, with which another argument need not be given."""

    def __init__(
        self, option_strings: Sequence[str], dest: str, *, spares: argparse.Action, help: str
    ) -> None:
        super().__init__(option_strings, dest, nargs=0, default=False, help=help)
        self._spares = spares

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        """Take the flag up."""
        setattr(namespace, self.dest, True)
        self._spares.required = False


def add_serving(parser: argparse.ArgumentParser) -> None:
    """Add the users, names and sites that a page knows, and the proxies before it."""
    parser.add_argument(
        "--add-user",
        metavar="NAME",
        help="write a user's hashed password, which is asked for, into the file of --auth, and end",
    )
    repeated: tuple[tuple[str, str, str], ...] = (
        ("--allow-host", "NAME", "name under which the page answers, or *.NAME for all below it"),
        ("--allow-origin", "SITE", "other site that may use and frame the page, https://NAME"),
        ("--proxy", "ADDRESS", "proxy, or network of them, whose X-Forwarded headers are believed"),
    )
    for flag, metavar, words in repeated:
        parser.add_argument(
            flag, action="append", default=[], metavar=metavar, help=f"{words}; may be repeated"
        )
    parser.add_argument(
        "--root-path", default="", metavar="PATH", help="path under which a proxy shows the page"
    )


def add_visitors(parser: argparse.ArgumentParser) -> None:
    """Add the measurement of many visitors of the page."""
    parser.add_argument(
        "--web",
        action="store_true",
        help="instead, measure many visitors of the page, and add that to the record of --json",
    )
    parser.add_argument(
        "--users", nargs="+", type=count, metavar="N", help="visitors at a time (1 4 8 20)"
    )
    parser.add_argument(
        "--seconds", type=count, metavar="S", help="how long they move a slider (120)"
    )


def add_roles(parser: argparse.ArgumentParser) -> None:
    """Add the decisions about a study's files; see `ftddm_core.imaging.io.Choices`."""
    group = parser.add_argument_group("the study's files")
    for role in ("T1", "FLAIR", "mask"):
        group.add_argument(f"--{role.lower()}", type=Path, metavar="FILE", help=f"{role} image")
    group.add_argument(
        "--role",
        action="append",
        default=[],
        metavar="FILE=ROLE",
        help="what a file is: FILE=t1, FILE=mask, FILE=map:tNAA (inspect --rules lists the roles)",
    )
    group.add_argument(
        "--exclude", action="append", default=[], metavar="FILE", help="leave a file out"
    )
    group.add_argument("--label", default="", help="name of the study")
    group.add_argument("--subject", default="", help="which subject, of a folder with several")
    group.add_argument("--session", default="", help="which session, of a folder with several")
    group.add_argument(
        "--scale", default="", metavar="NAME", help="variant of the maps, where several are found"
    )
    group.add_argument(
        "--mask-threshold",
        type=number(float),
        default=0.5,
        metavar="P",
        help="a mask of probabilities trusts voxels above it (0.5)",
    )
    group.add_argument(
        "--mask-label",
        type=number(int),
        action="append",
        default=[],
        metavar="N",
        help="a trusted label of the mask; may be repeated",
    )
    group.add_argument(
        "--max-crlb", type=number(float), metavar="PERCENT", help="trust voxels up to this CRLB"
    )
    group.add_argument(
        "--min-snr", type=number(float), metavar="R", help="trust voxels from this SNR on"
    )
    group.add_argument(
        "--max-fwhm", type=number(float), metavar="W", help="trust voxels up to this line width"
    )
    group.add_argument(
        "--crlb-unit",
        choices=["per-cent", "fraction"],
        default="",
        help="unit of the CRLB maps (found from their values)",
    )
    group.add_argument(
        "--space",
        choices=["sform", "qform"],
        default="",
        help="which orientation of a header counts where it has two (sform)",
    )


def add_unfill(parser: argparse.ArgumentParser) -> None:
    """Add the undoing of earlier zero-filling."""
    parser.add_argument(
        "--unfill", action="store_true", help="undo earlier zero-filling, found in the k-space"
    )


def add_model(group: argparse._ActionsContainer) -> None:
    """Add weights, device and precision."""
    group.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (auto)")
    group.add_argument(
        "--half",
        action="store_true",
        help="half precision, on a GPU only: faster; maps differ by about 1e-3 of the scale",
    )
    group.add_argument("--weights", default="small", metavar="NAME|DIR", help="weights (small)")


def add_sampling(parser: argparse.ArgumentParser, **defaults: float | bool) -> None:
    """Add a flag for every control, the device and the weights; `name=False` omits a flag."""
    group = parser.add_argument_group("sampling")
    for control in controls():
        default = defaults.get(control.name)
        if default is False:
            continue
        flag = "--" + control.name.replace("_", "-")
        shown = control.default if default is None else default
        limits = f" {control.bounds[0]:.10g}..{control.bounds[1]:.10g}." if control.bounds else ""
        text = f"{control.help}{limits} Default: {'empty' if shown is None else shown}."
        text = text.replace("%", "%%")
        if control.type is bool:
            group.add_argument(flag, action="store_true", default=None, help=text)
        elif control.name in ALONE:
            group.add_argument(
                flag,
                nargs="?",
                const=ALONE[control.name],
                default=default,
                choices=control.choices,
                help=f"{text} The flag alone means {ALONE[control.name]}.",
            )
        else:
            group.add_argument(
                flag,
                type=number(control.type) if control.bounds else str,
                default=default,
                choices=control.choices or None,
                metavar=None if control.choices else control.symbol,
                help=text,
            )
    add_model(group)


def number(kind: type) -> Callable[[str], float | int]:
    """Return a parser of numbers; bounds are checked by the settings themselves."""

    def parse(text: str) -> float | int:
        try:
            return int(text) if kind is int else float(text)
        except ValueError:
            noun = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"'{text}' is not {noun}") from None

    return parse


def count(text: str) -> int:
    """Return a whole number of 1 or more."""
    count = number(int)(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"{count} is too few; give 1 or more")
    return int(count)


def seed(text: str) -> int:
    """Return a whole number of 0 or more."""
    seed = number(int)(text)
    if seed < 0:
        raise argparse.ArgumentTypeError(f"{seed} is negative; a seed is 0 or more")
    return int(seed)


def port(text: str) -> int:
    """Return a port's number; 0 stands for any that is free."""
    port = number(int)(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is not a port; give 0 (any free one) to 65535")
    return int(port)
