"""A study from NIfTI files, whose names determine their roles.

`ROLES` is the complete convention; extend it to support another one. The first pattern that matches
the whole name without .nii or .nii.gz decides, ignoring case. A name that matches no pattern is a
metabolite map, so that no map is ever left out silently.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io._nifti_file import is_nifti
from ftddm_core.imaging.io.nifti import outside_of, read_maps, read_volume, stem_of, unit_of
from ftddm_core.imaging.volume import Outside, Study, Volume

PathLike = Path | str


class Role(StrEnum):
    """Role of a file."""

    MAP = "metabolite map"
    DERIVED = "derived map"
    """Computed from a map: read only if it is listed and its metabolite has no map."""
    CRLB = "CRLB"
    MASK = "mask"
    """Mask of one metabolite if the preceding part of the name is that of a map, else of the
    study."""
    METABOLITE_MASK = "mask of one metabolite"
    T1 = "T1"
    FLAIR = "FLAIR"
    OTHER = "neither map nor guide"


_MET = r"(?:.*_)?met-(?P<name>[^_]+)"
_REST = r"(?:[_-].*)?"
_LABELS = (
    r"(?:[^_.+-]*(?:seg|segmentations?)|segmented|labels?|labelmap|atlas|\w*parc|parcellations?)"
)
_CRLB = r"crlbs?(?:[_-](?:maps?|percent|perc|pct|relative|rel|mrsi))*"
_CONTRAST = r"(?:contrast|postcontrast|post|ce|gd|gad|gado|gadolinium|enhanced)"
# Processing steps of an image. Not "corrected": tNAA_T1_corrected is a map.
_DONE = (
    r"(?:[_-](?:brain|head|bet|stripped|skullstripped|(?:co)?reg(?:istered)?|resampled|warped|"
    r"native|orig|mni|acpc|n4|norm|preproc|iso|[0-9.]+mm))*"
)
ROLES: tuple[tuple[str, Role], ...] = (
    (_MET + r"_.*mask.*", Role.METABOLITE_MASK),
    (_MET + r"_.*crlb.*", Role.CRLB),
    (_MET + r"_(?:.*_)?desc-signal(?:_.*)?", Role.MAP),
    (r"(?=.*crlb)" + _MET + r"(?:_.*)?", Role.CRLB),
    (_MET + r"_(?:.*_)?desc-.*", Role.DERIVED),
    (_MET + r"(?:_.*)?", Role.MAP),
    (rf"(?:.*[_.+-])?{_LABELS}(?:[_.+-].*)?", Role.OTHER),
    (r"(?P<name>.+)_mask", Role.MASK),
    (rf"(?P<name>.+?)(?:_desc)?[_-]?{_CRLB}", Role.CRLB),
    (rf"(?:.*_)?{_CRLB}[_-](?P<name>.+)", Role.CRLB),
    (r".*crlb.*", Role.CRLB),
    (r".*mask.*", Role.MASK),
    (r"(?:.*_)?ce-.*", Role.OTHER),  # BIDS: with contrast enhancement
    (rf"(?:.*_)?(?:T1w?|FLAIR)[_+-]?(?:{_CONTRAST}|c){_REST}", Role.OTHER),
    (rf"(?:.*_)?(?:T1w?|FLAIR)[_-].*(?<!pre)[_-](?:{_CONTRAST}|c){_REST}", Role.OTHER),
    (rf"(?:.*(?<!pre)_)?{_CONTRAST}_(?:T1w?|FLAIR){_REST}", Role.OTHER),
    (rf"(?:.*_)?(?:T1w?|T2w?)[_-]?map{_REST}", Role.OTHER),
    (rf"(?:.*_)?(?:T1w{_REST}|T1{_DONE})", Role.T1),
    (rf"(?:.*_)?(?:T2w?[_-]?)?FLAIR{_REST}", Role.FLAIR),
    (rf"(?:.*_)?(?:T2w|T2star|PDw|SWI|DWI|ADC|bold){_REST}", Role.OTHER),
    (rf"(?:.*_)?(?:T2|PD|B0|B1){_DONE}", Role.OTHER),
    (r"(?:.*_)?(?:snr|fwhm|linewidth)", Role.OTHER),
    (r".*_desc-(?!signal)[^_]*_mrsi", Role.OTHER),
    (r"(?P<name>.+?)_(?:desc-)?ftddm.*", Role.DERIVED),
    (r"(?P<name>.+)", Role.MAP),
)
_MASKS = (Role.MASK, Role.METABOLITE_MASK)
_PATTERNS = tuple((re.compile(pattern, re.IGNORECASE), role) for pattern, role in ROLES)


class _File(NamedTuple):
    path: Path
    role: Role
    name: str
    """Name of the metabolite; "" if the file's name has none."""
    listed: bool
    """Whether it was named by the user, not found in a folder."""


