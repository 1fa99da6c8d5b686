"""Ratios of two maps of a study: which there are, and their maps and words.

The output's ratio is the mean over the samples' ratios where there are several samples, each shown
with its map's share of detail; see `ftddm_core.imaging.ratio`. Input and reference have the same
floor: a share of the scale of the denominator's acquired map.
"""

from __future__ import annotations

from itertools import permutations, product
from typing import Literal, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from ftddm_core.errors import SettingsError
from ftddm_core.imaging.fit_quality import top_of
from ftddm_core.imaging.metabolites import Ratio, ratio_in
from ftddm_core.imaging.ratio import FLOOR, floor_of, ratio, ratio_of_samples, ratio_unit
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.sampling.weighting import shown
from ftddm_core.sampling.widening import widening
from ftddm_viewer.session.case import HEADROOM, Case, Mode, Prepared
from ftddm_viewer.session.first_view import upper_limit
from ftddm_viewer.session.state import SliceImage, View

Source = Literal["input", "output", "reference", "deviation"]
"""Of which maps; "deviation" is that of the samples' ratios."""

USUAL = (("tCho", "Cho", "GPC", "PCh"), ("tNAA", "NAA")), (("tCho", "Cho"), ("tCr", "Cr"))
"""Spellings of the numerator and the denominator of the ratios that are read most."""

DIVIDES = "Divides two maps, sample by sample."


class RatioImage(NamedTuple):
    """The output's ratio in one slice.

    Parameters
    ----------
    mean
        (Nx, Ny) on the output grid; NaN where there is no ratio.
    deviation
        Standard deviation over the samples, widened; None for a single one.
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64] | None


def ratio_name(pair: Ratio) -> str:
    """Return the name of a ratio, such as tCho/tNAA."""
    return f"{pair.above}/{pair.below}"


def already_ratios(study: Study) -> tuple[str, ...]:
    """Return the maps of a study that are ratios themselves."""
    return tuple(name for name in study.maps if ratio_in(name) is not None)


def parts(study: Study) -> tuple[str, ...]:
    """Return the maps of a study that a ratio can be formed of."""
    return tuple(name for name in study.maps if ratio_in(name) is None)


def usual_ratios(study: Study) -> tuple[Ratio, ...]:
    """Return those of Cho/NAA and Cho/Cr that a study has the maps for."""
    found = []
    for aboves, belows in USUAL:
        pairs = product(aboves, belows)
        known = (Ratio(a, b) for a, b in pairs if a in study.maps and b in study.maps)
        found += [pair for pair in (next(known, None),) if pair is not None]
    return tuple(found)


def offered_ratios(study: Study) -> tuple[Ratio, ...]:
    """Return every ratio of two maps of a study, those that are read most first."""
    others = (Ratio(*pair) for pair in permutations(parts(study), 2))
    return tuple(dict.fromkeys((*usual_ratios(study), *others)))


def not_divided(study: Study) -> str:
    """Return which maps of a study are ratios already, in words; "" if none is."""
    if not (found := already_ratios(study)):
        return ""
    are = "are ratios" if len(found) > 1 else "is a ratio"
    return f"{', '.join(found)} {are} already and not divided again."


def known_ratio(case: Case | None, above: str, below: str) -> Ratio | None:
    """Return the ratio of two maps of a case; None without names or without a case.

    Raises
    ------
    SettingsError
        If the case has no such pair, or a map is a ratio already.
    """
    if case is None or not (above or below):
        return None
    for name in (above, below):
        case.known_metabolite(name)
        if name in already_ratios(case.study):
            raise SettingsError(f"{name} is a ratio already: choose two maps that are not.")
    if above == below:
        raise SettingsError(f"The ratio of {above} to itself is 1: choose two different maps.")
    return Ratio(above, below)


def kept_ratio(case: Case, pair: Ratio | None) -> Ratio | None:
    """Return a ratio for another case, None if that has no such pair."""
    kept = pair is not None and set(pair) <= set(parts(case.study))
    return pair if kept else None


def ratio_slice(view: View, pair: Ratio, k: int) -> RatioImage | None:
    """Return the output's ratio in slice k; None where it was not computed.

    It is computed once for the same images and shares of detail.
    """
    above, below = (view.images.get((name, k)) for name in pair)
    if above is None or below is None:
        return None
    several = view.asked.samples > 1
    if several and (above.samples is None or below.samples is None):
        return None
    details = view.detail(pair.above), view.detail(pair.below)
    made = (above, below, details)  # images are equal only to themselves
    kept = view.ratios.get((pair, k))
    if kept is None or kept[0] != made:
        kept = view.ratios[pair, k] = (made, _ratio_slice(view, pair, k, (above, below), details))
    found: RatioImage | None = kept[1]
    return found


def _ratio_slice(
    view: View,
    pair: Ratio,
    k: int,
    images: tuple[SliceImage, SliceImage],
    details: tuple[float, float],
) -> RatioImage | None:
    drawn = [[image.drawn] if image.samples is None else list(image.samples) for image in images]
    if not all(drawn):
        return None
    above, below = (
        [shown(x, image.alone, detail) for x in samples]
        for samples, image, detail in zip(drawn, images, details, strict=True)
    )
    inside = _inside(view.prepared, pair)[..., k]
    mean, deviation = ratio_of_samples(above, below, floor_in(view.prepared, pair))
    if deviation is not None:
        deviation *= max(widening(view.prepared.conditions[name]) for name in pair)
    return RatioImage(
        np.where(inside, mean, np.nan),
        None if deviation is None else np.where(inside, deviation, np.nan),
    )


def floor_in(prepared: Prepared, pair: Ratio) -> float:
    """Return the smallest denominator that gives a ratio, in the denominator's unit."""
    return floor_of(prepared.conditions[pair.below].scale)


