"""The text that LCModel writes: tables of one voxel, and spreadsheets of one slice.

The formats are those of LCModel 6.3 (`source/LCModel.f`, subroutine FINOUT). A line of a table is
the amplitude in 8 columns, the CRLB as ``I4,'%'``, the ratio in 8 columns, one column with a blank
(or "+" or "-" where a ratio deviates from its prior), and the metabolite::

    $$CONC 36 lines in following concentration table = NCONC+1
        Conc.  %SD /Cr+PCr  Metabolite
     1.64E+03   6%   1.667 NAA
        0.000 999%   0.000 PCh

    $$MISC  6 lines in following misc. output table
      FWHM = 0.054 ppm    S/N =  14

A spreadsheet has the columns "Row, Col" and three for each metabolite, "NAA, NAA %SD, NAA/Cr+PCr",
with names cut to 13 characters.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import dataclass, field
from math import isfinite, nan
from typing import NamedTuple


class Position(NamedTuple):
    """Numbers of a voxel, from 1 as LCModel counts."""

    slice: int
    row: int
    column: int


@dataclass(frozen=True)
class Fit:
    """The fit of one voxel: metabolite -> amplitude and CRLB in per cent; FWHM in ppm, S/N."""

    amplitude: dict[str, float]
    crlb: dict[str, float]
    fwhm: float = nan
    snr: float = nan


@dataclass(frozen=True)
class Table:
    """What the table of one voxel states."""

    fit: Fit | None
    """None if there is no valid table of concentrations, as where LCModel stopped."""
    position: Position | None = None
    """From the title of a fit of several voxels; None if it states none."""
    matrix: tuple[int, int, int] | None = None
    """Columns, rows and slices of the data; None if not stated."""


@dataclass(frozen=True)
class Sheet:
    """What the spreadsheet of one slice states."""

    fits: list[tuple[int, int, Fit]]
    """(row, column, fit)."""
    damaged: int = 0
    """Number of lines that could not be read."""
    ambiguous: list[str] = field(default_factory=list)
    """Metabolites left out, because two have this name after it was cut."""


_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[EeDd][-+]?\d+)?|\*+|[-+]?(?:nan|inf(?:inity)?)"
_LINE = re.compile(
    rf"\s*(?P<amplitude>{_NUMBER})\s*(?P<crlb>\d+|\*+)%\s*(?:{_NUMBER})[ +-]\s*(?P<name>\S+)\s*",
    re.IGNORECASE,
)
_TITLE = re.compile(r"Slice#\s*(\d{1,5})\s+Row#\s*(\d{1,5})\s+Col#\s*(\d{1,5})")
_SIZE = r"^[ \t]*{}[ \t]*=[ \t]*(\d{{1,5}})[ \t]*$"
_LONGEST_LINE = 200
"""Limit in characters: LCModel's lines have 74, and matching takes the square of the length."""


def parse_table(text: str) -> Table:
    """Return what the .table file of one voxel states."""
    title = _TITLE.search(text.partition("$$")[0])
    sizes = [
        re.search(_SIZE.format(name), text, re.IGNORECASE | re.MULTILINE)
        for name in ("ndcols", "ndrows", "ndslic")
    ]
    columns, rows, slices = (int(found[1]) if found else 1 for found in sizes)
    stated = sizes[0] is not None and sizes[1] is not None
    return Table(
        fit=_fit(text),
        position=Position(*map(int, title.groups())) if title else None,
        matrix=(columns, rows, slices) if stated and min(columns, rows, slices) > 0 else None,
    )


def _fit(text: str) -> Fit | None:
    amplitude: dict[str, float] = {}
    crlb: dict[str, float] = {}
    for line in _section(text, "$$CONC")[1:]:  # without its heading
        match = _LINE.fullmatch(line)
        if match is None or match["name"] in amplitude:
            return None
        amplitude[match["name"]] = number(match["amplitude"])
        crlb[match["name"]] = number(match["crlb"])
    if not amplitude:
        return None
    misc = "\n".join(_section(text, "$$MISC"))
    fwhm = re.search(rf"FWHM\s*=\s*({_NUMBER})", misc, re.IGNORECASE)
    snr = re.search(rf"S/N\s*=\s*({_NUMBER})", misc, re.IGNORECASE)
    return Fit(
        amplitude,
        crlb,
        fwhm=number(fwhm[1]) if fwhm else nan,
        snr=number(snr[1]) if snr else nan,
    )


def _section(text: str, start: str) -> list[str]:
    """Return the lines after the one that starts with `start`, up to an empty line or "$$"."""
    found: list[str] = []
    inside = False
    for line in text.splitlines():
        if inside and (not line.strip() or line.lstrip().startswith("$$")):
            break
        if inside:
            found.append(line[:_LONGEST_LINE])
        inside = inside or line.lstrip().startswith(start)
    return found


def parse_sheet(text: str) -> Sheet | None:
    """Return what the .csv file of one slice states; None if LCModel did not write it."""
    try:
        lines = list(csv.reader(text.splitlines(), skipinitialspace=True))
    except csv.Error:
        return None
    heading = [cell.strip() for cell in lines[0]] if lines else []
    if [cell.casefold() for cell in heading[:2]] != ["row", "col"]:
        return None
    names = {
        at - 1: cell.removesuffix(" %SD")
        for at, cell in enumerate(heading)
        if at > 2 and cell.endswith(" %SD") and heading[at - 1] == cell.removesuffix(" %SD")
    }
    if not names:
        return None
    counts = Counter(names.values())
    names = {at: name for at, name in names.items() if counts[name] == 1}
    fits = []
    damaged = 0
    for line in lines[1:]:
        if not any(cell.strip() for cell in line) or line == lines[0]:
            continue  # empty, or the heading again, where spreadsheets were joined
        place = [cell.strip() for cell in line[:2]]
        valid = len(line) == len(heading) and all(re.fullmatch(r"\d{1,5}", c) for c in place)
        if not valid:
            damaged += 1
            continue
        fit = Fit(
            {name: number(line[at]) for at, name in names.items()},
            {name: number(line[at + 1]) for at, name in names.items()},
        )
        fits.append((int(place[0]), int(place[1]), fit))
    return Sheet(fits, damaged, sorted(name for name, count in counts.items() if count > 1))


def number(text: str) -> float:
    """Return a number as Fortran writes it, NaN for stars, infinity and anything else."""
    try:
        value = float(text.strip().lower().replace("d", "e"))
    except ValueError:
        return nan
    return value if isfinite(value) else nan
