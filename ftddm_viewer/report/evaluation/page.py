"""The page docs/results.md, written from the tables of an evaluation."""

from __future__ import annotations

from ftddm_core.evaluation.outcome import Outcome
from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_core.settings import DEFAULT_TAU_DIFFUSION, DEFAULT_TAU_FLOW
from ftddm_viewer.report.evaluation.record import outcome_of
from ftddm_viewer.report.evaluation.robust_sections import opening
from ftddm_viewer.report.evaluation.sections import SECTIONS, anatomies_of
from ftddm_viewer.report.markdown import plural, wrapped
from ftddm_viewer.report.page import Images, joined
from ftddm_viewer.report.records import Record

PREFACE = (
    "This page was written by `ftddm evaluate`; every number and image on it comes from one run, "
    "which is repeated by",
    "```sh\n{command}\n```",
    "The results show how the methods compare on the same cases, how far a temperature trades "
    "fidelity for detail, and whether the spread of the samples matches the actual error. {kind} "
    "They cannot show how well a map of a real patient is restored: no public measured data set "
    "has a high-resolution truth, and a simulation favours every network that was trained on the "
    "same simulator, the regression and the full diffusion model as much as this one. Restored "
    "detail is a draw of what the training data make plausible, never a measurement.",
    "The truth is a map with noise, as a scanner would give it, inside its quality mask and 0 "
    "outside, for every method alike. The acquired map is the same map on a coarser matrix. PSNR, "
    "SSIM (with the truth's range) and NRMSE are over whole slices, as in the paper. Sharpness is "
    "the detail beyond what was acquired relative to the truth's, summed over slices: 1 is as "
    "sharp, more is grainier; the noise of the truth counts as detail too. Numbers in brackets are "
    "95 % bootstrap intervals over patients ({patients} from {anatomies}: so few that the "
    "intervals are a lower bound of the uncertainty). Differences between two methods are taken on "
    "the slices that both have.",
)

SIMULATED = (
    "The patients are **simulated** from anatomies that no network was trained on, with literature "
    "concentrations, gliomas, noise and imperfect MRI."
)

GIVEN = "The studies were provided by the user."


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
        "## About these results" if first else "",
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
    network = (
        f"`{regression['sha256'][:12]}`"
        if regression
        else "none, so the regression is missing below"
    )
    lines = [
        f"- Protocol `{record['protocol']}`: {plural(cases['patients'], 'patient')} from "
        f"{anatomies_of(cases)}, {plural(cases['slices'], 'slice')}, each of up to "
        f"{len(outcome.protocol.metabolites)} metabolites. The middle slice of a simulated slab "
        "goes through the tumour's centre; of a given study, the slices with the most trusted "
        "voxels are taken.",
        f"- Weights `{weights['name']}`, `{weights['sha256'][:12]}`"
        + (f", trained for these steps: {steps}." if steps else "."),
        f"- Weights of the regression: {network}.",
        f"- Default temperatures: τ_f {DEFAULT_TAU_FLOW:g}, τ_d {DEFAULT_TAU_DIFFUSION:g}.",
        f"- Run on {record['device']}; the protocol needs at most {record['slice_calls']:,} "
        "denoiser calls for single slices.",
    ]
    return "\n".join(lines)
