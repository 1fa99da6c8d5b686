"""Small studies as producers write them, each with what must happen when it is opened.

They are made by a script outside the repository, which also states what must happen.
"""

from __future__ import annotations

import pytest
from cases import NAMES, make_cases, trusted

from ftddm_core.errors import FtddmError
from ftddm_core.imaging.io import encode_volume, open_study, read_volume
from ftddm_core.imaging.io.surveyed import ChoiceNeeded
from ftddm_core.saving.names import study_label


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    return make_cases(tmp_path_factory.mktemp("cases"))


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
