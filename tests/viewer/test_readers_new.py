"""`ftddm readers new`: methods by name, and the images of each on the same slices."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tiny import Ftddm, files_in

from ftddm_core.errors import SettingsError
from ftddm_viewer.readers.key import key_path
from ftddm_viewer.readers.methods import Method, method_of, methods_of
from ftddm_viewer.readers.store import Store


def test_methods_by_name() -> None:
    assert [m.name for m in methods_of([])] == ["zero-filling", "FTDDM"]
    assert method_of("bicubic") == Method("bicubic", "bicubic")
    found = method_of("sharp one=ftddm:tau-flow=1,steps=,consistency=exact")
    assert found.name == "sharp one"
    assert found.settings == {"tau_flow": 1.0, "steps": None, "consistency": "exact"}
    assert method_of("ftddm:steps=5").name == "FTDDM steps=5"
    assert method_of("maps:some/where").folder == "some/where"
    assert method_of("theirs=maps:some/where").name == "theirs"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sinc"], "is not a method"),
        (["truth:1", "ftddm"], "is not a method"),
        (["maps"], "lacks the folder"),
        (["ftddm:beauty=1"], "is not a setting"),
        (["ftddm:upscale=2"], "is not a setting"),
        (["ftddm:steps=many"], "takes a number"),
        (["ftddm:tau_flow=7"], "tau"),
        (["ftddm", "ftddm=ftddm:steps=5"], "Two methods"),
    ],
)
def test_what_is_no_method_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        methods_of(words)


@pytest.fixture
def new(study: Path, weights: Path, tmp_path: Path) -> list[Any]:
    """Return the words of a new study of the tiny examination, with a map of another program."""
    words = ["readers", "new", study, "--out", tmp_path / "reading", "--weights", weights]
    return [*words, "--upscale", 2, "--steps", 2, "--slices", 2, "--order", 5]


def images_of(folder: Path) -> dict[tuple[str, str, int], NDArray[np.uint8]]:
    """Return (method, metabolite, slice) -> the image that readers see."""
    key = json.loads(key_path(folder).read_text())
    cases = {case["Number"]: case for case in key["Cases"]}
    store = Store(folder)
    return {
        (image["Method"], cases[image["Case"]]["Metabolite"], cases[image["Case"]]["Slice"]):
            np.asarray(Image.open(io.BytesIO(store.image(code))).convert("RGB"))
        for code, image in key["Images"].items()
    }  # fmt: skip


def test_a_new_study(new: list[Any], ftddm: Ftddm, tmp_path: Path) -> None:
    outcome = ftddm(*new, "--html")
    assert outcome.code == 0
    assert "8 images to rate and 4 pairs to compare" in outcome.out
    folder = tmp_path / "reading"
    images = images_of(folder)
    assert images.keys() == {
        (method, name, k)
        for method in ("zero-filling", "FTDDM")
        for name in ("tNAA", "tCho")
        for k in (0, 1)
    }
    assert len({image.shape for image in images.values()}) == 1
    one, other = images["zero-filling", "tNAA", 1], images["FTDDM", "tNAA", 1]
    assert not np.array_equal(one, other)
    # Title, colour bar, letters and notice are the same: only the map itself differs.
    differs = np.flatnonzero((one != other).any(axis=(1, 2)))
    assert 0.05 * len(one) < differs[0] < differs[-1] < 0.95 * len(one)
    before = files_in(tmp_path)
    again = ftddm(*new)
    assert again.code == 2
    assert "exists already" in again.err
    assert files_in(tmp_path) == before


def test_the_same_order_again(new: list[Any], ftddm: Ftddm, tmp_path: Path) -> None:
    new += ["--metabolite", "tNAA", "--slice", 1, "--method", "bicubic", "--method", "zero-filling"]
    other = [tmp_path / "other" if word == tmp_path / "reading" else word for word in new]
    assert ftddm(*new).code == ftddm(*other).code == 0
    one, two = files_in(tmp_path / "reading"), files_in(tmp_path / "other")
    one.pop("study.sqlite3")  # has an identity of its own
    two.pop("study.sqlite3")
    assert one == two
    assert [*Store(tmp_path / "reading").trials.values()] == [
        *Store(tmp_path / "other").trials.values()
    ]


def test_saved_maps_are_shown_as_the_method_that_made_them(
    new: list[Any], study: Path, weights: Path, ftddm: Ftddm, tmp_path: Path
) -> None:
    run = ["run", study, "--weights", weights, "--upscale", 2, "--steps", 2]
    assert ftddm(*run, "--out", tmp_path / "run").code == 0
    new += ["--metabolite", "tCho", "--method", "ftddm"]
    outcome = ftddm(*new, "--method", f"saved=maps:{tmp_path / 'run'}")
    assert outcome.code == 0
    images = images_of(tmp_path / "reading")
    for k in (0, 1):
        drawn = images["FTDDM", "tCho", k].astype(int)
        assert np.abs(drawn - images["saved", "tCho", k]).max() <= 6  # a step of the colour map
        assert drawn.std() > 10


def test_maps_on_another_grid_and_in_another_unit(
    new: list[Any], study: Path, ftddm: Ftddm, tmp_path: Path
) -> None:
    """The acquired maps themselves, as those of another program: coarser voxels, same place."""
    words = [*new, "--method", "zero-filling", "--method", f"as acquired=maps:{study}"]
    outcome = ftddm(*words, "--metabolite", "tCho")
    assert outcome.code == 0
    assert "note:" not in outcome.out
    images = images_of(tmp_path / "reading")
    assert {name for _, name, _ in images} == {"tCho"}
    one, other = images["zero-filling", "tCho", 0], images["as acquired", "tCho", 0]
    inside = slice(one.shape[0] // 3, 2 * one.shape[0] // 3)
    mean = [image[inside, inside].mean() for image in (one, other)]
    assert mean[0] == pytest.approx(mean[1], rel=0.1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--metabolite", "Gln"], "no map of Gln"),
        (["--slice", 7], "no slice 7"),
        (["--method", "zero-filling"], "two methods"),
        (["--method", "truth", "--method", "ftddm"], "truth is known only"),
    ],
)
def test_what_cannot_be_made_is_one_line(
    new: list[Any], ftddm: Ftddm, tmp_path: Path, words: list[Any], message: str
) -> None:
    outcome = ftddm(*new, *words)
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "reading").exists()
    assert not key_path(tmp_path / "reading").exists()