def _inside(prepared: Prepared, pair: Ratio) -> NDArray[np.bool_]:
    above, below = (prepared.conditions[name].mask for name in pair)
    return np.asarray(above & below)


_measured: WeakKeyDictionary[Prepared, dict[tuple[Ratio, str], Volume]] = WeakKeyDictionary()


def ratio_volume(view: View, pair: Ratio, source: Source) -> Volume | None:
    """Return a ratio in display space, the same object each time; None without a reference.

    It is NaN outside the masks, below the floor, and in slices that were not computed.
    """
    if source in ("input", "reference"):
        return _measured_volume(view.prepared, pair, source)
    key = (pair, source)
    if key not in view.derived:
        condition = view.prepared.conditions[pair.above]
        data = np.full(condition.shape, np.nan, np.float32)
        for k in range(condition.shape[2]):
            image = ratio_slice(view, pair, k)
            values = None if image is None else image[source == "deviation"]
            if values is not None:
                data[..., k] = values
        volume = Volume(data, condition.affine, unit_of(view.prepared.case, pair))
        view.derived[key] = view.prepared.case.frame.show(volume)
    found: Volume = view.derived[key]
    return found


def _measured_volume(prepared: Prepared, pair: Ratio, source: Source) -> Volume | None:
    kept = _measured.setdefault(prepared, {})
    if (pair, source) not in kept:
        given = [
            prepared.input(name) if source == "input" else prepared.truth(name) for name in pair
        ]
        above, below = given
        if above is None or below is None:
            return None
        data = ratio(above.data, below.data, floor_in(prepared, pair)).astype(np.float32)
        unit = unit_of(prepared.case, pair)
        kept[pair, source] = Volume(data, above.affine, unit)
    return kept[pair, source]


def unit_of(case: Case, pair: Ratio) -> str:
    """Return the unit of a ratio, "" where numerator and denominator have the same."""
    return ratio_unit(case.study.maps[pair.above].unit, case.study.maps[pair.below].unit)


def ratio_top(case: Case, mode: Mode, pair: Ratio) -> float:
    """Return the upper colour limit of a ratio's maps, which depends on the study alone."""
    above, below = (np.asarray(case.study.maps[name].data, np.float64) for name in pair)
    trusted = case.trusted[pair.above] & case.trusted[pair.below]
    scale = top_of(below, trusted)
    limit = upper_limit(ratio(above, below, floor_of(scale))[trusted])
    return limit if mode is Mode.RESTORE else HEADROOM * limit


def ratio_words(view: View, pair: Ratio, source: Source) -> str:
    """Return what a ratio's map is and how it was formed."""
    below = view.prepared.conditions[pair.below]
    floor = f"{floor_in(view.prepared, pair):.3g} {below.unit}".rstrip()
    least = f"none where {pair.below} < {floor} ({FLOOR:.0%} of its scale)"
    words = f"RATIO {ratio_name(pair)} of the {source}"
    if source == "output":
        n = view.asked.samples
        how = f"mean of the ratios of {n} samples" if n > 1 else "ratio of one sample of each map"
        return f"{words}, {how}, {least}"
    return f"{words}, {least}"


def ratio_detail(view: View, pair: Ratio) -> str:
    """Return the shares of the drawn detail that a ratio is formed with."""
    above, below = (f"{view.detail(name):.2g}" for name in pair)
    return f"detail {above}" if above == below else f"detail {above} and {below}"