_Named = dict[str, tuple[Volume, Path]]
"""Metabolite -> its volume and the file it came from."""


def can_read(paths: Sequence[PathLike]) -> bool:
    """Return whether every path is a folder, or has the name of a NIfTI file or its sidecar."""
    known = (p.is_dir() or is_nifti(p) or p.suffix == ".json" for p in map(Path, paths))
    return bool(paths) and all(known)


def holds_map(paths: Sequence[PathLike]) -> bool:
    """Return whether there is a map among existing files and folders, by their names alone."""
    return any(f.role is Role.MAP or (f.role is Role.DERIVED and f.listed) for f in _find(paths))


def classify(path: PathLike) -> tuple[Role, str]:
    """Return a file's role and its metabolite ("" if it has none), by its name alone."""
    stem = stem_of(Path(path))
    for pattern, role in _PATTERNS:
        if match := pattern.fullmatch(stem):
            return role, match.groupdict().get("name") or ""
    return Role.OTHER, ""


def read_study(
    paths: PathLike | Sequence[PathLike],
    t1: PathLike | None = None,
    flair: PathLike | None = None,
    mask: PathLike | None = None,
) -> Study:
    """Read the maps of one examination, and its mask and MRI.

    Parameters
    ----------
    paths
        A folder, whose NIfTI files are read without those of subfolders, or a list of files. Names
        are interpreted by `ROLES`; a CRLB or `met-` mask without its map is ignored. A 4D file
        holds several maps, named by its sidecar.
    t1, flair, mask
        Files that take these roles, with priority over those in `paths`.

    Returns
    -------
    Study
        Maps in the unit stated by their sidecar or the study's, which also states the content
        outside the mask (`nifti.outside_of`), CRLB in per cent; the keys of `source` are "t1",
        "flair", "mask", a map's name, and that name followed by "_crlb" or "_mask".

    Raises
    ------
    FormatError
        If a path does not exist, there is no map, two files claim one role, a file cannot be read,
        or sidecars disagree about the content outside the mask.
    GeometryError
        If the maps do not share one grid, or an affine is singular.
    """
    given = {
        role: Path(path)
        for role, path in ((Role.T1, t1), (Role.FLAIR, flair), (Role.MASK, mask))
        if path is not None
    }
    taken = {path.resolve() for path in given.values()}
    listed = [paths] if isinstance(paths, str | Path) else paths
    files = [file for file in _find(listed) if file.path.resolve() not in taken]

    maps = _read_named(f for f in files if f.role is Role.MAP)
    maps |= _read_named(
        f for f in files if f.role is Role.DERIVED and f.listed and _spelling(f.name, maps) is None
    )
    if not maps:
        raise FormatError(_no_maps(listed, files))
    maps = {name: (replace(v, unit=unit_of(path)), path) for name, (v, path) in maps.items()}
    crlb = _read_named((f for f in files if f.role is Role.CRLB), allow_empty=True, of=maps)
    own_masks: _Named = {}
    if Role.MASK not in given:
        of_one = [f for f in files if f.role in _MASKS and _spelling(f.name, maps) is not None]
        own_masks = _read_named(of_one, of=maps)
        files = [f for f in files if f not in of_one]

    single: dict[Role, tuple[Volume, Path]] = {}
    for role in (Role.T1, Role.FLAIR, Role.MASK):
        path = given.get(role) or _only(role, files)
        if path is not None:
            single[role] = read_volume(path), path

    study_mask = single[Role.MASK][0] if Role.MASK in single else None
    masks = {name: own_masks[name][0] if name in own_masks else study_mask for name in maps}
    return Study(
        maps={name: volume for name, (volume, _) in maps.items()},
        mask={n: m for n, m in masks.items() if m is not None} if own_masks else study_mask,
        t1=single[Role.T1][0] if Role.T1 in single else None,
        flair=single[Role.FLAIR][0] if Role.FLAIR in single else None,
        crlb={name: replace(volume, unit="%") for name, (volume, _) in crlb.items()},
        outside=_outside(path for _, path in maps.values()),
        source={
            **{role.name.lower(): str(path) for role, (_, path) in single.items()},
            **{name: str(path) for name, (_, path) in maps.items()},
            **{f"{name}_crlb": str(path) for name, (_, path) in crlb.items()},
            **{f"{name}_mask": str(path) for name, (_, path) in own_masks.items()},
        },
    )


