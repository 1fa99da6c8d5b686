"""Permalinks: a view as the query of an address, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

from ftddm_core.errors import SettingsError
from ftddm_core.settings import Control, SamplerSettings, Value, controls
from ftddm_viewer.session.bundled import BUNDLED, LABELS, bundled
from ftddm_viewer.session.case import Case
from ftddm_viewer.session.display import Display
from ftddm_viewer.session.exploration import limited_steps
from ftddm_viewer.session.pins import LETTERS
from ftddm_viewer.session.ratios import ratio_name
from ftddm_viewer.session.state import State
from ftddm_viewer.web.appearance import NAMES, USUAL, Appearance, appearance_value, yes_or_no
from ftddm_viewer.web.plain import plain

LOOKS = ("study", "mode", "metabolite", "slice")
"""Parameters in addition to the settings; slices count from 1, as on the page."""

DISPLAYED = ("fade", "limit", "by_deviation", "colormap", "low", "high")
"""Parameters that are fields of a `Display`: which voxels are faded, and the maps' colours."""

RATIO = "ratio"
"""Parameter with the two metabolites of the ratio that is shown: tCho/tNAA."""

PINS = "pins"
"""Parameter with the settings of pins: "A,tau_flow:0.2,seed:3~B" are A's, and B's, which are the
defaults. None of these letters needs to be encoded in an address."""

BETWEEN_PINS, BETWEEN_SETTINGS, IS = "~", ",", ":"

UPLOADED = "Uploaded study"
"""Name of an uploaded study, unless the user gives it one."""

UPLOAD = "upload"
"""Value of the parameter "study" in a link made with an upload; the study itself is never in a
link."""

OWN = ("__", "view", "logs", "deep_link")
"""Prefix of gradio's own parameters."""

MOST_NAMED, LONGEST_NAMED = 3, 24
"""How many parts of a link a message names, and how much of each."""

OLDER = {"true": "exact", "1": "exact", "false": "off", "0": "off"}
"""Data consistency in the form of older links."""


@dataclass
class Wishes:
    """The view that a link requests.

    Parameters
    ----------
    settings
        Settings, valid together with the session's defaults.
    mode, metabolite, slice_index, ratio
        None if the link does not name them.
    study
        Name of a bundled case, or `UPLOAD` for one that waits for its study.
    display
        Changes of the initial `Display`, valid together.
    pins
        Letter -> settings of a pin.
    appearance
        How the browser is to show the images.
    problems
        Messages about invalid parts of the link.
    """

    settings: dict[str, Value] = field(default_factory=dict)
    mode: str | None = None
    metabolite: str | None = None
    slice_index: int | None = None
    study: str = BUNDLED[0].name
    ratio: tuple[str, str] | None = None
    display: dict[str, Any] = field(default_factory=dict)
    pins: dict[str, SamplerSettings] = field(default_factory=dict)
    appearance: Appearance = USUAL
    problems: list[str] = field(default_factory=list)

    @property
    def uploaded(self) -> bool:
        """Whether it was made with an uploaded study, and waits for it."""
        return self.study == UPLOAD


def query_of(
    state: State,
    awaited: Wishes | None = None,
    pins: Mapping[str, SamplerSettings] = MappingProxyType({}),
    appearance: Appearance = USUAL,
) -> str:
    """Return "?" and all differences from the initial state of a session with this study.

    Parameters
    ----------
    state
        State whose settings are written. Metabolite, slice and mode are written if they differ; all
        of them for an upload, since a session starts with another study.
    awaited
        The requested view, written instead while an upload is awaited.
    pins
        Letter -> settings of a pin.
    appearance
        How the browser shows the images.
    """
    parameters = _chosen(state.settings)
    for name in DISPLAYED:
        value = getattr(state.display, name)
        if value != getattr(Display(), name):
            parameters[name] = value if isinstance(value, str) else f"{value:.6g}"
    if pins:
        parameters[PINS] = BETWEEN_PINS.join(
            BETWEEN_SETTINGS.join(
                [letter, *(f"{name}{IS}{text}" for name, text in _chosen(settings).items())]
            )
            for letter, settings in pins.items()
        )
    if awaited is not None:
        k = awaited.slice_index
        looks = (UPLOAD, awaited.mode, awaited.metabolite, None if k is None else str(k + 1))
        found = zip(LOOKS, looks, strict=True)
        parameters |= {name: value for name, value in found if value is not None}
        if awaited.ratio is not None:
            parameters[RATIO] = "/".join(awaited.ratio)
    elif state.case is not None:
        parameters |= _looks(state, state.case)
        if state.ratio is not None:
            parameters[RATIO] = ratio_name(state.ratio)
    parameters |= appearance.parameters()
    return f"?{urlencode(parameters, safe=BETWEEN_SETTINGS + IS)}"


def _chosen(settings: SamplerSettings) -> dict[str, str]:
    """Return name -> text of the settings that are not as the program starts."""
    defaults = State().settings
    found = {control.name: getattr(settings, control.name) for control in controls()}
    return {name: _text(value) for name, value in found.items() if value != getattr(defaults, name)}


def _looks(state: State, case: Case) -> dict[str, str]:
    study = UPLOAD if is_uploaded(case) else _name_of(case)
    shown = (study, str(state.mode), state.metabolite, str(state.slice_index + 1))
    looks = dict(zip(LOOKS, shown, strict=True))
    if study == UPLOAD:
        return looks
    usual = {
        "study": BUNDLED[0].name,
        "mode": str(case.usual_mode),
        "metabolite": case.first_metabolite,
        "slice": str(case.first_slice + 1),
    }
    return {name: value for name, value in looks.items() if value != usual[name]}


