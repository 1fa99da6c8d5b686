"""The page docs/results.md, written from the tables of an evaluation."""

from __future__ import annotations

from ftddm_core.evaluation.outcome import Outcome
from ftddm_core.settings import DEFAULT_TAU_DIFFUSION, DEFAULT_TAU_FLOW
from ftddm_viewer import RESEARCH_ONLY
from ftddm_viewer.report.evaluation.record import outcome_of
from ftddm_viewer.report.evaluation.robust_sections import opening
from ftddm_viewer.report.evaluation.sections import SECTIONS, anatomies_of
from ftddm_viewer.report.markdown import plural, wrapped
from ftddm_viewer.report.page import Images, joined
from ftddm_viewer.report.records import Record

PREFACE = (
    "This page was written by `ftddm evaluate`; every number and picture on it comes from one run "
    "and is made again by",
    "```sh\n{command}\n```",
    "What these figures can show is how methods compare on the same cases, how far a temperature "
    "trades fidelity for detail, and whether the spread of the samples matches the actual error. "
    "{kind} What they cannot show is how well a map of a real patient is restored: no public "
    "measured set has a high-resolution truth, and a simulation flatters every network that was "
    "trained on the "
    "same simulator, the regression and the full diffusion model as much as this one. A restored "
    "detail is a draw of what the training data make plausible, never a measurement.",
    "The truth is a map with noise, as a scanner would give it, inside its quality mask and 0 "
    "outside, for every method alike. The acquired map is that truth on a coarser matrix. PSNR, "
    "SSIM (with the truth's range) and NRMSE are over whole slices, as the paper has them; "
    "sharpness is the detail beyond what was acquired relative to the truth's, summed over slices: "
    "1 is as sharp, more is grainier, and the noise of the truth counts as detail too. Numbers in "
    "brackets are 95 % intervals from drawing patients anew ({patients} from {anatomies}: few, so "
    "take them as a lower bound of the uncertainty). Differences between two methods are always of "
    "the slices that both have.",
)

SIMULATED = (
    "The patients are **simulated** from anatomies that no network was trained on, with literature "
    "concentrations, gliomas, noise and imperfect MRI."
)

GIVEN = "The studies were given by the user."


def page(found: Record, images: Images) -> str:
    """Return the page in Markdown.

    Parameters
    ----------
    found
        Record of the evaluation.
    images
        File name -> path relative to the page.
    """
    outcome = outcome_of(found)
    record, cases = outcome.record, outcome.record["cases"]
    preface = (
        text.format(
            command=found["command"],
            kind=SIMULATED if record["simulated"] and cases["anatomies"] else GIVEN,
            patients=plural(cases["patients"], "patient"),
            anatomies=anatomies_of(cases),
        )
        for text in PREFACE
    )
    first = opening(outcome)
    parts = [
        f"# Results\n\n**{RESEARCH_ONLY}.**",
        first,
        "## What these figures are" if first else "",
        *(wrapped(text) for text in preface),
        _what_ran(outcome),
        *(section(outcome, images) for section in SECTIONS),
    ]
    return joined(*parts) + "\n"


def _what_ran(outcome: Outcome) -> str:
    record, cases = outcome.record, outcome.record["cases"]
    weights = record["weights"]
    steps = ", ".join(f"{name} {count}" for name, count in weights["steps"].items())
    regression = record["regression"]
    peer = f"`{regression['sha256'][:12]}`" if regression else "none, so it is missing below"
    lines = [
        f"- Protocol `{record['protocol']}`: {plural(cases['patients'], 'patient')} from "
        f"{anatomies_of(cases)}, {plural(cases['slices'], 'slice')}, each of up to "
        f"{len(outcome.protocol.metabolites)} metabolites. A simulated slab lies with its middle "
        "slice through the tumour's centre; of a given study the slices with most trusted voxels.",
        f"- Weights `{weights['name']}`, `{weights['sha256'][:12]}`"
        + (f", after these steps of training: {steps}." if steps else "."),
        f"- Weights of the regression: {peer}.",
        f"- Default temperatures: τ_f {DEFAULT_TAU_FLOW:g}, τ_d {DEFAULT_TAU_DIFFUSION:g}.",
        f"- Run on {record['device']}; the protocol asks for {record['slice_calls']:,} runs of a "
        "slice through the denoiser at most.",
    ]
    return "\n".join(lines)