def _outside(paths: Iterable[Path]) -> Outside:
    """Return the content outside the mask, common to all maps."""
    stated = {outside_of(path): path for path in paths}
    if len(stated) > 1:
        found = ", ".join(f"{path.name}: {outside}" for outside, path in stated.items())
        raise FormatError(
            f"The maps' sidecars disagree about OutsideMask ({found}): open them one at a time."
        )
    return next(iter(stated))


def _find(paths: Sequence[PathLike]) -> list[_File]:
    """Return the files of the paths, each once, with their roles."""

    def expand() -> Iterator[tuple[Path, bool]]:
        for path in map(Path, paths):
            if path.is_dir():
                # Hidden files are artefacts of file systems ("._tNAA.nii.gz").
                inside = (p for p in path.iterdir() if is_nifti(p) and p.name[0] != ".")
                yield from ((p, False) for p in sorted(inside))
            elif path.exists():
                if path.suffix != ".json":  # a sidecar is read together with its image
                    yield path, True
            else:
                raise FormatError(f"{path} does not exist. Check the path.")

    unique = {path.resolve(): (path, listed) for path, listed in expand()}
    return [_File(path, *classify(path), listed) for path, listed in unique.values()]


def _spelling(name: str, of: Iterable[str]) -> str | None:
    """Return a metabolite's name as spelled in `of`, ignoring case."""
    return next((other for other in of if other.casefold() == name.casefold()), None)


def _read_named(
    files: Iterable[_File], *, allow_empty: bool = False, of: Iterable[str] | None = None
) -> _Named:
    """Read files of one role; with `of`, keep those metabolites and spell them that way."""
    found: _Named = {}
    for file in files:
        for name, volume in read_maps(file.path, file.name, allow_empty=allow_empty).items():
            key = name if of is None else _spelling(name, of)
            if key is None:
                continue
            if (rival := _spelling(key, found)) is not None:
                raise FormatError(
                    f"{found[rival][1]} and {file.path} both claim to be the {file.role} of "
                    f"{key}. Keep or list only one of them."
                )
            found[key] = volume, file.path
    return found


def _only(role: Role, files: Iterable[_File]) -> Path | None:
    """Return the only file of a role, None if there is none."""
    paths = [file.path for file in files if file.role is role]
    if len(paths) > 1:
        raise FormatError(
            f"{paths[0]} and {paths[1]} both claim to be the {role} of the study. "
            f"Keep only one of them, or name it as {role.name.lower()}."
        )
    return paths[0] if paths else None


def _no_maps(paths: Sequence[PathLike], files: Sequence[_File]) -> str:
    where = ", ".join(str(path) for path in paths) or "The list of files"
    found = ", ".join(f"{file.path.name} ({file.role})" for file in files[:8])
    more = f" and {len(files) - 8} more" if len(files) > 8 else ""
    return (
        f"{where} holds no metabolite map; found {found or 'no .nii or .nii.gz file'}{more}. "
        "Name maps <metabolite>.nii.gz or ..._met-<metabolite>_desc-signal_mrsi.nii.gz."
    )
