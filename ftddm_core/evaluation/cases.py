"""Cases for the comparison of methods: high-resolution studies with a known truth."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftddm_core.errors import FormatError, GeometryError, SettingsError
from ftddm_core.evaluation.protocol import Protocol
from ftddm_core.imaging.degrade import acquired_matrix, coarse_matrix, degrade
from ftddm_core.imaging.fourier import Matrix, truncate
from ftddm_core.imaging.geometry import regrid_nearest
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.phantom.anatomy import Anatomy, world_points
from ftddm_core.phantom.patient import Patient, Slab, lay_slab, scan_coarsely, scan_slab
from ftddm_core.sampling.condition import Condition, form_conditions

BoolArray = NDArray[np.bool_]

SMALLEST_TRUTH = 24
"""Smallest acquired matrix of a truth: at 8x, it leaves three samples per axis."""

TRUSTED_AREA = 3500.0
"""Smallest trusted area in mm2 of a simulated slab's middle slice; patients with less are
redrawn."""

DRAWS = 50
"""Largest number of draws to find a patient that shows enough brain."""


@dataclass(frozen=True, eq=False)
class Case:
    """A study with its truth.

    Parameters
    ----------
    name
        Name of the patient, the unit of the bootstrap.
    anatomy
        Label map it was simulated from; "" for a given study.
    study
        High-resolution maps with a mask, inside which they are the truth.
    noise_free
        The same maps without noise; None where unknown.
    tumour
        Voxels (Nx, Ny, Z) of the tumour; None where unknown.
    simulated
        Whether the maps are simulated.
    output
        In-plane matrix of the methods' maps, if larger than the truth's: the maps are truncated to
        the truth's matrix before the comparison.
    scans
        Factor -> the same patient scanned at a coarse matrix, with its own noise and point spread;
        may be empty.
    from_scans
        Whether methods get these scans, or else the truth's truncated k-space.
    whole
        Whether that k-space includes the signal outside the mask, as in a coarse scan of the whole
        field of view.
    """

    name: str
    anatomy: str
    study: Study
    noise_free: Study | None = None
    tumour: BoolArray | None = None
    simulated: bool = True
    output: Matrix | None = None
    scans: Mapping[float, Study] = field(default_factory=dict)
    from_scans: bool = False
    whole: bool = False

    @property
    def matrix(self) -> Matrix:
        """In-plane matrix of the truth."""
        nx, ny, _ = self.study.grid.shape
        return nx, ny

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the study, in hexadecimal."""
        total = hashlib.sha256(self.name.encode())
        roles: dict[str, Volume | None] = {"t1": self.study.t1, "flair": self.study.flair}
        for name, volume in self.study.maps.items():
            roles |= {name: volume, f"mask of {name}": self.study.mask_of(name)}
        for role, image in roles.items():
            if image is not None:
                total.update(json.dumps([role, image.shape, image.affine.tolist()]).encode())
                total.update(np.ascontiguousarray(image.data, np.float32).tobytes())
        return total.hexdigest()

    def mask(self, metabolite: str) -> BoolArray:
        """Return the trusted voxels (Nx, Ny, Z) of a map.

        Raises
        ------
        GeometryError
            If there is no mask.
        """
        given, grid = self.study.mask_of(metabolite), self.study.grid
        if given is None:
            raise GeometryError(f"{self.name}: {metabolite} has no mask; give trusted voxels.")
        return np.asarray(regrid_nearest(given, grid.shape, grid.affine).data > 0)

    def seen(self, image: NDArray[np.float32], metabolite: str) -> NDArray[np.float32]:
        """Return a method's map at the resolution of the truth's scan, (Nx, Ny, Z)."""
        if self.output is None:
            return image
        shown = np.maximum(truncate(image, self.matrix), 0) * self.mask(metabolite)
        return np.asarray(shown, np.float32)

    def truth(self, metabolite: str, *, noise_free: bool = False) -> NDArray[np.float64]:
        """Return a map (Nx, Ny, Z) inside its mask, with or without noise.

        Raises
        ------
        FormatError
            If the noise-free map is unknown.
        """
        source = self.noise_free if noise_free else self.study
        if source is None or metabolite not in source.maps:
            raise FormatError(f"{self.name}: no noise-free map of {metabolite} is known.")
        data = source.maps[metabolite].data
        held = self.mask(metabolite) & np.isfinite(data)
        return np.where(held, data, 0).astype(np.float64)

    def acquired(
        self, factor: float, metabolites: Sequence[str], drop: Sequence[str] = ()
    ) -> Study:
        """Return the maps at a coarse matrix, as a user would open them.

        Parameters
        ----------
        factor
            Factor by which the maps are degraded.
        metabolites
            Maps to use; those missing from the study are left out.
        drop
            "t1", "flair": MRI withheld from the method.

        Raises
        ------
        FormatError
            If the study has none of the maps.
        """
        nothing: dict[str, Any] = dict.fromkeys(drop)
        source = self.scans[factor] if self.from_scans else self.study
        maps = {name: volume for name, volume in source.maps.items() if name in metabolites}
        low = replace(source, maps=maps, **nothing)
        return low if self.from_scans else degrade(low, factor, whole=self.whole)

    def conditions(
        self, factor: float, metabolites: Sequence[str], drop: Sequence[str] = ()
    ) -> dict[str, Condition]:
        """Return the network inputs of the maps at a coarse matrix, by metabolite.

        The `metabolite` of a condition includes case and factor, so that many can be sampled
        together and no two get the same noise.

        Parameters and errors are those of `acquired`.
        """
        low = self.acquired(factor, [n for n in metabolites if n in self.study.maps], drop)
        found = {}
        for condition in form_conditions(low, factor, self.output or self.matrix):
            name = condition.metabolite
            found[name] = replace(condition, metabolite=f"{self.name} {name} x{factor:g}")
        return found


