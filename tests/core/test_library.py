"""The library as a user meets it: its names, short descriptions, and studies of arrays."""

from __future__ import annotations

import pydoc
import re
from dataclasses import replace
from importlib.metadata import version
from threading import Event
from typing import Any

import numpy as np
import pytest
from resolving import QUICK, phantom

import ftddm_core
from ftddm_core import SamplerSettings, Study, SuperResolver, Volume
from ftddm_core.errors import Cancelled, FormatError, GeometryError
from ftddm_core.imaging.volume import Outside

SHAPE = (14, 12, 3)
VOXEL = (10.0, 9.0, 12.0)
RNG = np.random.default_rng(0)
MAP = RNG.random(SHAPE)
MAPS = {"tNAA": MAP, "tCr": 2 * MAP}
PUBLIC = {
    "Cancelled", "FtddmError", "Result", "SamplerSettings", "Study", "SuperResolver", "Volume",
    "check_pair", "open_study", "save_result",
}  # fmt: skip


# ---------------------------------------------------------------- names


def test_the_public_names_are_listed() -> None:
    assert set(ftddm_core.__all__) == PUBLIC
    assert {*PUBLIC, "__version__"} <= set(dir(ftddm_core))
    for name in PUBLIC:
        assert getattr(ftddm_core, name).__name__ == name
    assert ftddm_core.__version__ == version("ftddm-viewer")
    with pytest.raises(AttributeError, match="has no attribute 'open_studies'"):
        ftddm_core.open_studies  # noqa: B018


def test_help_shows_the_public_names() -> None:
    text = pydoc.plain(pydoc.render_doc(ftddm_core))
    for name in PUBLIC:
        assert re.search(rf"^    (class )?{name}\b", text, re.MULTILINE), name
    assert f"VERSION\n    {ftddm_core.__version__}" in text


# ---------------------------------------------------------------- short descriptions


def test_a_study_in_one_line() -> None:
    study = Study.from_arrays(MAPS, voxel_size=VOXEL, mask=np.ones(SHAPE), t1=np.ones((56, 48, 9)))
    assert repr(study) == "Study(tNAA, tCr; 14x12x3 voxels of 10x9x12 mm; mask, T1)"
    own = replace(study, mask={"tCr": study.grid}, t1=None, crlb={"tCr": study.grid})
    assert repr(own) == "Study(tNAA, tCr; 14x12x3 voxels of 10x9x12 mm; masks, CRLB)"
    assert repr(replace(study, mask=None, t1=None)) == (
        "Study(tNAA, tCr; 14x12x3 voxels of 10x9x12 mm)"
    )
    many = Study.from_arrays({f"m{k}": MAP for k in range(20)}, voxel_size=(3.4, 3.4, 1.25))
    assert repr(many) == (
        "Study(m0, m1, m2, m3, m4, m5 and 14 more; 14x12x3 voxels of 3.4x3.4x1.25 mm)"
    )


def test_a_volume_in_one_line() -> None:
    volume = Volume(MAP, np.diag([3.4, 3.4, 4, 1]), "mM")
    assert repr(volume) == "Volume(14x12x3 voxels of 3.4x3.4x4 mm; mM)"
    assert repr(replace(volume, unit="")) == "Volume(14x12x3 voxels of 3.4x3.4x4 mm)"


def test_resolver_and_result_in_one_line(resolver: SuperResolver) -> None:
    study = phantom((8, 10, 1))
    result = resolver.run(study, QUICK.replace(samples=2, steps=1))
    name = resolver.weights.name
    assert repr(resolver) == f"SuperResolver({name} on cpu)"
    assert repr(result) == (
        f"Result(tNAA, tCho; 16x20x1 voxels of 5x5x9 mm; 2 samples; weights {name} on cpu)"
    )


@pytest.mark.parametrize(
    "settings",
    [
        SamplerSettings(),
        SamplerSettings(upscale=2.5, steps=10, consistency="exact", seed=7),
        SamplerSettings(detail=0, mri_weight=0.0, t_trunc=0),
    ],
)
def test_settings_are_described_by_the_call_that_makes_them(settings: SamplerSettings) -> None:
    assert eval(repr(settings), {"SamplerSettings": SamplerSettings}) == settings
    assert repr(SamplerSettings()) == "SamplerSettings()"
    assert repr(SamplerSettings(steps=10, upscale=4)) == "SamplerSettings(upscale=4.0, steps=10)"


# ---------------------------------------------------------------- studies of arrays


