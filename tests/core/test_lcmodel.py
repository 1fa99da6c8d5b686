"""LCModel's tables and spreadsheets: every value at its voxel, and in words what cannot be read."""

from __future__ import annotations

import json
import random
import time

import numpy as np
import pytest
from fuzz_readers import damaged
from properties import oblique_affine, save_nifti

from ftddm_core.errors import FormatError, FtddmError
from ftddm_core.imaging.io import Choices, open_study
from ftddm_core.imaging.io.lcmodel import find_tables, read_folder, read_tables
from ftddm_core.imaging.io.lcmodel_text import parse_sheet, parse_table
from ftddm_core.imaging.volume import Volume

SHAPE = (4, 3, 2)  # columns, rows, slices
AFFINE = oblique_affine(SHAPE)

TABLE = """ LCModel (Version 6.3-1L)
 Slice#1 Row#12 Col#9  patient_press

$$CONC 8 lines in following concentration table = NCONC+1
    Conc.  %SD /Cr+PCr  Metabolite                                         
   81.015  86% 8.3E-02 Ala                                                 
    0.000 999%   0.000 PCh                                                 
 1.64E+03   6%   1.667 NAA                                                 
  416.115  23%   0.424+NAAG                                                
   63.310  29% 6.4E-02-Scyllo                                              
  400.352  19%   0.408 -CrCH2                                              
 2.05E+03   3%   2.091 NAA+NAAG                                            

$$MISC  6 lines in following misc. output table
  FWHM = 0.054 ppm    S/N =  14                                            
  Data shift =-0.008 ppm                                                   
  Ph: -60 deg     -12.4 deg/ppm                                            

$$DIAG  1 lines in following diagnostic table:
   1 info      RFALSI 11                                                  

$$INPU 46 lines in following table of input changes:
 icolen= 14                                                               
 ndcols= 14                                                               
 ndrows= 13                                                               
 ndslic= 3                                                                
"""  # noqa: W291 - as LCModel writes it
SHEET = """Row, Col, NAA, NAA %SD, NAA/Cr+PCr, MM14+Lip13a+L, MM14+Lip13a+L %SD, MM14+Lip13a+L/Cr
  2,   3, 1.64E+03,    8,    1.966, 2.53E+03,   16,    2.837
  1,   4,    0.000,  999,    0.000,  2.0E-02,   29,    0.837
"""


def value(column, row, slice_):
    return 100 * column + 10 * row + slice_


def table(column, row, slice_, title=True, sizes=True):
    """Return the table of one voxel, whose values tell where it belongs."""
    number = value(column, row, slice_)
    top = f" Slice#{slice_} Row#{row} Col#{column}  test\n" if title else " test\n"
    size = f" ndcols= {SHAPE[0]}  \n ndrows= {SHAPE[1]}  \n ndslic= {SHAPE[2]}  \n"
    return (
        f" LCModel (Version 6.3-1L)\n{top}\n"
        "$$CONC 3 lines in following concentration table = NCONC+1\n"
        "    Conc.  %SD /Cr+PCr  Metabolite\n"
        f"{number:9.3f}{slice_ + 4:4d}%   1.000 NAA\n"
        f"{2 * number:9.3f}{row:4d}%   1.000 Cr+PCr\n"
        "    0.000 999%   0.000 Lac\n\n"
        "$$MISC  6 lines in following misc. output table\n"
        f"  FWHM = {number / 1000:.3f} ppm    S/N ={column:4d}\n\n"
    ) + (f"$$INPU 3 lines\n{size}" if sizes else "")


VOXELS = [(x, y, z) for x in (1, 2, 3, 4) for y in (1, 2, 3) for z in (1, 2)]
EXPECTED = np.array(
    [[[value(x, y, z) for z in (1, 2)] for y in (1, 2, 3)] for x in (1, 2, 3, 4)], np.float32
)


@pytest.fixture
def folder(tmp_path):
    for x, y, z in VOXELS:
        (tmp_path / f"patient_sl{z}_{y}-{x}.table").write_text(table(x, y, z))
    return tmp_path


REFERENCE = Volume(np.ones(SHAPE, np.float32), AFFINE)


def test_a_table_reads_to_the_digit():
    found = parse_table(TABLE)
    assert found.position == (1, 12, 9)
    assert found.matrix == (14, 13, 3)
    assert found.fit.amplitude == {
        "Ala": 81.015,
        "PCh": 0.0,
        "NAA": 1640.0,
        "NAAG": 416.115,
        "Scyllo": 63.31,
        "-CrCH2": 400.352,
        "NAA+NAAG": 2050.0,
    }
    assert found.fit.crlb["PCh"] == 999
    assert found.fit.crlb["NAA+NAAG"] == 3
    assert (found.fit.fwhm, found.fit.snr) == (0.054, 14)


