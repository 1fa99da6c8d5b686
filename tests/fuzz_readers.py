"""Damage valid studies at random and open them: each must open or be refused in words.

    python tests/fuzz_readers.py --minutes 60 --kind nifti --seed 0

Every exception that is not a `FtddmError`, every warning, and every try that allocates more than
the limit is a fault; it is reported with the seed that makes it again: `--seed N --tries 1`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import shutil
import sys
import tempfile
import time
import traceback
import tracemalloc
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np

from ftddm_core.errors import FtddmError
from ftddm_core.imaging.io import open_study

SHAPE = (6, 5, 4)
MEMORY = 64_000_000
"""Limit in bytes of what opening may allocate at once; the files hold some kB."""

Files = dict[str, bytes]
"""Path inside the study's folder -> content."""


class Outcome(NamedTuple):
    """The end of one try."""

    kind: str
    """opened, refused, or fault."""
    detail: str
    """The message of the refusal, or the trace of the fault."""


def npy_files(rng: random.Random) -> Files:
    """Return a valid study of arrays, in one of both layouts."""
    dtype = rng.choice(["<f4", "<f8", ">f4", "<i2", "<f2", "|u1", "|b1", "<c8"])
    order = rng.choice("CF")
    version = rng.choice([(1, 0), (2, 0), (3, 0), None])

    def array(shape: tuple[int, ...], *, mask: bool = False) -> bytes:
        data = np.random.default_rng(rng.randrange(99)).uniform(0, 9, shape)
        data = data > 3 if mask else data
        with tempfile.SpooledTemporaryFile() as file:
            np.lib.format.write_array(file, np.asarray(data, dtype, order=order), version)
            file.seek(0)
            return file.read()

    x, y, z = SHAPE
    if rng.random() < 0.3:
        return {
            "Met_filtered/NAA.npy": array((z, x, y)),
            "Met_filtered/Ins.npy": array((z, x, y)),
            "MRI_sliced/T1_sliced.npy": array((3 * z, 3 * x, 3 * y)),
            "study.json": b'{"VoxelSize": [3.4, 3.4, 3.4]}',
        }
    affine = np.diag([3.0, 4.0, 5.0, 1.0])
    stated = rng.choice([{"VoxelSize": [3, 4, 5]}, {"Affine": affine.tolist(), "Unit": "mM"}])
    return {
        "NAA.npy": array(SHAPE),
        "Ins.npy": array(SHAPE),
        "mask.npy": array(SHAPE, mask=True),
        "T1.npy": array((12, 10, 8)),
        "study.json": json.dumps(stated).encode(),
    }


