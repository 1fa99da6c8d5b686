"""Small studies as producers write them, and the table of what must happen when each is opened.

A script outside the repository makes them and states what must happen.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ftddm_core.imaging.geometry import regrid_nearest
from ftddm_core.imaging.volume import Study
from ftddm_core.sampling.guides import default_mask

SCRIPT = Path(__file__).parents[2] / "shared" / "cases" / "make_cases.py"
NAMES = (
    *("fslmrs-root", "fslmrs-concs-only", "vienna", "bids-two-signals", "bids-old-names"),
    *("bids-session-tree", "bids-two-sessions", "spikemask", "spikemask-qcmask"),
    *("segmentations-beside", "t1-names", "empty-fit-failed", "b0-and-water", "pair-hdr-img"),
    *("minc-or-mgh", "crlb-fraction", "mask-probability", "mask-inverted", "mask-labels"),
    *("failed-minus-one", "ratio-input", "same-output-name", "huge-value", "qform-sform-differ"),
    *("qform-mirrored", "codes-zero", "unlocalised-axis", "rounding", "slices-first"),
    *("t1-elsewhere", "t1-constant", "git-annex", "symlink-loop", "damaged-crlb"),
)


def make_cases(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Return the folder with a folder for every case, and the table; skip without the script."""
    if not SCRIPT.is_file():
        pytest.skip(f"needs {SCRIPT.name}, which is not part of the repository")
    subprocess.run([sys.executable, SCRIPT, folder], check=True, capture_output=True)
    return folder, json.loads((folder / "cases.json").read_text())


def trusted(study: Study, name: str) -> NDArray[np.bool_]:
    """Return the trusted voxels of a map, on its grid."""
    grid = study.grid
    mask = study.mask_of(name) or default_mask(study.maps[name])
    return np.asarray(regrid_nearest(mask, grid.shape, grid.affine).data > 0)
