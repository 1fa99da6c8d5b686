"""`ftddm simulate`: write a simulated patient."""

from __future__ import annotations

from argparse import Namespace

import numpy as np

from ftddm_core.errors import SettingsError
from ftddm_core.imaging.degrade import degrade
from ftddm_core.phantom.anatomy import Anatomy
from ftddm_core.phantom.patient import Patient, simulate_study
from ftddm_core.phantom.template import template
from ftddm_core.saving.files import check_writable, save_files
from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_core.saving.studies import study_files
from ftddm_core.settings import SamplerSettings


def simulate(options: Namespace) -> None:
    """Simulate a patient and write it as a study, with its noise-free truth beside it.

    With --report, simulate many patients and compare them with the literature.
    """
    if options.matrix < 8 or options.slices < 1 or not 0 < options.voxel < np.inf:
        raise SettingsError(
            f"Cannot simulate {options.slices} slices of {options.matrix}x{options.matrix} voxels "
            f"of {options.voxel:g} mm: give a matrix of 8 or more, a slice, a voxel above 0."
        )
    upscale = SamplerSettings(upscale=options.upscale).upscale
    if not options.report and (options.patients or len(options.anatomy) > 1):
        raise SettingsError(
            "One patient is simulated from one label map: "
            "use several --patients or label maps with --report only."
        )
    if options.report and (upscale is not None or options.box):
        raise SettingsError(
            "A --report covers whole heads at full resolution: leave out --upscale and --box."
        )
    slab = {
        "matrix": (options.matrix, options.matrix),
        "n_slices": options.slices,
        "voxel": (options.voxel,) * 3,
    }
    guarded = {"overwrite": options.overwrite, "inputs": options.anatomy}
    if options.report:
        from ftddm_viewer.commands.simulation_report import report

        check_writable(options.out, ["report.md"], **guarded)
        anatomies = [Anatomy.load(path) for path in options.anatomy] or [template()]
        report(options, anatomies, slab)
        return
    label = f"sub-sim{options.seed:02d}"
    check_writable(options.out, [f"{label}.json"], **guarded)
    anatomy = Anatomy.load(options.anatomy[0]) if options.anatomy else template()
    rng = np.random.default_rng(options.seed)
    patient = Patient.draw(anatomy, rng, glioma=options.glioma)
    # A thin slab is shifted to the tumour, but no farther from the middle than necessary.
    reach = max(0.0, 50.0 - options.slices * options.voxel / 2)
    height = float(np.clip(patient.glioma.centre[2], -reach, reach)) if patient.glioma else 0.0
    box = patient.draw_box(rng) if options.box else None
    measured, noise_free = simulate_study(patient, rng, height=height, box=box, **slab)
    record = {
        "Notice": f"SIMULATED patient. {RESEARCH_ONLY}.",
        "Anatomy": anatomy.name,
        "Seed": options.seed,
        "Glioma": patient.glioma is not None,
        "ExcitedBox": box is not None,
        "Unit": measured.grid.unit,
    }
    files = study_files(measured, label, record)
    truth = study_files(noise_free, label, record | {"NoiseFree": True})
    files |= {f"noise_free/{name}": content for name, content in truth.items()}
    if upscale is not None:
        coarse = degrade(measured, upscale)
        said = {"DegradedBy": upscale, "OutsideMask": str(coarse.outside)}
        low = study_files(coarse, label, record | said)
        files |= {f"lowres/{name}": content for name, content in low.items()}
    save_files(files, options.out, **guarded)
    kind = "a glioma patient" if patient.glioma else "a healthy volunteer"
    print(f"Simulated {kind} from {anatomy.name}: {len(files)} files in {options.out}.")
