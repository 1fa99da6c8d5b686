"""The record of a run: a plain dict, ready for JSON, from which the page follows.

Times are in seconds, memory in bytes; what was not measured is None.

- `format`: `FORMAT`; `software`: version; `command`: the command that makes it again; `plan`: every
  size, see `plan.Plan`;
- `weights`: `name` and `sha256`; `machine`: see `machine.machine`;
- `live`: the live `SamplerSettings`, exactly;
- `case`: `matrix`, `slices` and number of `metabolites` of the study, the `metabolite` and the
  slice `k` that one slice stands for, and by how much it is degraded, `upscale`;
- `devices`: for each, its name as `device` and what was measured: `memory` (`memory.memory`),
  `calls` (`calls.calls`), `moves`, `mri_weights` and `drag` (`live`), `sweeps` (`sweeps.sweeps`;
  not in every record), `comparisons`, `volumes` and `growth` (`growth`), and `targets`;
- `tradeoff` (`tradeoff.tradeoff`): on the first device, since the metrics are the same on all of
  them;
- `web`: of many visitors of the page (`visits.visits`), where `ftddm bench --web` added it: it has
  a `command` and a `machine` of its own.
"""

from __future__ import annotations

from typing import Any

FORMAT = 3
"""Version of the record; a change that an older page cannot show raises it."""

Record = dict[str, Any]
"""A record, or what it holds of one device."""

Line = dict[str, Any]
"""A row of one of its tables."""
