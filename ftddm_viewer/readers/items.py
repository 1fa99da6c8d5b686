"""What readers are shown: images under codes that say nothing, and trials in random order."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from ftddm_core.errors import SettingsError

RATING, CHOICE = "rating", "choice"
Kind = Literal["rating", "choice"]


@dataclass(frozen=True)
class Scale:
    """A question with answers from 1 to 5, of which 5 is always the best.

    Parameters
    ----------
    name
        In tables.
    question
        As readers see it.
    worst, best
        What 1 and 5 mean.
    """

    name: str
    question: str
    worst: str
    best: str


SCALES = (
    Scale("sharpness", "Sharpness", "very blurred", "very sharp"),
    Scale("noise", "Noise", "very noisy", "no visible noise"),
    Scale("artefacts", "Artefacts", "severe", "none"),
    Scale("trust", "Trust in what is shown", "none", "full"),
    Scale("overall", "Overall quality", "very poor", "excellent"),
)
LEVELS = (1, 2, 3, 4, 5)
TOO_FEW = "A reader study compares two methods or more: name another."
PREFERRED = "preferred"
"""Name of the answer to a choice."""


@dataclass(frozen=True)
class Case:
    """One slice of one map, as every method shows it.

    Parameters
    ----------
    study, metabolite, slice_index
        Where it is from.
    images
        Name of a method -> its image as the bytes of a PNG file.
    anatomy
        T1w image of the same slice, None without one.
    """

    study: str
    metabolite: str
    slice_index: int
    images: Mapping[str, bytes]
    anatomy: bytes | None = None


@dataclass(frozen=True)
class Trial:
    """One question to a reader.

    Parameters
    ----------
    number
        Its place in the order, from 1.
    kind
        Ratings of one image, or a choice between two.
    case
        Number of its case, from 1.
    metabolite
        What is shown.
    images
        Code of the image, or of the left and the right one.
    anatomy
        Code of the T1w image, "" without one.
    """

    number: int
    kind: Kind
    case: int
    metabolite: str
    images: tuple[str, ...]
    anatomy: str = ""


@dataclass(frozen=True)
class Blinded:
    """A reader study: what readers see, and the key.

    Parameters
    ----------
    trials
        In their order.
    images
        Code -> PNG file.
    shown
        Code -> number of its case and name of its method, the key; without T1w images.
    """

    trials: tuple[Trial, ...]
    images: Mapping[str, bytes]
    shown: Mapping[str, tuple[int, str]]


def blinded(cases: Sequence[Case], seed: int) -> Blinded:
    """Return the study of some cases: first all ratings, then all choices, each in random order.

    Every image is rated once, and every two methods are compared once in every case; each of the
    two is on the left in half of the cases, to within one.

    Raises
    ------
    SettingsError
        If there is no case, or fewer than two methods.
    """
    methods = list(cases[0].images) if cases else []
    if len(methods) < 2:
        raise SettingsError(TOO_FEW)
    chance = random.Random(seed)
    images: dict[str, bytes] = {}
    shown: dict[str, tuple[int, str]] = {}

    def coded(content: bytes) -> str:
        while (code := f"{chance.getrandbits(48):012x}") in images:
            pass
        images[code] = content
        return code

    codes: list[dict[str, str]] = []
    anatomies = []
    for number, case in enumerate(cases, start=1):
        anatomies.append("" if case.anatomy is None else coded(case.anatomy))
        codes.append({method: coded(case.images[method]) for method in methods})
        shown |= {code: (number, method) for method, code in codes[-1].items()}
    ratings = [(number, (code,)) for number, own in enumerate(codes) for code in own.values()]
    choices: list[tuple[int, tuple[str, ...]]] = []
    for one, other in combinations(methods, 2):
        turned = [i % 2 == 1 for i in range(len(cases))]
        chance.shuffle(turned)
        for number, turn in enumerate(turned):
            pair = (codes[number][one], codes[number][other])
            choices.append((number, pair[::-1] if turn else pair))
    chance.shuffle(ratings)
    chance.shuffle(choices)
    kinds: list[tuple[Kind, int, tuple[str, ...]]] = [
        *(("rating", number, pair) for number, pair in ratings),
        *(("choice", number, pair) for number, pair in choices),
    ]
    trials = tuple(
        Trial(place, kind, number + 1, cases[number].metabolite, pair, anatomies[number])
        for place, (kind, number, pair) in enumerate(kinds, start=1)
    )
    # In the order of their codes, which says nothing either.
    return Blinded(trials, dict(sorted(images.items())), shown)