def test_a_study_of_arrays_holds_what_was_given() -> None:
    mask = MAP > 0.5
    study = Study.from_arrays(
        MAPS, voxel_size=VOXEL, mask=mask, crlb={"tCr": 10 * MAP}, unit="mM", label="sub-3",
        outside="empty",
    )  # fmt: skip
    np.testing.assert_array_equal(study.maps["tCr"].data, (2 * MAP).astype(np.float32))
    np.testing.assert_array_equal(study.grid.affine, np.diag([*VOXEL, 1]))
    assert study.grid.voxel_size == VOXEL
    found = study.mask_of("tNAA")
    assert found is not None
    np.testing.assert_array_equal(found.data, mask)
    np.testing.assert_array_equal(study.crlb["tCr"].data, (10 * MAP).astype(np.float32))
    assert {volume.unit for volume in study.maps.values()} == {"mM"}
    assert study.label == "sub-3"
    assert study.outside is Outside.EMPTY


def test_arrays_are_copied() -> None:
    """A change of the caller's array does not change the study behind its self-check."""
    mine = MAP.astype(np.float32)
    study = Study.from_arrays({"tNAA": mine}, voxel_size=VOXEL)
    mine[...] = 0
    np.testing.assert_array_equal(study.grid.data, MAP.astype(np.float32))


def test_lists_of_numbers_are_arrays() -> None:
    study = Study.from_arrays({"tNAA": [[[1], [2]], [[3], [4]]]}, voxel_size=[10, 10, 10])
    np.testing.assert_array_equal(study.grid.data[..., 0], [[1, 2], [3, 4]])
    assert Volume([[[1.5]]], np.eye(4)).data.dtype == np.float64  # type: ignore[arg-type]


def test_an_mri_array_fills_the_field_of_view() -> None:
    """The outer edges of its first and last voxels are those of the maps'."""
    affine = np.array([[-10.0, 0, 0, 65], [0, 9, 0, -54], [0, 0, 12, 3], [0, 0, 0, 1]])
    mri = RNG.random((56, 36, 9))
    study = Study.from_arrays({"tNAA": MAP}, affine=affine, t1=mri, flair=Volume(mri, np.eye(4)))
    assert study.t1 is not None
    assert study.flair is not None
    np.testing.assert_array_equal(study.flair.affine, np.eye(4))
    for corner in (np.zeros(3), np.ones(3)):
        ends = [v.affine @ [*(corner * v.shape - 0.5), 1] for v in (study.grid, study.t1)]
        np.testing.assert_allclose(ends[0], ends[1], atol=1e-9)


