"""Settings from the flags of a command, and messages worded in terms of flags."""

from __future__ import annotations

from argparse import Namespace

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io import Choices
from ftddm_core.saving.files import CHOOSE_ANOTHER
from ftddm_core.settings import SamplerSettings, controls
from ftddm_viewer.session.messages import UNDO_ZERO_FILLING

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
    "which are trusted?": "which are trusted? Name them: --mask-label N.",
    "or say that it is a map.": "or say that it is a map (--role FILE=map:NAME).",
    "say what it is to use it": "say what it is to use it (--role FILE=ROLE)",
    "or say which file it is.": "or say which file it is (--role FILE=ROLE).",
    "say which files are maps,": "say which files are maps (--role FILE=map:NAME),",
    "Keep or list only one of them.": "List only one of them, or leave one out (--exclude FILE).",
    "or give a label map.": "or give a label map (--anatomy FILE).",
    "ive the folder that holds them.": "ive the folder that holds them (--inputs FOLDER).",
    "name the ones of the run.": "name the ones of the run (--weights NAME|DIR).",
    "use this one as the measured study": "give this one as --real",
}
"""Advice in a message -> the same advice for the command line."""


def in_flags(message: str) -> str:
    """Return a message with its advice worded in terms of flags."""
    for advice, flags in IN_FLAGS.items():
        message = message.replace(advice, flags)
    return message


def choices_from(options: Namespace) -> Choices:
    """Return the decisions about a study's files given by the flags.

    Raises
    ------
    FormatError
        If one is not possible.
    """
    roles = {}
    for text in options.role:
        file, sign, role = text.rpartition("=")
        if not sign:
            raise FormatError(f"'{text}' is not a role: give FILE=ROLE, as in a.nii=map:NAA.")
        roles[file] = role
    return Choices(
        roles=roles,
        exclude=tuple(options.exclude),
        label=options.label,
        subject=options.subject,
        session=options.session,
        scale=options.scale,
        mask_threshold=options.mask_threshold,
        mask_labels=tuple(options.mask_label),
        crlb_unit=options.crlb_unit.replace("-", " "),
        max_crlb=options.max_crlb,
        min_snr=options.min_snr,
        max_fwhm=options.max_fwhm,
        space=options.space,
    )


def settings_from(options: Namespace) -> SamplerSettings:
    """Return the settings given by the flags; flags left out take their defaults."""
    given = vars(options)
    values = {c.name: given[c.name] for c in controls() if given.get(c.name) is not None}
    return SamplerSettings.from_dict(values)
