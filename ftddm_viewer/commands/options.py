"""Settings from the flags of a command, and messages worded in terms of flags."""

from __future__ import annotations

from argparse import Namespace

from ftddm_core.settings import SamplerSettings, controls
from ftddm_viewer.session.messages import UNDO_ZERO_FILLING
from ftddm_viewer.session.saving import CHOOSE_ANOTHER

IN_FLAGS = {
    CHOOSE_ANOTHER: "choose another --out, or say --overwrite to replace it",
    UNDO_ZERO_FILLING: "undo that (--unfill) to start from what was acquired",
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
