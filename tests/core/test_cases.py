"""Small studies as producers write them, each with what must happen when it is opened.

They are made by a script outside the repository, which also states what must happen.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ftddm_core.errors import FtddmError
from ftddm_core.imaging.geometry import regrid_nearest
from ftddm_core.imaging.io import encode_volume, open_study, read_volume
from ftddm_core.imaging.io.surveyed import ChoiceNeeded
from ftddm_core.imaging.volume import Study
from ftddm_core.sampling.guides import default_mask
from ftddm_core.saving.names import study_label

SCRIPT = Path(__file__).parents[3] / "shared" / "cases" / "make_cases.py"
NAMES = (
    *("fslmrs-root", "fslmrs-concs-only", "vienna", "bids-two-signals", "bids-old-names"),
    *("bids-session-tree", "bids-two-sessions", "spikemask", "spikemask-qcmask"),
    *("segmentations-beside", "t1-names", "empty-fit-failed", "b0-and-water", "pair-hdr-img"),
    *("minc-or-mgh", "crlb-fraction", "mask-probability", "mask-inverted", "mask-labels"),
    *("failed-minus-one", "ratio-input", "same-output-name", "huge-value", "qform-sform-differ"),
    *("qform-mirrored", "codes-zero", "unlocalised-axis", "rounding", "slices-first"),
    *("t1-elsewhere", "t1-constant", "git-annex", "symlink-loop", "damaged-crlb"),
)


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    if not SCRIPT.is_file():
        pytest.skip(f"needs {SCRIPT.name}, which is not part of the repository")
    folder = tmp_path_factory.mktemp("cases")
    subprocess.run([sys.executable, SCRIPT, folder], check=True, capture_output=True)
    return folder, json.loads((folder / "cases.json").read_text())


def trusted(study: Study, name: str) -> np.ndarray:
    grid = study.grid
    mask = study.mask_of(name) or default_mask(study.maps[name])
    return regrid_nearest(mask, grid.shape, grid.affine).data > 0


def test_the_script_makes_the_cases_that_are_tested(cases):
    assert set(cases[1]) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_case_opens_as_it_must(cases, name, tmp_path):
    folder, table = cases
    wanted = table[name]
    place = folder / name / wanted.get("open", "")
    if "ask" in wanted:
        with pytest.raises(ChoiceNeeded) as asked:
            open_study(place)
        for words in (wanted["ask"], *wanted.get("warn", ())):
            assert words in str(asked.value)
        return
    if "refused" in wanted:
        with pytest.raises(FtddmError, match=wanted["refused"]) as refused:
            open_study(place)
        assert "\n" not in str(refused.value)
        return
    study = open_study(place)
    first = next(iter(study.maps))
    if wanted["maps"]:
        means = {n: v.data[trusted(study, n)].mean() for n, v in study.maps.items()}
        assert means == pytest.approx(wanted["maps"], rel=2e-3)
    if "maps_named" in wanted:
        assert list(study.maps) == wanted["maps_named"]
    if wanted["trusted"] is not None:
        assert trusted(study, first).sum() == wanted["trusted"]
    for words in wanted.get("warn", ()):
        assert any(words in note for note in study.notes), study.notes
    if "crlb" in wanted:
        assert sorted(study.crlb) == sorted(wanted["crlb"])
    for metabolite, percent in wanted.get("crlb_percent", {}).items():
        assert study.crlb[metabolite].data.max() == pytest.approx(percent)
    if "t1" in wanted:
        assert wanted["t1"] in study.source["t1"]
    if "label" in wanted:
        assert study_label(study) == wanted["label"]
    if "offered" in wanted:
        last = wanted["offered"].split()[-1].removesuffix(".nii.gz")
        assert any("offered" in note or last in note for note in study.notes), study.notes
    if "output_codes" in wanted:
        (tmp_path / "out.nii.gz").write_bytes(encode_volume(study.grid))
        header = read_volume(tmp_path / "out.nii.gz").header
        assert int(header["sform_code"]) == int(header["qform_code"]) == wanted["output_codes"]
    if "enlarged_axes" in wanted:
        assert [study.grid.stored[axis] for axis in (0, 1)] == wanted["enlarged_axes"]
    if "either" in wanted:
        assert study.notes
