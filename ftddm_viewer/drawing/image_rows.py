"""Content of a result figure: images, colour limits and text, without drawing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ftddm_core.conventions import channel
from ftddm_core.errors import FormatError, GeometryError
from ftddm_core.imaging.volume import Study, Volume
from ftddm_viewer.session.first_view import most_varied_slice, upper_limit
from ftddm_viewer.session.messages import nominal_voxels

if TYPE_CHECKING:  # the resolver imports torch, which a figure does not need
    from ftddm_core.sampling.result import Result


@dataclass(frozen=True, eq=False)
class ImageRow:
    """Images of one metabolite, all on the output grid.

    Parameters
    ----------
    metabolite
        Its name.
    lowres, output, truth
        Maps in one unit; truth is None where unknown.
    t1
        T1w; None if absent.
    mask
        Trusted voxels (Nx, Ny, Z); maps are shown inside only.
    """

    metabolite: str
    lowres: Volume
    output: Volume
    mask: NDArray[np.bool_]
    t1: Volume | None = None
    truth: Volume | None = None


def rows_of(
    result: Result, metabolites: Sequence[str] | None = None, truth: Study | None = None
) -> list[ImageRow]:
    """Collect the rows of a result's figure.

    Parameters
    ----------
    result
        The resolver's result.
    metabolites
        Metabolites to show, in this order; None for the first three.
    truth
        High-resolution study on the output grid, where it is known.

    Raises
    ------
    FormatError
        If a metabolite is not among the maps.
    GeometryError
        If a truth is not on the output grid.
    """
    rows = []
    known = [name for name in result.maps if truth is None or name in truth.maps]
    for name in known[:3] if metabolites is None else metabolites:
        if name not in known:
            raise FormatError(f"There is no map of {name} to show; there are {', '.join(known)}.")
        output, condition = result.maps[name], result.conditions[name]
        t1 = condition.channels[channel("t1"), : condition.shape[0], : condition.shape[1]]
        true_map = None if truth is None else truth.maps[name]
        if true_map is not None and true_map.shape != output.shape:
            raise GeometryError(
                f"The truth of {name} has matrix {true_map.shape}, the output {output.shape}: "
                "only a truth on the output grid can be shown beside it."
            )
        rows.append(
            ImageRow(
                metabolite=name,
                lowres=output.with_data(condition.lowres),
                output=output,
                mask=condition.mask,
                t1=output.with_data(t1) if t1.any() else None,
                truth=true_map,
            )
        )
    return rows


def interesting_slice(rows: Sequence[ImageRow]) -> int:
    """Return the slice with the largest variation of the measured maps; see `most_varied_slice`."""
    return most_varied_slice([(row.lowres.data, row.mask) for row in rows])


def heading(result: Result) -> str:
    """Return the mandatory title of a result figure: voxel before and after, factor and seed."""
    condition = next(iter(result.conditions.values()))
    drawn = result.settings.samples
    mean = f", mean of {drawn} samples" if drawn > 1 else ""
    return (
        f"{nominal_voxels(condition)}\n"
        f"AI-generated, {condition.upscale:.3g}×, seed {result.settings.seed}{mean}"
    )


@dataclass(frozen=True, eq=False)
class Panel:
    """One image of a row: column, values, colours, and whether it has a colour bar."""

    column: str
    volume: Volume
    colours: str
    limits: tuple[float, float]
    bar: bool = False


def panels(row: ImageRow) -> Iterator[Panel]:
    """Yield a row's images from left to right: T1w, input, output, truth, difference.

    Input, output and truth share their colours; the difference is output minus truth, or minus the
    zero-filled input where no truth is known. An absent image has no panel.
    """
    if row.t1 is not None:
        yield Panel("T1w", row.t1, "gray", (0, 1))
    maps = {"Input (zero-filled)": row.lowres, "Output": row.output}
    if row.truth is not None:
        maps["Truth"] = row.truth
    limits = (0, _top(list(maps.values()), row.mask))
    inside = {name: v.with_data(np.where(row.mask, v.data, np.nan)) for name, v in maps.items()}
    for name, volume in inside.items():
        yield Panel(name, volume, "viridis", limits, bar=name == list(inside)[-1])
    other = "Input (zero-filled)" if row.truth is None else "Truth"
    change = row.output.with_data(inside["Output"].data - inside[other].data)
    bound = _top([change.with_data(np.abs(change.data))], row.mask)
    name = "Output − input" if row.truth is None else "Output − truth"
    yield Panel(name, change, "RdBu_r", (-bound, bound), bar=True)


def _top(volumes: Sequence[Volume], mask: NDArray[np.bool_]) -> float:
    """Return the upper colour limit of images that share their colours."""
    return upper_limit(np.concatenate([v.data[mask] for v in volumes]))
