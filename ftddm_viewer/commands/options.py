"""Settings from the flags of a command, and messages worded in terms of flags."""

from __future__ import annotations

from argparse import Namespace

from ftddm_core.settings import SamplerSettings, controls
from ftddm_viewer.session.messages import UNDO_ZERO_FILLING
from ftddm_viewer.session.saving import CHOOSE_ANOTHER

IN_FLAGS = {
    CHOOSE_ANOTHER: "choose another --out, or say --overwrite to replace it",
    UNDO_ZERO_FILLING: "undo that (--unfill) to start from the acquired maps",
    "hoose another run folder": "hoose another --out",
    "start from the same weights": "give the same --start-from",
    "give label maps for training and validation": (
        "give --anatomies FILE... and --validation FILE..."
    ),
    "give folders for training and validation": (
        "give --patients DIR and --validation-patients DIR"
    ),
    "or give a label map.": "or give a label map (--anatomy FILE).",
    "use this one as the measured study": "give this one as --real",
}
"""Advice in a message -> the same advice for the command line."""


def in_flags(message: str) -> str:
    """Return a message with its advice worded in terms of flags."""
    for advice, flags in IN_FLAGS.items():
        message = message.replace(advice, flags)
    return message


def settings_from(options: Namespace) -> SamplerSettings:
    """Return the settings given by the flags; flags left out take their defaults."""
    given = vars(options)
    values = {c.name: given[c.name] for c in controls() if given.get(c.name) is not None}
    return SamplerSettings.from_dict(values)
