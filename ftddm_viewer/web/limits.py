"""The one home of the page's limits; docs/administration.md states them, and a test compares.

Limits of the files themselves are in `ftddm_core.imaging.io.limits`: here they are strict.
"""

from __future__ import annotations

from threading import Lock

from ftddm_core.imaging.io import Limits
from ftddm_core.imaging.memory import plannable

# ---- memory

SESSION_MEMORY = 4_000_000_000
"""In bytes: what one study may be planned to take, and one slice of any; less where less is
free."""

# ---- pages

MOST_TABS = 64
"""Largest number of open pages."""

MOST_TABS_EACH = 16
"""Largest number of open pages of one address, or of one login; this computer's own has none."""

SEEN_WITHIN = 10.0
"""Seconds within which a browser holds its new page open; otherwise nothing is opened."""

GRACE = 600.0
"""Seconds that a page whose connection is lost, or that is reloaded, is kept."""

PULSE = 15.0
"""Seconds between two signs of life of an open page."""

READ_FOR = 10.0
"""Seconds for which the page at least says that its connection was interrupted."""

FORSAKEN = 300.0
"""Seconds without an event after which a page may be closed to make room."""

# ---- uploads

LARGEST_UPLOAD = 200_000_000
"""Largest upload of one file in bytes: a T1 with 0.5 mm voxels takes half of that."""

UNTAKEN = 120.0
"""Seconds after which an uploaded file is removed: a page that uses it has copied it at once."""

UPLOADS_WITHIN = 600.0
"""Seconds within which `UPLOADS_EACH` counts."""

UPLOADS_EACH = 2_000_000_000
"""Bytes that one address may upload within `UPLOADS_WITHIN` seconds."""

STORED = 10_000_000_000
"""Bytes of uploads and results that are stored at a time, for all pages together."""

STORED_EACH = 3_000_000_000
"""Bytes that the uploads of one page may take, unpacked."""

SPARED = 1_000_000_000
"""Bytes of the disk that are left free."""

# ---- requests

LONGEST_CALL = 1_000_000
"""Largest body of a request that is not an upload, in bytes."""

LONGEST_KEY = 64
"""Largest number of letters of a session's key."""

LONGEST_QUEUE = 512
"""Largest number of waiting events."""

MOST_TOLD = 20
"""Number of unknown hosts that are written to the log."""

# ---- regions

MOST_REGIONS = 8
"""Largest number of regions on a study."""

MOST_POINTS = 500
"""Largest number of points of a region."""

FARTHEST = 1000.0
"""In mm: no point of a region, and no mirror, lies farther from the origin."""

# ---- work

TOGETHER = 16
"""Largest number of sessions whose slices are computed in one batch, on a CPU."""

LONGEST_UNASKED = 30.0
"""Seconds of estimated work beyond which a click is needed."""

# ---- logins

FREE_FAILURES = 5
"""Wrong passwords of one address, or for one name, before it has to wait."""

LONGEST_WAIT = 300.0
"""Longest time in seconds that it has to wait."""

FORGOTTEN = 3600.0
"""Seconds after which a wrong password is forgotten."""


def memory() -> float:
    """Return the bytes that a study, or a slice, may be planned to take now."""
    return min(float(SESSION_MEMORY), plannable())


def of_studies() -> Limits:
    """Return the limits that the sessions of one server share."""
    return Limits(strict=True, memory=memory, turn=Lock())