@pytest.mark.parametrize(
    "text",
    [
        "",
        TABLE.partition("$$CONC")[0],
        TABLE.replace("$$CONC", "$$CO"),
        TABLE.replace(" 81.015  86%", " 81.015  86"),
        TABLE.replace("Ala", ""),
        TABLE.replace("PCh", "NAA"),
    ],
)
def test_a_table_without_valid_amplitudes_has_no_fit(text):
    assert parse_table(text).fit is None


def test_numbers_that_did_not_fit_are_not_numbers():
    text = TABLE.replace(" 1.64E+03   6%", " ********   6%").replace("= 0.054", "= NaN")
    found = parse_table(text).fit
    assert np.isnan(found.amplitude["NAA"])
    assert found.crlb["NAA"] == 6
    assert np.isnan(found.fwhm)


def test_tables_become_maps(folder):
    found = read_tables(find_tables(folder), REFERENCE)
    assert list(found.maps) == list(found.crlb) == ["NAA", "Cr+PCr"]
    np.testing.assert_array_equal(found.maps["NAA"].data, EXPECTED)
    np.testing.assert_array_equal(found.maps["Cr+PCr"].data, 2 * EXPECTED)
    np.testing.assert_array_equal(found.crlb["NAA"].data[0, 0], [5, 6])
    np.testing.assert_array_equal(found.crlb["Cr+PCr"].data[0, :, 0], [1, 2, 3])
    np.testing.assert_allclose(found.fwhm.data, EXPECTED / 1000, atol=1e-6)
    np.testing.assert_array_equal(found.snr.data[:, 0, 0], [1, 2, 3, 4])
    for volume in (*found.maps.values(), *found.crlb.values(), found.fwhm, found.snr):
        np.testing.assert_array_equal(volume.affine, AFFINE)
    assert {v.unit for v in found.crlb.values()} == {"%"}
    assert found.fwhm.unit == "ppm"
    assert found.notes[0] == "Amplitudes of Lac are 0 in every voxel: left out."
    assert "direction of rows and columns" in found.notes[-1]


def test_what_runs_against_the_reference_is_turned(folder):
    found = read_tables(find_tables(folder), REFERENCE, flip=(False, True, False))
    np.testing.assert_array_equal(found.maps["NAA"].data, EXPECTED[:, ::-1])


@pytest.mark.parametrize(
    "name", ["sl{z}_{y}-{x}.table", "a-sl{z}_{y}-{x}.TABLE", "title{x}{y}{z}.table"]
)
def test_voxels_are_found_by_name_or_title(tmp_path, name):
    for x, y, z in VOXELS:
        (tmp_path / name.format(x=x, y=y, z=z)).write_text(table(x, y, z))
    found = read_tables(find_tables(tmp_path), REFERENCE)
    np.testing.assert_array_equal(found.maps["NAA"].data, EXPECTED)


def test_fits_of_single_voxels_are_placed_by_two_numbers(tmp_path):
    for x, y, z in VOXELS:
        if z == 1:
            text = table(x, y, z, title=False, sizes=False)
            (tmp_path / f"sub-01_{y}_{x}.table").write_text(text)
    reference = Volume(np.ones((4, 3, 1)), np.eye(4))
    found = read_tables(find_tables(tmp_path), reference)
    np.testing.assert_array_equal(found.maps["NAA"].data, EXPECTED[..., :1])


def test_missing_and_failed_voxels_are_empty(folder):
    (folder / "patient_sl1_2-3.table").unlink()
    (folder / "patient_sl2_3-4.table").write_text("LCModel stopped\n")
    (folder / "patient_sl2_1-1.table").write_bytes(b"")
    found = read_tables(find_tables(folder), REFERENCE)
    expected = EXPECTED.copy()
    for x, y, z in ((3, 2, 1), (4, 3, 2), (1, 1, 2)):
        expected[x - 1, y - 1, z - 1] = np.nan
    np.testing.assert_array_equal(found.maps["NAA"].data, expected)
    np.testing.assert_array_equal(np.isnan(found.snr.data), np.isnan(expected))
    said = " ".join(found.notes)
    assert "2 of 23 tables hold no valid fit, left out: patient_sl2_1-1.table" in said
    assert "3 of 24 voxels have no fit" in said