GOOD: dict[str, Any] = {"maps": MAPS, "voxel_size": VOXEL}


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"maps": {}}, FormatError, "holds no metabolite map"),
        ({"maps": [MAP]}, FormatError, "maps must be a dict of .* found list"),
        ({"maps": {3: MAP}}, FormatError, "names of metabolites, found 3"),
        ({"maps": {"tNAA": MAP + 1j}}, FormatError, r"tNAA has complex values \(complex128\)"),
        ({"maps": {"tNAA": "map.nii"}}, FormatError, "tNAA is str: give an array of real"),
        ({"maps": {"tNAA": None}}, FormatError, "tNAA is NoneType: give an array of real"),
        ({"maps": {"tNAA": [["a"]]}}, FormatError, "tNAA is an array of <U1: give an array"),
        ({"maps": {"tNAA": [[1], [2, 3]]}}, FormatError, "tNAA cannot be made an array"),
        ({"maps": {"tNAA": MAP[..., 0]}}, GeometryError, r"shape \(14, 12\): for one slice give"),
        ({"maps": {"tNAA": MAP[None]}}, GeometryError, r"tNAA needs three dim.*\(1, 14, 12, 3\)"),
        ({"maps": {"tNAA": MAP[:0]}}, GeometryError, r"tNAA needs .* shape \(0, 12, 3\)"),
        (
            {"maps": {"tNAA": MAP, "tCr": MAP[1:]}},
            GeometryError,
            r"one shape: tNAA has \(14, 12, 3\), tCr has \(13, 12, 3\)",
        ),
        ({"voxel_size": None}, GeometryError, "one of the two; found neither"),
        ({"affine": np.eye(4)}, GeometryError, "one of the two; found both"),
        ({"voxel_size": (10, 10)}, GeometryError, r"three lengths in mm, found \(10, 10\)"),
        ({"voxel_size": "large"}, GeometryError, "three lengths in mm, found 'large'"),
        ({"voxel_size": (10, 0, 10)}, GeometryError, r"above 0 mm, found \(10, 0, 10\)"),
        ({"voxel_size": None, "affine": np.eye(3)}, GeometryError, "affine must be a finite 4x4"),
        (
            {"voxel_size": None, "affine": np.diag([np.nan, 1, 1, 1])},
            GeometryError,
            r"affine must be a finite 4x4 matrix, found array\(\[\[nan",
        ),
        (
            {"voxel_size": None, "affine": np.zeros((4, 4))},
            GeometryError,
            "axes are not independent",
        ),
        ({"mask": MAP[1:]}, GeometryError, r"mask has the shape \(13, 12, 3\), the maps have"),
        ({"mask": {"Glu": MAP}}, FormatError, "for Glu, but there is no such map; there are tNAA"),
        ({"mask": {"tNAA": MAP * 1j}}, FormatError, "The mask of tNAA has complex values"),
        ({"crlb": {"Glu": MAP}}, FormatError, "A CRLB is for Glu, but there is no such map"),
        ({"crlb": {"tNAA": MAP[1:]}}, GeometryError, r"The CRLB of tNAA has the shape \(13"),
        ({"crlb": MAP}, FormatError, "crlb must be a dict .* found ndarray"),
        ({"t1": MAP[0]}, GeometryError, r"t1 needs three dimensions, found the shape \(12, 3\)"),
        ({"flair": MAP * 1j}, FormatError, "flair has complex values"),
        ({"outside": "zero"}, FormatError, "outside cannot be 'zero': give seen or empty"),
        ({"label": 7}, FormatError, "label must be a string, found int"),
        ({"unit": None}, FormatError, "unit must be a string, found NoneType"),
    ],
)
def test_what_is_not_a_study_is_refused_in_words(
    changes: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words) as caught:
        Study.from_arrays(**{**GOOD, **changes})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"maps": {"tNAA": MAP}}, "tNAA must be a Volume, found ndarray: Study.from_arrays takes"),
        ({"maps": {"tNAA": None}}, "tNAA must be a Volume, found NoneType"),
        ({"maps": {7: Volume(MAP, np.eye(4))}}, "names of metabolites, found 7"),
        ({"maps": [Volume(MAP, np.eye(4))]}, "must be a dict of .* found list"),
        ({"t1": MAP}, "t1 must be a Volume, found ndarray"),
        ({"mask": MAP}, "mask must be a Volume, found ndarray"),
        ({"mask": {"tNAA": MAP}}, "the mask of tNAA must be a Volume, found ndarray"),
        ({"mask": {"tNA": Volume(MAP, np.eye(4))}}, "A mask is for tNA, but there is no such map"),
    ],
)
def test_a_study_itself_refuses_what_is_not_an_image(parts: dict[str, Any], words: str) -> None:
    good: dict[str, Any] = {"maps": {"tNAA": Volume(MAP, np.eye(4))}}
    with pytest.raises(FormatError, match=words):
        Study(**{**good, **parts})


def test_a_volume_of_complex_values_is_refused() -> None:
    with pytest.raises(FormatError, match="A volume has complex values"):
        Volume(MAP * 1j, np.eye(4))  # type: ignore[arg-type]
    with pytest.raises(GeometryError, match="affine must be a finite 4x4 matrix, found 'none'"):
        Volume(MAP, "none")  # type: ignore[arg-type]


def test_arrays_give_the_result_of_the_same_files(resolver: SuperResolver) -> None:
    study = phantom((8, 10, 1))
    assert isinstance(study.mask, Volume)
    again = Study.from_arrays(
        {name: volume.data for name, volume in study.maps.items()},
        affine=study.grid.affine,
        mask=study.mask.data,
        t1=study.t1,
        flair=study.flair,
        unit="mM",
    )
    first, second = (resolver.run(each, QUICK) for each in (study, again))
    for name, volume in first.maps.items():
        np.testing.assert_array_equal(volume.data, second.maps[name].data)


# ---------------------------------------------------------------- progress and cancel


def test_progress_rises_to_the_end(resolver: SuperResolver) -> None:
    told: list[float] = []
    resolver.run(phantom((8, 10, 2)), QUICK, progress=told.append)
    assert told == sorted(told)
    assert 0 < told[0] < told[-1] == 1


def test_a_run_is_cancelled_from_its_progress(resolver: SuperResolver) -> None:
    stop, told = Event(), []

    def progress(done: float) -> None:
        told.append(done)
        stop.set()

    with pytest.raises(Cancelled, match=r"Stopped"):
        resolver.run(phantom((8, 10, 4)), QUICK, progress=progress, cancelled=stop.is_set)
    assert len(told) == 1
