"""One .npy file: read exactly as it was saved, or refused in words before anything is allocated."""

from __future__ import annotations

import io
import os
import tracemalloc

import numpy as np
import pytest
from numpy.lib import format as npy_format

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io.array_file import load_array

SHAPE = (4, 3, 2)


def values(dtype="<f4", order="C"):
    return np.asarray(np.arange(24).reshape(SHAPE) % 2, dtype=dtype, order=order)


def content(array, version=None):
    stream = io.BytesIO()
    npy_format.write_array(stream, array, version)
    return stream.getvalue()


def with_header(literal, data=b"", version=1):
    """Return a file whose header holds any text."""
    text = literal.encode() if isinstance(literal, str) else literal
    length = len(text).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + data


def header(shape="(4, 3, 2)", descr="'<f4'", fortran="False"):
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n"


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2", "i1", ">i2", "<u8", "?"])
def test_an_array_reads_as_it_was_saved(tmp_path, dtype, order, version):
    saved = values(dtype, order)
    path = tmp_path / "map.npy"
    path.write_bytes(content(saved, version))
    found = load_array(path)
    np.testing.assert_array_equal(found, saved)
    assert found.dtype.kind == saved.dtype.kind


def test_bytes_that_are_no_bool_are_true(tmp_path):
    path = tmp_path / "mask.npy"
    path.write_bytes(content(values("?"))[:-2] + b"\x07\x00")
    assert load_array(path).ravel()[-2:].tolist() == [True, False]


F4 = values().tobytes()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "header is damaged"),
        (b"\x93NUMPY", "header is damaged"),
        (b"PK\x03\x04" * 40, "header is damaged"),
        (with_header(header(), F4, version=9), "header is damaged"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + header().encode() + F4, "header is damaged"),
        (with_header("{'descr': ", F4), "header is damaged"),
        (with_header("\t{\n  'a'\n 'b' (", F4), "header is damaged"),
        (with_header("(" * 3000, F4), "header is damaged"),
        (with_header("[" * 90 + "]" * 90, F4), "header is damaged"),
        (with_header("-" * 3000 + "1", F4), "header is damaged"),
        (with_header(header(shape="(4, 3, 2if 1else 2)"), F4), "header is damaged"),
        (with_header("{" + "'a': 1, " * 2000 + "}", F4), "header is damaged"),
        (with_header(b"\xff\xfe\x00{", F4), "header is damaged"),
        (with_header(b"\xff\xfe\x00{", F4, version=3), "header is damaged"),
        (with_header(header(descr="'<f4,'"), F4), "header is damaged|records"),
        (with_header(header(descr="'<q9'"), F4), "header is damaged"),
        (with_header(header(descr="('<f4', (9, 9))"), F4), "header is damaged|records"),
        (with_header(header(descr="'<f4'", fortran="7"), F4), "header is damaged"),
        (with_header(header(shape="4"), F4), "header is damaged"),
        (with_header(header(shape="(24,)"), F4), r"shape \(24,\); expected three"),
        (with_header(header(shape="(1,) * 3"), F4), "header is damaged"),
        (with_header(header(shape="(" + "1, " * 900 + ")"), F4), "expected three dimensions, each"),
        (with_header(header(shape="(-4, -3, 2)"), F4), "each of 1 or more"),
        (with_header(header(shape="(True, 12, 2)"), F4), "each of 1 or more"),
        (with_header(header(shape="(0, 3, 2)")), "each of 1 or more"),
        (with_header(header(shape=f"({10**18}, {10**18}, 2)"), F4), "more than 2 GB"),
        (with_header(header(shape="(900, 900, 900)", descr="'|u1'"), F4), "more than 2 GB"),
        (with_header(header(shape="(400, 300, 200)"), F4), "96000000 bytes of values, but it has"),
        (content(values())[:-1], "truncated.*96 bytes of values, but it has 95"),
        (content(values()) + b"\n", "damaged.*96 bytes of values, but 97 follow"),
        (content(values("<c8")), "complex values. Save the magnitude instead"),
        (content(values(object)), "Python objects"),
        (content(values([("a", "<f4"), ("b", "<i2")])), "records of several fields"),
        (content(values([("é", "<f4")]), (3, 0)), "records of several fields"),
        (content(values([("a", "O")])), "Python objects"),
        (content(values("V4")), "records"),
        (content(values("<M8[s]")), "dates"),
        (content(values("<m8[s]")), "lengths of time"),
        (content(values("<U5")), "text"),
        (content(values("S5")), "text"),
        (content(np.empty(SHAPE, "S0")), "text"),
    ],
)
def test_anything_else_is_refused_in_words(tmp_path, data, said, capfd):
    path = tmp_path / "bad.npy"
    path.write_bytes(data)
    tracemalloc.start()
    with pytest.raises(FormatError, match=said) as error:
        load_array(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < len(str(path)) + 300
    assert capfd.readouterr() == ("", "")
    assert peak < 20_000_000


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(FormatError, match=r"nowhere\.npy does not exist"):
        load_array(tmp_path / "nowhere.npy")
    with pytest.raises(FormatError, match="is not a file"):
        load_array(tmp_path)
    os.mkfifo(tmp_path / "pipe.npy")
    with pytest.raises(FormatError, match=r"pipe\.npy is not a file"):
        load_array(tmp_path / "pipe.npy")
