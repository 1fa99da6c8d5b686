"""Outlines of voxels as SVG paths, along the voxels' edges. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ftddm_viewer.web.panels import Box

Corner = tuple[int, int]
"""Column and row of a corner between voxels."""

SIDES: tuple[tuple[Corner, Corner, Corner], ...] = (
    ((0, -1), (0, 0), (1, 0)),
    ((1, 0), (1, 0), (1, 1)),
    ((0, 1), (1, 1), (0, 1)),
    ((-1, 0), (0, 1), (0, 0)),
)
"""For each side of a voxel: the neighbour behind it, and where the side starts and ends; the four
run round the voxel."""


def contours(inside: NDArray[np.bool_]) -> Iterator[list[Corner]]:
    """Yield the closed outlines of the voxels of an image (rows, columns), by their corners."""
    rows, columns = inside.shape
    padded = np.pad(inside, 1)
    ends: dict[Corner, list[Corner]] = {}
    for (right, down), start, end in SIDES:
        behind = padded[1 + down : 1 + down + rows, 1 + right : 1 + right + columns]
        for row, column in np.argwhere(inside & ~behind).tolist():
            corner = (column + start[0], row + start[1])
            ends.setdefault(corner, []).append((column + end[0], row + end[1]))
    while ends:  # as many sides start at a corner as end there: every walk comes back
        corner, walked = next(iter(ends)), []
        while corner in ends:
            walked.append(corner)
            following = ends[corner].pop()
            if not ends[corner]:
                del ends[corner]
            corner = following
        yield [here for i, here in enumerate(walked) if _turns(walked, i)]


def _turns(walked: list[Corner], i: int) -> bool:
    before, here, after = walked[i - 1], walked[i], walked[(i + 1) % len(walked)]
    return (before[0] == here[0]) != (here[0] == after[0])


def outline(inside: NDArray[np.bool_], box: Box) -> str:
    """Return the outlines of the voxels of an image that fills a box, as the data of a path."""
    rows, columns = inside.shape
    wide, high = box.width / columns, box.height / rows
    return "".join(
        f"M{'L'.join(f'{box.x + c * wide:.5g} {box.y + r * high:.5g}' for c, r in corners)}Z"
        for corners in contours(inside)
    )


def top_of(inside: NDArray[np.bool_], box: Box) -> tuple[float, float]:
    """Return the left upper corner of the first voxel of an image, row by row, in mm."""
    rows, columns = inside.shape
    row, column = np.argwhere(inside)[0]
    return box.x + column * box.width / columns, box.y + row * box.height / rows