def test_a_metabolite_that_one_fit_lacks_is_empty_there(folder):
    path = folder / "patient_sl1_1-1.table"
    path.write_text(path.read_text().replace(" Cr+PCr\n", " Cho\n"))
    found = read_tables(find_tables(folder), REFERENCE)
    assert np.isnan(found.maps["Cr+PCr"].data[0, 0, 0])
    assert np.isfinite(found.maps["Cho"].data).sum() == 1


def test_a_folder_finds_its_reference(folder):
    save_nifti(folder / "a_T1.nii", np.ones((8, 8, 8), np.float32), np.eye(4))
    save_nifti(folder / "b_stack.nii", np.ones((*SHAPE, 5), np.float32), np.eye(4))
    save_nifti(folder / "c_water.nii.gz", np.zeros(SHAPE, np.float32), AFFINE)
    (folder / "d_bad.nii").write_bytes(b"bad")
    found = read_folder(folder)
    np.testing.assert_allclose(found.maps["NAA"].affine, AFFINE, atol=1e-5)
    np.testing.assert_array_equal(found.maps["NAA"].data, EXPECTED)
    save_nifti(folder / "e_other.nii", np.zeros(SHAPE, np.float32), np.eye(4))
    with pytest.raises(FormatError, match=r"c_water.*e_other.*not one affine"):
        read_folder(folder)


def test_a_folder_may_state_its_voxel_size(folder):
    with pytest.raises(FormatError, match=r"same matrix \(4, 3, 2\) is needed.*study\.json"):
        read_folder(folder)
    (folder / "study.json").write_text(json.dumps({"VoxelSize": [10, 11, 12]}))
    found = read_folder(folder)
    np.testing.assert_allclose(found.maps["NAA"].voxel_size, (10, 11, 12))
    np.testing.assert_array_equal(found.maps["NAA"].data, EXPECTED)


def test_a_folder_of_tables_opens_as_a_study(folder):
    save_nifti(folder / "water.nii.gz", np.ones(SHAPE, np.float32), AFFINE)
    save_nifti(folder / "mask.nii.gz", (EXPECTED > 120).astype(np.float32), AFFINE)
    study = open_study(folder)
    assert list(study.maps) == ["NAA", "tCr"]
    np.testing.assert_array_equal(study.maps["NAA"].data, EXPECTED)
    np.testing.assert_array_equal(study.maps["tCr"].data, 2 * EXPECTED)
    assert study.crlb["tCr"].data[2, 1, 0] == 2  # the row's number
    np.testing.assert_array_equal(study.mask_of("NAA").data > 0, EXPECTED > 120)
    assert any("LCModel does not state the direction" in note for note in study.notes)
    limited = open_study(folder, choices=Choices(min_snr=3))
    expected = (EXPECTED > 120) & (np.arange(1, 5)[:, None, None] >= 3)  # S/N is the column
    np.testing.assert_array_equal(limited.mask_of("NAA").data > 0, expected)


def test_a_spreadsheet_reads_to_the_digit():
    found = parse_sheet(SHEET + SHEET.partition("\n")[0])  # joined files repeat the heading
    (row, column, fit), other = found.fits
    assert (row, column, *other[:2]) == (2, 3, 1, 4)
    assert fit.amplitude == {"NAA": 1640.0, "MM14+Lip13a+L": 2530.0}
    assert fit.crlb == {"NAA": 8, "MM14+Lip13a+L": 16}
    assert other[2].amplitude == {"NAA": 0.0, "MM14+Lip13a+L": 0.02}
    assert found.damaged == 0
    assert parse_sheet("a, b\n1, 2\n") is None
    assert parse_sheet("") is None
    assert parse_sheet("Row, Col, File\n1, 2, x\n") is None


