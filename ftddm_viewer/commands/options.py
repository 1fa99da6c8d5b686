"""What the flags of a command mean."""

from __future__ import annotations

from argparse import Namespace

from ftddm_core.settings import SamplerSettings, controls


def settings_from(options: Namespace) -> SamplerSettings:
    """Return the settings that the flags give; flags left out take their defaults."""
    given = vars(options)
    values = {c.name: given[c.name] for c in controls() if given.get(c.name) is not None}
    return SamplerSettings.from_dict(values)
