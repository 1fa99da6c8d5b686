"""Known metabolites, and the spellings under which fitting programs and archives write them.

A spelling is compared without case and without the signs between letters: "GPC+PCh", "GPC_PCh" and
"gpcpch" are one. The name on the left is the one shown.
"""

from __future__ import annotations

import re
from typing import NamedTuple

METABOLITES: dict[str, tuple[str, ...]] = {
    "tNAA": ("NAA+NAAG", "NAAG+NAA", "total NAA", "tot NAA", "tNAAG"),
    "NAA": ("N-acetylaspartate",),
    "NAAG": (),
    "tCr": ("Cr+PCr", "PCr+Cr", "Cre+PCr", "total Cr", "tot Cr", "tCre", "total creatine"),
    "Cr": ("Cre", "creatine"),
    "PCr": ("phosphocreatine",),
    "tCho": (
        *("GPC+PCh", "PCh+GPC", "GPC+PCho", "PCho+GPC", "Cho+GPC+PCh", "GPC+PCh+Cho"),
        *("total Cho", "tot Cho", "total choline"),
    ),
    "Cho": ("choline",),
    "GPC": (),
    "PCh": ("PCho", "phosphocholine"),
    "Ins": ("mI", "mIns", "myo-Ins", "Ino", "myo-inositol", "inositol"),
    "Ins+Gly": ("mI+Gly", "mIns+Gly", "tIns"),
    "sIns": ("Scyllo", "scyllo-inositol", "sI"),
    "Glx": ("Glu+Gln", "Gln+Glu"),
    "Glu": ("glutamate",),
    "Gln": ("glutamine",),
    "GABA": ("GABA+", "GABAplus"),
    "GSH": ("glutathione",),
    "Gly": ("glycine",),
    "Ser": ("serine",),
    "Lac": ("lactate",),
    "Ala": ("alanine",),
    "Asp": ("aspartate",),
    "Asc": ("ascorbate",),
    "Tau": ("taurine",),
    "Glc": ("glucose",),
    "PE": ("PEth", "phosphoethanolamine"),
    "2HG": ("2-HG", "bHG", "D2HG", "twoHG"),
    "Cystat": ("Cysta", "cystathionine"),
    "Bet": ("betaine",),
    "Ace": ("acetate",),
    "Suc": ("succinate",),
    "Lip": ("lipids",),
    "Lip09": (),
    "Lip13": ("Lip13a+Lip13b",),
    "Lip13a": (),
    "Lip13b": (),
    "Lip20": (),
    "Lac+Lip": ("Lip+Lac",),
    "MM": ("Mac", "macromolecules"),
    **{f"MM{ppm}": () for ppm in ("09", "12", "14", "17", "20")},
}
"""Name shown -> other spellings."""

SHORT = frozenset({"ace", "act", "ala", "asc", "asp", "bet", "mac", "mm", "pe", "ser", "si", "suc"})
"""Names that are also words or initials: within a longer name they count only as spelled above,
and not before a number."""

_BETWEEN = re.compile(r"[^a-z0-9]")


class Ratio(NamedTuple):
    """A ratio of two maps, by their names."""

    above: str
    below: str


def _key(name: str) -> str:
    return _BETWEEN.sub("", name.casefold())


_SHOWN = {
    _key(spelling): shown for shown, others in METABOLITES.items() for spelling in (shown, *others)
}
_SPELLED = {spelling for shown, others in METABOLITES.items() for spelling in (shown, *others)}


def known_metabolite(name: str) -> str:
    """Return the name shown for a spelling, "" if it is not known.

    >>> known_metabolite("NAANAAG"), known_metabolite("PCr+Cr"), known_metabolite("magnitude")
    ('tNAA', 'tCr', '')
    """
    return _SHOWN.get(_key(name), "")


def shown_name(name: str) -> str:
    """Return the name shown for a metabolite: the known one, else its own.

    >>> shown_name("GluGln"), shown_name("NAD+")
    ('Glx', 'NAD+')
    """
    return known_metabolite(name) or name


def metabolite_in(name: str) -> str:
    """Return the part of a longer name that is a known metabolite; "" if none or several are.

    >>> metabolite_in("patient_7_Glu"), metabolite_in("ser_12"), metabolite_in("Glu_Lac")
    ('Glu', '', '')
    >>> metabolite_in("map_Ser"), metabolite_in("Ser_12")  # the second is a number of a series
    ('Ser', '')
    """
    if known_metabolite(name):
        return name
    parts = re.split(r"[_\-. ]+", name)
    parts = [
        part
        for part, after in zip(parts, [*parts[1:], ""], strict=True)
        if _stands_alone(part) and not (_key(part) in SHORT and after.isdigit())
    ]
    return parts[0] if len({known_metabolite(part) for part in parts}) == 1 else ""


def _stands_alone(part: str) -> bool:
    known = known_metabolite(part)
    return bool(known) and (_key(part) not in SHORT or part in _SPELLED)


def ratio_in(name: str) -> Ratio | None:
    """Return the ratio that a name stands for, None if it is no ratio.

    >>> ratio_in("cho2naa"), ratio_in("sub-1_tNAA_over_tCr"), ratio_in("2HG")
    (Ratio(above='Cho', below='NAA'), Ratio(above='tNAA', below='tCr'), None)
    """
    if re.search(r"(?:^|[^A-Za-z])CNI(?:$|[^A-Za-z])", name):
        return Ratio("Cho", "NAA")
    joined = re.search(
        r"(?:^|_)([A-Za-z0-9+]+?)(?:_?(?:over|per|div|to|2)_?|/|%)([A-Za-z0-9+]+)(?:_|$)",
        name,
        re.IGNORECASE,
    )
    found = joined or re.search(r"(?:^|_)([A-Za-z0-9+]+)[-_]([A-Za-z0-9+]+)[-_]ratio", name)
    if found is None:
        return None
    above, below = (known_metabolite(part) for part in found.groups())
    return Ratio(above, below) if above and below else None
