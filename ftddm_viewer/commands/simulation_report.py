"""`ftddm simulate --report`: simulated patients compared with the literature and measured maps."""

from __future__ import annotations

import io
import json
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ftddm_core.evaluation.tables import to_markdown
from ftddm_core.phantom.anatomy import Anatomy
from ftddm_core.phantom.explained import (
    MEASURED_SLAB,
    VOLUNTEER,
    compare_explained,
    explained_of,
)
from ftddm_core.phantom.patient import Patient, simulate_study
from ftddm_core.phantom.randomised import MIXTURE, RandomisedPatient
from ftddm_core.phantom.report import patient_statistics, summarise
from ftddm_core.saving.files import check_writable, save_files
from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_viewer.commands.progress import progress_bar
from ftddm_viewer.drawing.contact_sheet import ROWS, SheetRow, contact_sheet, sheet_row
from ftddm_viewer.drawing.figures import save_figure

PATIENTS = 12
"""Default number of simulated patients."""

FILES = ("report.md", "report.json")


def report(options: Namespace, anatomies: Sequence[Anatomy], slab: Mapping[str, Any]) -> None:
    """Simulate patients from the anatomies in turn, print the table and write it with its images.

    `slab` holds the keywords of `simulate_study`. A second table compares the patients, and as many
    randomised ones, with measured maps, using the same scan parameters. Written are `report.md`,
    `report.json` and `contact_sheet_*.png`.
    """
    count = options.patients or PATIENTS
    sheets = [f"contact_sheet_{n // ROWS + 1:02d}.png" for n in range(0, count, ROWS)]
    check_writable(options.out, [*FILES, *sheets], overwrite=options.overwrite)
    statistics: list[dict[str, float]] = []
    rows: list[SheetRow] = []
    names: list[str] = []
    kinds = {"literature": Patient, "randomised": RandomisedPatient}
    explained: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    with progress_bar("simulating") as progress:
        for number in range(count):
            anatomy = anatomies[number % len(anatomies)]
            rng = np.random.default_rng([options.seed, number])
            patient = Patient.draw(anatomy, rng, glioma=options.glioma)
            measured, noise_free = simulate_study(patient, rng, **slab)
            names.append(f"{number}, {anatomy.name}, {'glioma' if patient.glioma else 'healthy'}")
            statistics.append(patient_statistics(patient, measured, noise_free))
            middle = float(patient.glioma.centre[2]) if patient.glioma else None
            rows.append(sheet_row(names[-1].replace(", ", "\n"), measured, middle))
            for kind, drawn in kinds.items():
                rng = np.random.default_rng([options.seed, number])
                explained[kind].append(explained_of(drawn, anatomy, rng))
            progress((number + 1) / count)
    table = summarise(statistics)
    shares = {"literature": 1 - MIXTURE, "randomised": MIXTURE}
    beside = compare_explained({kind: (shares[kind], explained[kind]) for kind in kinds})
    heading = _heading(options, anatomies, count, slab)
    text = (
        f"{heading}\n\n{to_markdown([_rounded(line) for line in table])}\n\n"
        f"{_explanation(count)}\n\n{to_markdown(beside)}"
    )
    links = "\n".join(f"![Simulated patients]({name})" for name in sheets)
    each = [{"patient": n, **_finite(f)} for n, f in zip(names, statistics, strict=True)]
    record = {
        "Notice": f"SIMULATED patients. {RESEARCH_ONLY}.",
        "Seed": options.seed,
        "Anatomies": [anatomy.name for anatomy in anatomies],
        "Slab": dict(slab),
        "Summary": table,
        "Explained": beside,
        "Patients": each,
    }
    title = f"{count} simulated patients, seed {options.seed}; radiological view"
    files = {
        "report.md": f"# Simulated patients and the literature\n\n{text}\n\n{links}\n".encode(),
        "report.json": (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode(),
    } | {
        name: _png(rows[number * ROWS : (number + 1) * ROWS], title)
        for number, name in enumerate(sheets)
    }
    save_files(files, options.out, overwrite=options.overwrite, inputs=options.anatomy)
    print(text)
    print(f"\n{len(files)} files in {options.out}.")


def _heading(
    options: Namespace, anatomies: Sequence[Anatomy], count: int, slab: Mapping[str, Any]
) -> str:
    names = ", ".join(anatomy.name for anatomy in anatomies)
    nx, ny = slab["matrix"]
    return (
        f"{count} SIMULATED patients, seed {options.seed}, from {names}: {slab['n_slices']} slices "
        f"of {nx}x{ny} voxels of {slab['voxel'][0]:g} mm. Median and 10th to 90th percentile over "
        f"the patients; ratios are those of the noise-free maps. {RESEARCH_ONLY}."
    )


def _explanation(count: int) -> str:
    nx, ny = MEASURED_SLAB["matrix"]
    size = " x ".join(f"{mm:g}" for mm in MEASURED_SLAB["voxel"])
    return (
        f"Variance explained by tissue, and properties of the residual: {count} patients of each "
        f"kind, scanned with {nx}x{ny} voxels of {size} mm, and measured maps ({VOLUNTEER}). "
        f"Median, 10th and 90th percentile; the mixture has {MIXTURE:.0%} randomised patients, the "
        "default of a training pool. The quantities are defined in ftddm_core/phantom/explained.py."
    )


def _png(rows: Sequence[SheetRow], title: str) -> bytes:
    buffer = io.BytesIO()
    save_figure(contact_sheet(rows, title), buffer)
    return buffer.getvalue()


def _rounded(line: Mapping[str, Any]) -> dict[str, Any]:
    return {k: float(f"{v:.3g}") if isinstance(v, float) else v for k, v in line.items()}


def _finite(statistics: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if np.isfinite(value) else None for name, value in statistics.items()}