def nifti_files(rng: random.Random) -> Files:
    """Return a valid study of NIfTI files, packed or not, with sidecars."""
    kind = rng.choice([nib.Nifti1Image, nib.Nifti1Image, nib.Nifti2Image])
    dtype = rng.choice(["<f4", "<f8", "<i2", "|u1"])

    def image(shape: tuple[int, ...], *, mask: bool = False) -> bytes:
        data = np.random.default_rng(rng.randrange(99)).uniform(1, 9, shape)
        data = data > 3 if mask else data
        made = kind(data.astype(dtype), np.diag([3.0, 4.0, 5.0, 1.0]))
        made.header.set_xyzt_units("mm", "sec")
        content: bytes = made.to_bytes()
        return content

    ending = rng.choice([".nii", ".nii.gz"])
    images = {
        "s_met-NAA_desc-signal_mrsi": image(SHAPE),
        "s_met-Ins_mrsi": image(SHAPE),
        "s_met-NAA_desc-crlb_mrsi": image(SHAPE),
        "s_mask": image(SHAPE, mask=True),
        "s_T1w": image((8, 8, 8)),
    }
    sidecar: dict[str, object] = {"Units": "mM", "OutsideMask": "seen"}
    if rng.random() < 0.3:
        images = {"stack": image((*SHAPE, 2))}
        sidecar["Metabolites"] = ["NAA", "Ins"]
    files = {f"{name}{ending}": content for name, content in images.items()}
    if ending == ".nii.gz":
        files = {name: gzip.compress(content, 1, mtime=0) for name, content in files.items()}
    return files | {f"{next(iter(images))}.json": json.dumps(sidecar).encode()}


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Return bytes with one to four changes at random, most of them in the first 400 bytes."""
    changed = bytearray(content)
    for _ in range(rng.choice([0, 1, 1, 1, 2, 4])):
        end = min(len(changed), rng.choice([20, 130, 400, len(changed)]))
        at = rng.randrange(end) if end else 0
        match rng.randrange(7):
            case 0:
                changed[at : at + 1] = bytes([rng.randrange(256)])
            case 1 if changed:
                changed[at] ^= 1 << rng.randrange(8)
            case 2:
                del changed[rng.randrange(len(changed) + 1) :]
            case 3:
                changed[at:at] = rng.randbytes(rng.choice([1, 2, 8, 400]))
            case 4:
                del changed[at : at + rng.choice([1, 2, 8, 400])]
            case 5:  # a field of a header: an extreme number
                size = rng.choice([2, 4, 8])
                number = rng.choice([0, 1, 2**15 - 1, 2**15, 2**31 - 1, 2**63 - 1, 2**64 - 1])
                start = at - at % size
                changed[start : start + size] = number.to_bytes(8, "little")[:size]
            case _:  # text: digits, brackets, quotes and words of a literal
                changed[at : at + rng.choice([0, 1, 3])] = rng.choice(TOKENS)
    return bytes(changed)


TOKENS = (
    *(f"{digit}".encode() for digit in range(10)),
    *(b"-", b"(", b")", b"[", b"]", b"{", b"}", b"'", b'"', b",", b":", b"\\", b"\n", b"#", b"L"),
    *(b"1e999", b"0x", b"1if 1else", b"None", b"True", b"inf", b"nan", b"O", b"V", b"<c16", b"<M8"),
    *(b"9" * 30, b"9" * 5000, b"(" * 300, b"[" * 3000, b"-" * 3000, b"'a'*9", b"\xff", b"\x00"),
)


def random_json(rng: random.Random, depth: int = 0) -> object:
    """Return anything that JSON can hold, with the keys that the readers know."""
    keys = ("VoxelSize", "Affine", "Unit", "Units", "Metabolites", "OutsideMask", "a")
    match rng.randrange(9 if depth < 4 else 6):
        case 0:
            return rng.choice([None, True, False])
        case 1:
            return rng.choice([0, -1, 3, 10**30, 10**400, -(2**63)])
        case 2:
            return rng.choice([0.0, 1e-300, 1e300, float("nan"), float("inf"), 3.4])
        case 3:
            return rng.choice(["", "3", "mM", "NAA", "seen", "\n\x00", "é" * 50, "/../"])
        case 4:
            return [rng.choice([3, 1e9, -1, 0, "3", None]) for _ in range(rng.choice([2, 3, 4]))]
        case 5:
            scale = rng.choice([0, 1, 1e-5, 1e8])
            return (np.eye(4) * scale + rng.choice([0, 1])).tolist()
        case 6:
            return [random_json(rng, depth + 1) for _ in range(rng.randrange(5))]
        case _:
            return {rng.choice(keys): random_json(rng, depth + 1) for _ in range(rng.randrange(4))}


def spoiled(files: Files, rng: random.Random) -> Files:
    """Return a study with one or two of its files damaged, replaced, exchanged or missing."""
    result = dict(files)
    for _ in range(rng.choice([1, 1, 2])):
        name = rng.choice(sorted(result))
        other = result[rng.choice(sorted(result))]
        if name.endswith(".json") and rng.random() < 0.7:
            result[name] = json.dumps(random_json(rng)).encode()
        elif name.endswith(".gz") and rng.random() < 0.6:  # inside what is packed
            inside = damaged(gzip.decompress(files[name]), rng)
            result[name] = gzip.compress(inside, 1, mtime=0)
        elif rng.random() < 0.9:
            result[name] = damaged(result[name], rng)
        else:
            result[name] = rng.choice([b"", other, rng.randbytes(500), b"[" * 50_000])
    return result


KINDS: dict[str, Callable[[random.Random], Files]] = {"npy": npy_files, "nifti": nifti_files}


def attempt(kind: str, seed: int, folder: Path) -> Outcome:
    """Write the damaged study of a seed into a folder that is emptied before, and open it."""
    rng = random.Random(seed)
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in spoiled(KINDS[kind](rng), rng).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    tracemalloc.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            study = open_study(folder)
        unusable = [
            name
            for name, volume in study.maps.items()
            if not (np.isfinite(volume.affine).all() and np.isfinite(volume.data).any())
        ]
        outcome = Outcome("opened", "")
        if unusable:
            outcome = Outcome("fault", f"opened {unusable} without a finite value or affine")
    except FtddmError as error:
        outcome = Outcome("refused", str(error))
        if "\n" in str(error) or len(str(error)) > 1000:
            outcome = Outcome("fault", f"a message not of one line: {str(error)[:2000]!r}")
    except Exception:  # what the fuzzer looks for
        outcome = Outcome("fault", traceback.format_exc(limit=-6))
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    if peak > MEMORY:
        return Outcome("fault", f"allocated {peak / 1e6:.0f} MB; {outcome.detail}")
    return outcome


def main() -> int:
    """Run until the time is over or the tries are done; return 1 if there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--tries", type=int, help="stop after this many tries of each kind")
    parser.add_argument("--kind", choices=sorted(KINDS), help="all kinds unless given")
    parser.add_argument("--seed", type=int, default=0, help="of the first try")
    options = parser.parse_args()
    kinds = [options.kind] if options.kind else sorted(KINDS)
    stop = time.monotonic() + 60 * options.minutes
    counts: Counter[str] = Counter()
    faults: dict[str, str] = {}
    seed = options.seed
    with tempfile.TemporaryDirectory() as place:
        while time.monotonic() < stop and seed - options.seed != options.tries:
            for kind in kinds:
                outcome = attempt(kind, seed, Path(place) / "study")
                counts[f"{kind} {outcome.kind}"] += 1
                last = outcome.detail.strip().rpartition("\n")[2]
                if outcome.kind == "fault" and faults.setdefault(last[:60], kind) == kind:
                    faults[last[:60]] = f"{kind}, seed {seed}"
                    print(f"--- {kind}, seed {seed}\n{outcome.detail}", flush=True)
            seed += 1
    print(", ".join(f"{count} {name}" for name, count in sorted(counts.items())))
    print(f"{len(faults)} sorts of faults; seeds {options.seed} to {seed - 1}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
