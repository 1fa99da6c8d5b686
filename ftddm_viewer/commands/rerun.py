"""`ftddm rerun` and `ftddm verify`: results made again, and hashes checked."""

from __future__ import annotations

import sys
from argparse import Namespace
from functools import cache
from pathlib import Path
from typing import Any

from ftddm_core.errors import FormatError, FtddmError
from ftddm_core.evaluation.tables import to_markdown
from ftddm_core.imaging.volume import Study
from ftddm_core.sampling.result import Result
from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_core.settings import SamplerSettings
from ftddm_viewer.commands.options import in_flags
from ftddm_viewer.commands.progress import progress_bar
from ftddm_viewer.provenance.finding import Files, usual_places
from ftddm_viewer.provenance.rerun import Repeated, again, by_run, model_for
from ftddm_viewer.provenance.sidecars import Sidecar, sidecars_in
from ftddm_viewer.provenance.verify import Verified, verified
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.restoring import check_first


def rerun(options: Namespace) -> None:
    """Make results again from their sidecars, and say how they compare.

    Raises
    ------
    FtddmError
        If one was not reproduced.
    """
    rows: list[Repeated] = []
    for run in by_run(sidecars_in(options.sidecar)):
        files = Files(options.inputs or usual_places(run[0].path))
        model = model_for(run[0], options.weights, options.device)
        rows += again(run, files, model, _sampled, _tell)
    print(to_markdown([{"map": row.sidecar.map_path.name, "outcome": row.words} for row in rows]))
    if bad := [row for row in rows if not row.agrees]:
        raise FtddmError(f"{len(bad)} of {len(rows)} maps were not reproduced.")
    same = sum(row.same_bytes for row in rows)
    print(f"\n{len(rows)} maps reproduced, {same} of them byte for byte. {RESEARCH_ONLY}.")


def _sampled(model: Model, study: Study, settings: SamplerSettings, matrix: Any) -> Result:
    check_first(model, study, settings, progress_bar)
    with progress_bar("sampling") as progress:
        return model.load().run(study, settings, matrix=matrix, progress=progress)


def _tell(line: str) -> None:
    print(f"note: {line}.", file=sys.stderr)


def verify(options: Namespace) -> None:
    """Check the hashes of results and of their inputs.

    Raises
    ------
    FtddmError
        If something was changed.
    """
    if not options.folder.is_dir():
        raise FormatError(f"{options.folder} is not a folder: give one that holds results.")

    @cache
    def files(places: tuple[Path, ...]) -> Files:
        return Files(places)

    def files_for(sidecar: Sidecar) -> Files:
        return files(tuple(options.inputs or usual_places(sidecar.path)))

    rows = list(verified(options.folder, files_for))
    print(to_markdown([_row(row, options.folder) for row in rows]))
    bad, lost = [row for row in rows if not row.good], [row for row in rows if row.lost]
    if bad:
        raise FtddmError(
            f"{len(bad)} of {len(rows)} results are not as they were written, or were made from "
            "inputs that have changed since."
        )
    print(f"\n{len(rows)} results are as they were written. {RESEARCH_ONLY}.")
    if lost:
        print(in_flags(f"Inputs of {len(lost)} were not found. Give the folder that holds them."))


def _row(row: Verified, folder: Path) -> dict[str, str]:
    return {
        "map": row.path.relative_to(folder).as_posix(),
        "result": row.fault or "unchanged",
        "inputs": row.inputs_words,
    }