@dataclass(frozen=True, eq=False)
class Simulated:
    """A simulated patient with a tumour in the middle of a slab, and the scanned study.

    Parameters
    ----------
    name, anatomy
        Names of the patient and of the label map.
    patient, slab
        The patient and the scanned slab.
    study, noise_free
        The high-resolution maps, with and without noise.
    tumour
        Voxels of the tumour (Nx, Ny, Z).
    key
        Key of the random numbers.
    """

    name: str
    anatomy: str
    patient: Patient
    slab: Slab
    study: Study
    noise_free: Study
    tumour: BoolArray
    key: tuple[int, ...]

    def case(self) -> Case:
        """Return the patient as a case, without coarse scans."""
        return Case(self.name, self.anatomy, self.study, self.noise_free, self.tumour)


def simulated_cases(protocol: Protocol, anatomies: Sequence[Path], patients: int) -> Iterator[Case]:
    """Yield the patients of a protocol, each with a tumour in the middle of its slab.

    Parameters
    ----------
    protocol
        Matrix, voxel, slices and seed.
    anatomies
        Label maps.
    patients
        Number of patients from each label map.

    Raises
    ------
    FormatError
        If a label map cannot be read, or no patient of it shows enough brain.
    """
    for path in anatomies:
        anatomy = Anatomy.load(path)
        for number in range(patients):
            found = simulate(protocol, anatomy, number)
            scans = coarse_scans(found.slab, protocol, found.key, protocol.factors)
            yield replace(found.case(), scans=scans)