def is_uploaded(case: Case) -> bool:
    """Return whether a case was uploaded, whatever the user calls it."""
    return case.label not in LABELS


def _name_of(case: Case) -> str:
    return next(each.name for each in BUNDLED if each.label == case.label)


def wishes_of(query: Mapping[str, str]) -> Wishes:
    """Return the view that a query requests; invalid parts are left out and reported."""
    wishes, unknown = Wishes(), []
    no_pins: list[str] = []
    known = {control.name: control for control in controls()}
    for name, text in query.items():
        try:
            if name in known:
                wishes.settings[name] = known[name].check(_value(known[name], text))
            elif name == "slice":
                wishes.slice_index = _whole(text) - 1
            elif name == "study":
                wishes.study = text if text == UPLOAD else bundled(text).name
            elif name == "mode":
                wishes.mode = text
            elif name == "metabolite":
                wishes.metabolite = text
            elif name == RATIO:
                wishes.ratio = _pair(text)
            elif name in DISPLAYED:
                wishes.display[name] = _displayed(name, text)
            elif name in NAMES:
                value: Any = appearance_value(name, text)
                wishes.appearance = replace(wishes.appearance, **{name: value})
            elif name == PINS:
                wishes.pins, no_pins = _pins(text)
            elif not name.startswith(OWN):
                unknown.append(name)
        except SettingsError as error:
            wishes.problems.append(str(error))
    if unknown:
        wishes.problems.append(_ignored("Unknown", unknown))
    if no_pins:
        wishes.problems.append(_ignored("Not the settings of a pin", no_pins))
    try:
        _together(wishes.settings)
    except SettingsError as error:
        wishes.problems.append(str(error))
        wishes.settings = {}
    try:
        Display().changed(**wishes.display)
    except SettingsError as error:
        wishes.problems.append(plain(str(error)))
        wishes.display = {}
    return wishes


def _pins(text: str) -> tuple[dict[str, SamplerSettings], list[str]]:
    """Return letter -> settings of the pins in a text, and its parts that make no sense."""
    found: dict[str, SamplerSettings] = {}
    wrong = []
    for part in text.split(BETWEEN_PINS):
        letter, *changes = part.split(BETWEEN_SETTINGS)
        try:
            if letter not in tuple(LETTERS) or letter in found:
                raise SettingsError(f"There is no other pin '{letter}'.")
            found[letter] = _changed(dict(_split(change) for change in changes))
        except SettingsError:
            wrong.append(part)
    return found, wrong


def _split(change: str) -> tuple[str, str]:
    name, _, text = change.partition(IS)
    return name, text


def _changed(changes: Mapping[str, str]) -> SamplerSettings:
    """Return the settings as the program starts, with changes: name -> text."""
    known = {control.name: control for control in controls()}
    if unknown := changes.keys() - known.keys():
        raise SettingsError(f"There is no setting '{min(unknown)}'.")
    settings = State().settings.to_dict()
    settings |= {name: known[name].check(_value(known[name], changes[name])) for name in changes}
    settle = SamplerSettings.from_dict if "steps" in changes else limited_steps
    return settle(settings)


def _ignored(what: str, names: Sequence[str]) -> str:
    """Return one short line about parts of a link, however many and long."""
    named = ", ".join(plain(name, LONGEST_NAMED) for name in names[:MOST_NAMED])
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{what}, ignored: {named}{more}."


def slice_problem(k: int, count: int) -> str:
    """Return what is wrong with a slice that a link asks for, in words that count from 1; ""
    if there is one."""
    if 0 <= k < count:
        return ""
    return f"There is no slice {k + 1}: give its number, from 1 to {count}."


def _together(settings: Mapping[str, Value]) -> SamplerSettings:
    """Check the settings of a link as a session will: steps that it does not name follow
    T_trunc."""
    t_trunc = settings.get("t_trunc")
    if "steps" not in settings and t_trunc is not None:
        return SamplerSettings.from_dict(dict(settings))
    return State().settings.replace(**settings)


def _text(value: Value) -> str:
    return "" if value is None else repr(value) if isinstance(value, float) else str(value)


def _value(control: Control, text: str) -> object:
    """Return a parameter's value, or its text if it does not have the control's type."""
    if not text and control.optional:
        return None
    if control.name == "consistency":
        return OLDER.get(text.lower(), text)
    try:
        return control.type(text)
    except ValueError:
        return text


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise SettingsError(f"There is no slice '{text}': give its number, from 1.") from None


def _pair(text: str) -> tuple[str, str]:
    above, _, below = text.partition("/")
    if not (above and below):
        raise SettingsError(
            f"There is no ratio '{plain(text, LONGEST_NAMED)}': give two metabolites, tCho/tNAA."
        )
    return above, below


def _displayed(name: str, text: str) -> bool | float | str:
    """Return the value of a field of a display, of the type that it has there."""
    usual, said = getattr(Display(), name), plain(text, LONGEST_NAMED)
    if isinstance(usual, str):
        return text
    if isinstance(usual, bool):
        return yes_or_no(name, text)
    try:
        return float(text)
    except ValueError:
        raise SettingsError(f"{name} is '{said}': give per cent, as in {usual:g}.") from None
