"""What a study costs in `ftddm batch`: `python tests/batch_cost.py [--write docs/scaling.md]`.

Copies of the bundled case, degraded fourfold, are restored; then plan and summary are timed for
many studies that were never computed. Times are those of a processor, which other work on the
machine hardly changes. `--write` replaces the tables of a page between its marks.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ftddm_core.assets import asset_folder
from ftddm_core.evaluation.tables import Table, to_markdown
from ftddm_core.imaging.degrade import degrade
from ftddm_core.imaging.io import Choices, open_study
from ftddm_core.model.checkpoint import digest_of
from ftddm_core.saving.files import save_files
from ftddm_core.saving.studies import study_files
from ftddm_core.settings import SamplerSettings
from ftddm_viewer.cohort.job import Job
from ftddm_viewer.cohort.one import DONE, Outcome
from ftddm_viewer.cohort.plan import studies_in
from ftddm_viewer.cohort.summary import write_summary

MARK = "<!-- cost of `python tests/batch_cost.py` -->"
END = "<!-- end of the cost -->"
MILLION, YEAR = 1_000_000, 365.25 * 86400


def cohort(folder: Path, studies: int) -> Path:
    """Write copies of the bundled case at a quarter of its resolution."""
    low = degrade(open_study(asset_folder("case")), 4)
    for number in range(studies):
        label = f"p{number:02d}"
        save_files(study_files(low, label, {"Unit": low.grid.unit}), folder / label)
    return folder


def seconds(folder: Path, out: Path, *flags: str) -> float:
    """Return the processor time of a batch."""
    words = ["batch", str(folder), "--out", str(out), "--steps", "10", *flags]
    before = processor()
    subprocess.run(
        [sys.executable, "-m", "ftddm_viewer", *words], check=True, stdout=subprocess.DEVNULL
    )
    return processor() - before


def processor() -> float:
    """Return the processor time of all programs that were called."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def megabytes(folder: Path, pattern: str) -> float:
    """Return the size of the files of one study."""
    return sum(path.stat().st_size for path in folder.glob(pattern)) / 1e6


def paperwork(folder: Path, studies: int) -> dict[str, float]:
    """Return what plan and summary cost for many studies, each in ms a study."""
    for number in range(studies):
        (folder / "tree" / f"sub-{number:06d}").mkdir(parents=True)
    start = time.process_time()
    items = studies_in([folder / "tree"], Choices(), folder / "out")
    planned = time.process_time()
    job = Job(str(folder / "out"), SamplerSettings(), Choices(), "small", digest_of("small"))
    job.keep(items)
    kept = time.process_time()
    known = {"Maps": ["tNAA"] * 7, "Matrix": [16] * 3, "RestoredMatrix": [64] * 3}
    known |= {"SelfCheck": "x" * 120, "Warnings": ["x" * 80] * 2, "Status": DONE}
    found: dict[str, Outcome | None] = {item.key: {**known, "Study": item.key} for item in items}
    shown = time.process_time()
    write_summary(job, items, found)
    end = time.process_time()
    share = 1000 / studies
    return {
        "plan": (planned - start) * share,
        "batch.json": (kept - planned) * share,
        "summary": (end - shown) * share,
        "summary (kB)": megabytes(folder / "out", "summary*") * 1000 / studies,
    }


def measured(studies: int, many: int) -> str:
    """Return the tables."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        one, all_of_them = cohort(folder / "one", 1), cohort(folder / "all", studies)
        first = seconds(one, folder / "a")
        single = seconds(all_of_them, folder / "b")
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
        study = folder / "b" / "p00"
        each = (single - first) / (studies - 1)
        sizes = {"maps": "*.nii.gz", "sidecars": "*_mrsi.json", "thumbnail": "*.png",
                 "outcome": "study.json"}  # fmt: skip
        size = {name: megabytes(study, pattern) for name, pattern in sizes.items()}
        files = len(list(study.iterdir()))
        read = megabytes(all_of_them / "p00", "*")
        paper = paperwork(folder / "paper", many)
    total = sum(size.values())
    rows: Table = [
        {"cost": "processor time of a study", "measured": f"{each:.1f} s"},
        {"cost": "of the program's start, networks included", "measured": f"{first - each:.1f} s"},
        {"cost": "memory of the largest process", "measured": f"{memory:.2f} GB"},
        {"cost": "read a study", "measured": f"{read:.2f} MB"},
        {"cost": "written a study", "measured": f"{total:.2f} MB: " + ", ".join(
            f"{name} {value:.3f}" for name, value in size.items())},
        {"cost": f"plan, for each of {many} studies", "measured": f"{paper['plan']:.2f} ms"},
        {"cost": "batch.json, the same", "measured": f"{paper['batch.json']:.3f} ms"},
        {"cost": "summary, the same", "measured": f"{paper['summary']:.3f} ms, "
         f"{paper['summary (kB)']:.2f} kB"},
    ]  # fmt: skip
    whole: Table = [
        {"a million studies": "processor time",
         "on paper": f"{each * MILLION / YEAR:.2f} years of one core"},
        {"a million studies": "on 1000 cores",
         "on paper": f"{each * MILLION / 1000 / 86400:.1f} days"},
        {"a million studies": "results", "on paper": f"{total * MILLION / 1e6:.1f} TB"},
        {"a million studies": "inputs that are read", "on paper": f"{read * MILLION / 1e6:.1f} TB"},
        {"a million studies": "files written", "on paper": f"{files} million"},
        {"a million studies": "each writing of the summary",
         "on paper": f"{paper['summary'] * MILLION / 1000:.0f} s, "
         f"{paper['summary (kB)'] * MILLION / 1e6:.1f} GB"},
    ]  # fmt: skip
    where = (
        "Processor time of one core, 7 maps of 16 slices, from 16 x 16 to 64 x 64 voxels, 10\n"
        f"steps, self-check included; studies after the first: {studies - 1}."
    )
    return "\n\n".join([where, to_markdown(rows), to_markdown(whole)])


def main() -> None:
    """Measure, and print the tables or write them into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=3)
    parser.add_argument("--many", type=int, default=5000)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    found = measured(options.studies, options.many)
    print(found)
    if options.write:
        before, _, rest = options.write.read_text(encoding="utf-8").partition(MARK)
        after = rest.partition(END)[2]
        text = f"{before}{MARK}\n\n{found}\n\n{END}{after}"
        save_files({options.write.name: text.encode()}, options.write.parent, overwrite=True)


if __name__ == "__main__":
    main()
