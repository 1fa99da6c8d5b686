"""Metabolite maps from the output of LCModel: tables of single voxels, or spreadsheets of slices.

Files are placed by their names as LCModel makes them, ``<prefix>_sl<slice>_<row>-<column>.table``,
else by the title in the table ("Slice#1 Row#12 Col#9"), else by two numbers at the end of the name,
``<prefix>_<row>_<column>.table``. A spreadsheet has one line per voxel; its slice is the last
number after "slice" or "sl" in its name, else 1.

LCModel's column runs along x, its row along y, its slice along z: voxel (column, row, slice) is
index (column - 1, row - 1, slice - 1) of the maps. Nothing in the output states where the voxels
are in the patient. The affine is that of a reference image of the same matrix, whose voxels must be
in the order of the spectra, or is stated by `study.json`; what runs the other way in the reference
is given as `flip`.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import numpy as np

from ftddm_core.errors import FormatError, GeometryError
from ftddm_core.imaging.io.image_file import is_image
from ftddm_core.imaging.io.lcmodel_text import Fit, Position, parse_sheet, parse_table
from ftddm_core.imaging.io.limits import MOST_TABLED
from ftddm_core.imaging.io.nifti import read_volume
from ftddm_core.imaging.io.statement import read_statement, stated_affine
from ftddm_core.imaging.volume import FloatArray, Volume

LONGEST_TABLE = 200_000
LONGEST_SHEET = 100_000_000
"""Limits of the size of a file in bytes: a table has 7 kB, a spreadsheet 1 kB per voxel."""
MOST_FILES = 100_000
_BY_LCMODEL = re.compile(r"(?:.*[_.-])?sl(\d{1,5})_(\d{1,5})-(\d{1,5})", re.IGNORECASE)
_BY_OTHERS = re.compile(r"(?:.*[_.-])?(\d{1,5})[_-](\d{1,5})")
_SLICE = re.compile(r"(?:slice|(?<![a-z])sl)[_-]?(\d{1,5})", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class LcmodelMaps:
    """The maps of one examination, all (X, Y, Z) on one grid, NaN where there is no fit.

    Parameters
    ----------
    maps
        Metabolite -> amplitudes in institutional units.
    crlb
        Metabolite -> Cramer-Rao lower bounds in per cent; 999 where LCModel found nothing.
    fwhm, snr
        Line width in ppm, and signal-to-noise ratio; None if there are only spreadsheets.
    notes
        What the user should know, one sentence each.
    """

    maps: dict[str, Volume]
    crlb: dict[str, Volume]
    fwhm: Volume | None
    snr: Volume | None
    notes: tuple[str, ...]


@dataclass
class _Grid:
    """The fits found so far, each with the file it came from."""

    fits: dict[Position, tuple[Fit | None, Path]] = field(default_factory=dict)
    matrix: tuple[int, int, int] | None = None
    notes: list[str] = field(default_factory=list)
    tables: bool = False

    def add(self, position: Position, fit: Fit | None, path: Path) -> None:
        if min(position) < 1:
            raise FormatError(f"{path} is of {_place(position)}, but LCModel counts from 1.")
        if position in self.fits:
            raise FormatError(
                f"{self.fits[position][1]} and {path} are both of {_place(position)}. Keep the "
                "output of one examination and one fit in a folder."
            )
        self.fits[position] = fit, path

    @property
    def extent(self) -> tuple[int, int, int]:
        """Matrix (X, Y, Z) as stated, else up to the largest numbers."""
        largest = np.max([(p.column, p.row, p.slice) for p in self.fits], axis=0).tolist()
        x, y, z = np.maximum(largest, self.matrix or (1, 1, 1)).tolist()
        return x, y, z


def find_tables(folder: Path) -> list[Path]:
    """Return LCModel's .table files in a folder, or without any its .csv files, sorted by name.

    Raises
    ------
    FormatError
        If the folder cannot be listed.
    """
    try:
        inside = sorted(p for p in folder.iterdir() if p.name[0] != "." and p.is_file())
    except OSError as error:
        raise FormatError(f"{folder} could not be read: {error.strerror}.") from error
    tables = [path for path in inside if path.suffix.lower() == ".table"]
    return tables or [
        path
        for path in inside
        if path.suffix.lower() == ".csv" and re.match(r"\s*row\s*,\s*col\s*,", _start(path), re.I)
    ]


def read_folder(folder: Path, flip: Sequence[bool] = (False, False, False)) -> LcmodelMaps:
    """Return the maps of a folder of LCModel output, with the affine of an image in it.

    The reference is a NIfTI image of the same matrix; without one, the affine is that of
    `study.json`.

    Raises
    ------
    FormatError
        As `read_tables`; or if there is no output, or images of this matrix differ in their affine.
    GeometryError
        If the stated affine is invalid.
    """
    grid = _read(find_tables(folder), folder)
    reference = _reference_in(folder, grid.extent)
    if reference is None and (stated := read_statement(folder)):
        affine = stated_affine(stated, folder)
        reference = Volume(np.broadcast_to(np.float32(0), grid.extent), affine)
    return _maps(grid, reference, flip)


def read_tables(
    paths: Sequence[Path],
    reference: Volume | None,
    flip: Sequence[bool] = (False, False, False),
) -> LcmodelMaps:
    """Return the maps of LCModel's .table or .csv files.

    Parameters
    ----------
    paths
        Files of one examination.
    reference
        An image of the maps' matrix (X, Y, Z), for their affine; its values are not used.
    flip
        Whether column, row and slice run against the reference's x, y and z.

    Raises
    ------
    FormatError
        If there is no reference, its matrix is not that of the output, two files are of one voxel,
        a file cannot be placed, or no voxel has a valid fit. A file without a valid fit leaves its
        voxel NaN, with a note.
    """
    return _maps(_read(paths, None), reference, flip)


def _read(paths: Sequence[Path], folder: Path | None) -> _Grid:
    """Return all fits of some files."""
    if not paths:
        raise FormatError(
            f"{folder or 'The list of files'} holds no output of LCModel. Expected "
            "<prefix>_sl<slice>_<row>-<column>.table, or spreadsheets as .csv."
        )
    if len(paths) > MOST_FILES:
        raise FormatError(
            f"{paths[0].parent} holds {len(paths)} tables, more than {MOST_FILES}. Keep one "
            "examination in a folder."
        )
    grid = _Grid()
    for path in paths:
        if path.suffix.lower() == ".csv":
            _read_sheet(path, grid)
        else:
            _read_table(path, grid)
    failed = [path.name for fit, path in grid.fits.values() if fit is None]
    if len(failed) == len(grid.fits):
        raise FormatError(
            f"{paths[0].parent} holds no valid fit in {len(paths)} files of LCModel, such as "
            f"{paths[0].name}. Check whether LCModel ended normally."
        )
    if failed:
        names = ", ".join(failed[:3]) + (" and others" if len(failed) > 3 else "")
        grid.notes.append(
            f"{len(failed)} of {len(grid.fits)} tables hold no valid fit, left out: {names}."
        )
    return grid


def _read_table(path: Path, grid: _Grid) -> None:
    grid.tables = True
    table = parse_table(_text(path, LONGEST_TABLE))
    named = _BY_LCMODEL.fullmatch(path.stem)
    other = _BY_OTHERS.fullmatch(path.stem)
    position = Position(*map(int, named.groups())) if named else table.position
    if position is None and other:
        position = Position(1, int(other[1]), int(other[2]))
    if position is None:
        raise FormatError(
            f"{path} does not state its voxel. Name it <prefix>_sl<slice>_<row>-<column>.table, or "
            "<prefix>_<row>_<column>.table."
        )
    if table.position not in (None, position):
        raise FormatError(
            f"{path} is named as {_place(position)}, but its title states "
            f"{_place(table.position or position)}. Name it as its title."
        )
    if table.matrix is not None:
        if grid.matrix not in (None, table.matrix):
            raise FormatError(
                f"{path} is of a grid of {table.matrix} columns, rows and slices, the tables "
                f"before it of {grid.matrix}. Keep one examination in a folder."
            )
        grid.matrix = table.matrix
    grid.add(position, table.fit, path)


def _read_sheet(path: Path, grid: _Grid) -> None:
    sheet = parse_sheet(_text(path, LONGEST_SHEET))
    if sheet is None:
        raise FormatError(
            f"{path} is not a spreadsheet of LCModel. Expected a first line of "
            '"Row, Col, <metabolite>, <metabolite> %SD, ...".'
        )
    numbers = _SLICE.findall(path.stem)
    for row, column, fit in sheet.fits:
        grid.add(Position(int(numbers[-1]) if numbers else 1, row, column), fit, path)
    if sheet.damaged:
        grid.notes.append(f"{sheet.damaged} lines of {path.name} could not be read.")
    if sheet.ambiguous:
        names = ", ".join(sheet.ambiguous)
        grid.notes.append(f"{path.name} has several columns named {names}: they are left out.")
    if not sheet.fits:
        raise FormatError(f"{path} holds no line with the fit of a voxel. Leave it out.")


def _maps(grid: _Grid, reference: Volume | None, flip: Sequence[bool]) -> LcmodelMaps:
    """Return the maps of all metabolites on the grid of the reference."""
    extent = grid.extent
    where = next(iter(grid.fits.values()))[1].parent
    if reference is None:
        raise FormatError(
            f"{where} does not state where the voxels of LCModel are: a reference image of the "
            f"same matrix {extent} is needed, as .nii or .nii.gz, or study.json with "
            '{"VoxelSize": [x, y, z]} in mm.'
        )
    shape = reference.shape
    if shape != extent and (grid.matrix is not None or any(np.greater(extent, shape))):
        raise FormatError(
            f"The reference image has the matrix {shape}, but the output of LCModel in {where} is "
            f"of {extent}. Give an image on the grid of the spectra."
        )
    fits = [(fit, position) for position, (fit, _) in grid.fits.items() if fit is not None]
    names = list(dict.fromkeys(name for fit, _ in fits for name in fit.amplitude))
    if prod(shape) * (2 * len(names) + 2) > MOST_TABLED:
        raise FormatError(
            f"{len(names)} maps of the matrix {shape} and their CRLB hold more than {MOST_TABLED} "
            f"values. Check the numbers of rows and columns in the names in {where}."
        )
    index = [(p.column - 1, p.row - 1, p.slice - 1) for _, p in fits]

    def volume(values: Iterable[float], unit: str) -> Volume:
        data = np.full(shape, np.nan, np.float32)
        with np.errstate(over="ignore"):
            data[tuple(np.transpose(index))] = np.fromiter(values, np.float64, len(fits))
        axes = tuple(axis for axis, against in enumerate(flip) if against)
        return Volume(np.flip(data, axes).copy(), reference.affine, unit)

    maps = {n: volume((fit.amplitude.get(n, np.nan) for fit, _ in fits), "") for n in names}
    empty = [name for name, found in maps.items() if not _holds_values(found.data)]
    if len(empty) == len(maps):
        raise FormatError(f"{where} holds no amplitude above 0. Check whether LCModel fitted.")
    notes = list(grid.notes)
    if empty:
        notes.append(f"Amplitudes of {', '.join(empty)} are 0 in every voxel: left out.")
    if missing := prod(shape) - len(fits):
        notes.append(f"{missing} of {prod(shape)} voxels have no fit.")
    notes.append(
        "LCModel does not state the direction of rows and columns: compare the maps with the MRI."
    )
    return LcmodelMaps(
        maps={name: found for name, found in maps.items() if name not in empty},
        crlb={
            name: volume((fit.crlb.get(name, np.nan) for fit, _ in fits), "%")
            for name in names
            if name not in empty
        },
        fwhm=volume((fit.fwhm for fit, _ in fits), "ppm") if grid.tables else None,
        snr=volume((fit.snr for fit, _ in fits), "") if grid.tables else None,
        notes=tuple(notes),
    )


def _holds_values(data: FloatArray) -> bool:
    return bool(np.any(np.isfinite(data) & (data != 0)))


def _reference_in(folder: Path, matrix: tuple[int, int, int]) -> Volume | None:
    """Return the first NIfTI image of a matrix in a folder, None if there is none."""
    found: list[tuple[Path, Volume]] = []
    for path in sorted(p for p in folder.iterdir() if is_image(p) and p.name[0] != "."):
        try:
            volume = read_volume(path, allow_empty=True)
        except (FormatError, GeometryError):  # several volumes, spectra: not a reference
            continue
        if volume.shape == matrix:
            found.append((path, volume))
    for path, volume in found[1:]:
        if not np.allclose(volume.affine, found[0][1].affine, atol=1e-3):
            raise FormatError(
                f"{found[0][0]} and {path} both have the matrix {matrix} of the spectra, but not "
                "one affine. Keep only the one on the grid of the spectra."
            )
    return found[0][1] if found else None


def _text(path: Path, limit: int) -> str:
    """Return the text of a file; LCModel writes ASCII, but titles may hold anything."""
    try:
        if not path.is_file():
            raise FormatError(f"{path} does not exist, or is not a file. Check the path.")
        if (size := path.stat().st_size) > limit:
            raise FormatError(
                f"{path} has {size} bytes, far more than LCModel writes. Leave it out."
            )
        return path.read_bytes().removeprefix(BOM_UTF8).decode("latin-1")
    except OSError as error:
        raise FormatError(f"{path} could not be read: {error.strerror}.") from error


def _start(path: Path) -> str:
    """Return the first characters of a file, none if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(40).removeprefix(BOM_UTF8).decode("latin-1")
    except OSError:
        return ""


def _place(position: Position) -> str:
    return f"slice {position.slice}, row {position.row}, column {position.column}"