def simulate(protocol: Protocol, anatomy: Anatomy, number: int) -> Simulated:
    """Return a patient of a protocol, the same for the same number.

    Raises
    ------
    FormatError
        If no patient of the anatomy shows enough brain.
    """
    voxel = protocol.voxel
    for draw in range(DRAWS):
        key = (protocol.patient_seed, number, draw, zlib.crc32(anatomy.name.encode()))
        rng = np.random.default_rng(key)
        patient = Patient.draw(anatomy, rng, glioma=True)
        if patient.glioma is None:
            continue
        slab = slab_of(protocol, patient, rng, float(patient.glioma.centre[2]))
        study, noise_free = scan_slab(slab, rng)
        grid = study.grid
        lesion = patient.glioma(world_points(grid.shape, grid.affine))
        tumour = np.maximum(lesion.solid, lesion.cells) > 0.5
        shown = slab.mask[..., protocol.slices // 2]
        if shown.sum() * voxel**2 >= TRUSTED_AREA and tumour.any():
            name = f"{anatomy.name}-{number}"
            return Simulated(name, anatomy.name, patient, slab, study, noise_free, tumour, key)
    raise FormatError(
        f"{anatomy.name}: none of {DRAWS} patients shows {TRUSTED_AREA:g} mm2 of brain on a matrix "
        f"of {protocol.matrix} voxels of {voxel:g} mm. Is it a label map of a whole head?"
    )


def slab_of(protocol: Protocol, patient: Patient, rng: np.random.Generator, height: float) -> Slab:
    """Return the protocol's slab of a patient, its middle `height` mm above the brain's."""
    return lay_slab(
        patient,
        rng,
        matrix=protocol.matrix,
        n_slices=protocol.slices,
        voxel=(protocol.voxel,) * 3,
        height=height,
    )


def coarse_scans(
    slab: Slab, protocol: Protocol, key: Sequence[int], factors: Sequence[float]
) -> dict[float, Study]:
    """Return a coarse scan of a slab for every factor."""
    return {
        factor: scan_coarsely(
            slab,
            coarse_matrix(protocol.matrix, factor),
            np.random.default_rng([*key, round(1000 * factor)]),
        )
        for factor in factors
    }


def scanned(case: Case) -> Case:
    """Return a simulated case in which methods get the coarse scans."""
    return replace(case, name=f"{case.name} scanned", from_scans=True)


def given_case(
    name: str,
    study: Study,
    protocol: Protocol,
    noise_free: Study | None = None,
    tumour: Volume | None = None,
    *,
    simulated: bool = False,
) -> Case:
    """Return a case of a given study: its slices with the most trusted voxels.

    Parameters
    ----------
    name, study
        Of the patient; high-resolution maps with a mask.
    protocol
        Number of (adjacent) slices, and metabolites.
    noise_free, tumour
        Where known, on the same grid.
    simulated
        Whether the maps are simulated.

    Raises
    ------
    FormatError
        If the study has none of the protocol's metabolites, or no mask.
    GeometryError
        If it is a low-resolution study: there is no truth to compare with.
    """
    maps = {m: study.maps[m] for m in protocol.metabolites if m in study.maps}
    if not maps:
        raise FormatError(
            f"{name}: none of the protocol's maps ({', '.join(protocol.metabolites)}) is there, "
            f"found {', '.join(study.maps)}. Name them so, or give a protocol with these."
        )
    if any(study.mask_of(metabolite) is None for metabolite in maps):
        raise FormatError(f"{name}: there is no mask; give the voxels to compare in.")
    acquired = acquired_matrix(study)
    if min(acquired) < SMALLEST_TRUTH:
        raise GeometryError(
            f"{name}: the maps hold {acquired[0]}x{acquired[1]} samples, fewer than "
            f"{SMALLEST_TRUTH} per axis: a low-resolution study has no truth to compare with. Give "
            "a high-resolution one, or use this one as the measured study."
        )
    matrix = study.grid.shape[:2]
    if any(n < have - 2 for n, have in zip(acquired, matrix, strict=True)):
        raise GeometryError(
            f"{name}: the {matrix[0]}x{matrix[1]} maps were zero-filled from {acquired[0]}x"
            f"{acquired[1]} samples, so they are no truth at that matrix. Give the acquired maps."
        )
    whole = Case(name, "", replace(study, maps=maps, crlb={}), simulated=simulated)
    area = sum(whole.mask(metabolite).sum((0, 1)) for metabolite in maps)
    slices = min(protocol.slices, study.grid.shape[2])
    start = int(np.convolve(np.asarray(area), np.ones(slices), "valid").argmax())
    stop = start + slices
    marked = None
    if tumour is not None:
        grid = study.grid
        marked = np.asarray(regrid_nearest(tumour, grid.shape, grid.affine).data > 0)
        if marked.any():  # prefer the tumour over a large brain area
            held = marked.sum((0, 1))
            start = int(np.convolve(held, np.ones(slices), "valid").argmax())
            stop = start + slices
        marked = marked[..., start:stop]
    return replace(
        whole,
        study=whole.study.slab(start, stop),
        noise_free=None if noise_free is None else noise_free.slab(start, stop),
        tumour=marked,
    )


def check_names(cases: Sequence[Case]) -> None:
    """Refuse cases of the same name: noise, cache and bootstrap depend on the name.

    Raises
    ------
    SettingsError
        If two cases share a name.
    """
    names = [case.name for case in cases]
    if twice := {name for name in names if names.count(name) > 1}:
        raise SettingsError(
            f"Two studies are called '{min(twice)}': results go by the folder's name, so "
            "give every study's folder its own name."
        )


def find_anatomies(given: Sequence[Path], protocol: Protocol) -> tuple[list[Path], list[Path]]:
    """Return the label maps to test on, and those to choose the temperatures on.

    Of a folder, those named by the protocol are used; a file that the protocol names for the choice
    is used for that, any other file for the test.

    Raises
    ------
    FormatError
        If a folder lacks one that the protocol names, or a file does not exist.
    """
    choosing = protocol.choice.anatomies if protocol.choice else ()
    test: dict[str, Path] = {}
    chosen: dict[str, Path] = {}
    for path in given:
        if path.is_dir():
            named = _named(path)
            for into, names in ((test, protocol.anatomies), (chosen, choosing)):
                for name in names:
                    if name not in named:
                        raise FormatError(
                            f"{path} lacks the label map {name}.nii.gz, which the protocol "
                            f"'{protocol.name}' needs; give the files to use instead."
                        )
                    into[name] = named[name]
        elif path.is_file():
            (chosen if _stem(path) in choosing else test)[_stem(path)] = path
        else:
            raise FormatError(f"{path} is missing: give label maps (NIfTI) or their folder.")
    return list(test.values()), list(chosen.values())


def _named(folder: Path) -> Mapping[str, Path]:
    return {_stem(path): path for path in sorted(folder.glob("*.nii*"))}


def _stem(path: Path) -> str:
    return path.name.split(".")[0]


def record_of(cases: Sequence[Case]) -> dict[str, Any]:
    """Return the numbers of patients, anatomies and slices, and their digest, for the record."""
    digest = hashlib.sha256("".join(case.digest for case in cases).encode()).hexdigest()
    return {
        "patients": len(cases),
        "anatomies": len({case.anatomy for case in cases if case.anatomy}),
        "slices": sum(case.study.grid.shape[2] for case in cases),
        "names": [case.name for case in cases],
        "digest": digest,
    }
