"""What a user decides about a study's files, where names and headers leave it open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from math import isfinite
from pathlib import Path
from typing import Any, Self

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io.roles import CHOOSABLE, OF_ONE_METABOLITE, Role

PERCENT, FRACTION = "per cent", "fraction"


def role_key(role: Role) -> str:
    """Return the short name of a role, as in "quality-mask".

    >>> role_key(Role.QUALITY_MASK), role_key(Role.CRLB)
    ('quality-mask', 'crlb')
    """
    return role.name.lower().replace("_", "-")


ROLE_OF_KEY = {role_key(role): role for role in CHOOSABLE}
"""Short name -> role that a user may give to a file."""


def parse_role(text: str) -> tuple[Role, str]:
    """Return role and metabolite of a text such as "t1" or "map:tNAA".

    Raises
    ------
    FormatError
        If there is no such role, or it lacks its metabolite.
    """
    key, _, name = text.partition(":")
    role, name = ROLE_OF_KEY.get(key.strip().casefold()), name.strip()
    if role is None:
        known = ", ".join(
            f"{key}:NAME" if role in OF_ONE_METABOLITE else key for key, role in ROLE_OF_KEY.items()
        )
        raise FormatError(f"There is no role '{key}'. Roles are {known}.")
    if role in OF_ONE_METABOLITE and not name:
        raise FormatError(f"The role '{key}' needs a metabolite, as in '{key}:tNAA'.")
    return role, name


@dataclass(frozen=True)
class Choices:
    """Decisions about a study's files; every field may stay at its default.

    Parameters
    ----------
    roles
        File -> its role, as `parse_role` reads it. A file is a path, or the end of one.
    exclude
        Files that are left out, as in `roles`.
    label
        Name of the examination.
    subject, session
        Which one of a tree, without "sub-" and "ses-".
    scale
        Which variant of the maps, where several are offered: "internal", "filtbiharmonic".
    mask_threshold
        From which value on a mask of probabilities trusts a voxel; 0 to 1.
    mask_labels
        Which labels of a mask with several are trusted.
    crlb_unit
        "per cent" or "fraction"; "" to tell by the values.
    max_crlb
        In per cent: voxels with a larger CRLB are not trusted; None for no limit.
    min_snr
        Voxels with a smaller signal-to-noise ratio are not trusted.
    max_fwhm
        In the unit of its map: voxels with a broader line are not trusted.
    space
        "sform" or "qform", where both are set and differ; "" for the sform.

    Raises
    ------
    FormatError
        If a value is not among those above.
    """

    roles: Mapping[str, str] = field(default_factory=dict)
    exclude: tuple[str, ...] = ()
    label: str = ""
    subject: str = ""
    session: str = ""
    scale: str = ""
    mask_threshold: float = 0.5
    mask_labels: tuple[int, ...] = ()
    crlb_unit: str = ""
    max_crlb: float | None = None
    min_snr: float | None = None
    max_fwhm: float | None = None
    space: str = ""

    def __post_init__(self) -> None:
        for text in self.roles.values():
            parse_role(text)
        if not 0 <= self.mask_threshold < 1:
            raise FormatError(
                f"The threshold of a mask is {self.mask_threshold:g}; give a value from 0 to 1."
            )
        for name in ("max_crlb", "min_snr", "max_fwhm"):
            limit = getattr(self, name)
            if limit is not None and not (isfinite(limit) and limit >= 0):
                raise FormatError(f"{name} is {limit:g}; give a number that is not negative.")
        for name, known in (("crlb_unit", (PERCENT, FRACTION)), ("space", ("sform", "qform"))):
            value = getattr(self, name)
            if value and value not in known:
                raise FormatError(f"{name} is '{value}'; give {' or '.join(known)}.")
        object.__setattr__(self, "subject", self.subject.removeprefix("sub-"))
        object.__setattr__(self, "session", self.session.removeprefix("ses-"))

    @property
    def limits(self) -> bool:
        """Whether voxels are left out by the quality of their fit."""
        return (self.max_crlb, self.min_snr, self.max_fwhm) != (None, None, None)

    def role_of(self, path: Path) -> tuple[Role, str] | None:
        """Return the role and the metabolite chosen for a file, None without a choice."""
        text = next((text for file, text in self.roles.items() if names(file, path)), None)
        return None if text is None else parse_role(text)

    def excludes(self, path: Path) -> bool:
        """Return whether a file is left out by choice."""
        return any(names(file, path) for file in self.exclude)

    def to_dict(self) -> dict[str, Any]:
        """Return the choices that differ from the defaults, for a JSON file."""
        default = asdict(Choices())
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
            if value != default[key]
        }

    def without_places(self) -> Self:
        """Return the choices with every file by its name alone, for a record."""
        return replace(
            self,
            roles={Path(file).name: role for file, role in self.roles.items()},
            exclude=tuple(Path(file).name for file in self.exclude),
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return choices from `to_dict`; unknown entries are ignored."""
        known = {f.name for f in fields(cls)}
        given: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in values.items()
            if key in known
        }
        return cls(**given)


def names(file: str | Path, path: Path) -> bool:
    """Return whether a text names a file: its path, or the end of it from some folder on.

    >>> names("tNAA.nii", Path("a/b/tNAA.nii")), names("NAA.nii", Path("a/b/tNAA.nii"))
    (True, False)
    """
    asked = Path(file).parts
    whole = path.absolute().parts
    return bool(asked) and (
        whole[-len(asked) :] == asked or path.absolute() == Path(file).absolute()
    )