def test_spreadsheets_become_maps(tmp_path):
    for z in (1, 2):
        lines = ["Row, Col, NAA, NAA %SD, NAA/Cr+PCr, File"]
        lines += [
            f"{y:3d}, {x:3d}, {value(x, y, z):8.3f}, {z:4d}, 1, f" for x, y, s in VOXELS if s == z
        ]
        (tmp_path / f"patientiterslice{z}.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "notes.csv").write_text("name, age\n")
    found = read_tables(find_tables(tmp_path), REFERENCE)
    np.testing.assert_array_equal(found.maps["NAA"].data, EXPECTED)
    np.testing.assert_array_equal(found.crlb["NAA"].data[2, 1], [1, 2])
    assert found.fwhm is None
    assert found.snr is None


def test_damaged_lines_of_a_spreadsheet_are_left_out(tmp_path):
    path = tmp_path / "a.csv"
    twice = ", B, B %SD, B/Cr, B, B %SD, B/Cr"
    path.write_bytes(
        b"\xef\xbb\xbf"
        + f"Row, Col, NAA, NAA %SD, NAA/Cr{twice}\n"
        "1, 1, 5.0, 3, 1, 1, 1, 1, 2, 2, 2\n1, 2, 5.0\nx, 2, 5, 3, 1, 1, 1, 1, 2, 2, 2\n\n".encode()
    )
    found = read_tables(find_tables(tmp_path), Volume(np.ones((2, 1, 1)), np.eye(4)))
    np.testing.assert_array_equal(found.maps["NAA"].data.ravel(), [5, np.nan])
    assert list(found.maps) == ["NAA"]
    assert "2 lines of a.csv could not be read." in found.notes
    assert "a.csv has several columns named B: they are left out." in found.notes


def write(name, text):
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (write("again_sl1_2-3.table", table(3, 2, 1)), "both of slice 1, row 2, column 3"),
        (write("sl1_2-9.table", table(3, 2, 1)), "named as.*column 9, but its title.*column 3"),
        (write("sl0_1-1.table", table(1, 1, 0)), "counts from 1"),
        (write("sl1_3-9.table", table(9, 3, 1)), r"matrix \(4, 3, 2\).*is of \(9, 3, 2\)"),
        (write("sl1_99999-1.table", table(1, 99999, 1)), "Give an image on the grid"),
        (write("other.table", ""), "does not state its voxel"),
        (write("sl3_1-1.table", table(1, 1, 3).replace("ndcols= 4", "ndcols= 5")), "of a grid of"),
        (write("sl3_1-1.table", "x" * 200_001), "far more than LCModel writes"),
    ],
)
def test_what_contradicts_itself_is_refused(folder, change, said):
    change(folder)
    with pytest.raises(FormatError, match=said) as error:
        read_tables(find_tables(folder), REFERENCE)
    assert "\n" not in str(error.value)


def test_what_holds_nothing_is_refused(tmp_path):
    with pytest.raises(FormatError, match="holds no output of LCModel"):
        read_folder(tmp_path)
    with pytest.raises(FormatError, match="could not be read"):
        find_tables(tmp_path / "nowhere")
    with pytest.raises(FormatError, match="does not exist"):
        read_tables([tmp_path / "sl1_1-1.table"], REFERENCE)
    (tmp_path / "a.csv").write_text("a, b\n")
    with pytest.raises(FormatError, match="not a spreadsheet of LCModel"):
        read_tables([tmp_path / "a.csv"], REFERENCE)
    (tmp_path / "sl1_1-1.table").write_text("")
    with pytest.raises(FormatError, match="no valid fit in 1 files"):
        read_tables([tmp_path / "sl1_1-1.table"], REFERENCE)
    (tmp_path / "sl1_1-1.table").write_text(table(0, 0, 0, title=False, sizes=False))
    with pytest.raises(FormatError, match="no amplitude above 0"):
        read_tables([tmp_path / "sl1_1-1.table"], REFERENCE)
    (tmp_path / "sl99999_99999-99999.table").write_text(table(1, 1, 1, title=False, sizes=False))
    (tmp_path / "study.json").write_text('{"VoxelSize": [1, 1, 1]}')
    with pytest.raises(FormatError, match="hold more than 33554432 values"):
        read_folder(tmp_path)


def test_damage_is_refused_or_noted(tmp_path):
    outcomes = []
    for seed in range(300):
        rng = random.Random(seed)
        name, text = (("sl1_2-3.table", TABLE), ("sl1.csv", SHEET))[seed % 2]
        place = tmp_path / f"{seed}"
        place.mkdir()
        (place / name).write_bytes(damaged(text.replace("Slice#1 Row#12 Col#9", "").encode(), rng))
        try:
            found = read_tables([place / name], Volume(np.ones((14, 13, 3)), np.eye(4)))
            outcomes.append(len(found.maps))
        except FtddmError:
            outcomes.append(0)
    assert outcomes.count(0) > 50
    assert sum(count > 0 for count in outcomes) > 50


@pytest.mark.parametrize("text", ["1" * 200_000, "\n" * 200_000, " " * 200_000, "FWHM = " * 30_000])
def test_no_text_takes_long(text):
    start = time.monotonic()
    parse_table(TABLE.replace("   81.015", f"   81.015{text}"))
    parse_table(TABLE.replace("  FWHM", f"  FWHM{text}").replace(" ndcols", text + "ndcols"))
    parse_sheet(SHEET + text)
    assert time.monotonic() - start < 60  # a pattern that backtracks would need hours
