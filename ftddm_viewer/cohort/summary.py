"""Summary of a batch: a table as CSV, and pages with an image, self-check and warnings a study.

Neither states a time, so that a batch that was interrupted ends with the files of one that was not;
while it runs, the pages say how long it will take.
"""

from __future__ import annotations

import csv
import html
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

from ftddm_core.saving.files import save_files
from ftddm_core.saving.notice import NOTICE
from ftddm_viewer.cohort.job import Job
from ftddm_viewer.cohort.one import DONE, FAILED, THUMBNAIL, Outcome
from ftddm_viewer.cohort.plan import Item

SUMMARY, PAGES = "summary.csv", "summary*.html"
ON_A_PAGE = 500
"""Studies on a page: browsers stay quick."""

WAITING = "not yet"
COLUMNS = (
    "Study", "Path", "Session", "Status", "Problem", "Maps", "Matrix", "RestoredMatrix", "Voxel_mm",
    "RestoredVoxel_mm", "SelfCheckGain_dB", "Detail", "MriWeight", "KSpaceResidual",
    "ResidualOfNoise", "SelfCheck", "Warnings",
)  # fmt: skip

STYLE = """
:root { color-scheme: light dark }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 84rem; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
td, th { border-bottom: 1px solid #8886; padding: .5rem; text-align: left; vertical-align: top }
img { width: min(34rem, 48vw); height: auto; background: #fff }
.failed { color: #b00020; font-weight: 600 }
ul { margin: 0; padding-left: 1.1rem }
.notice { color: #b00020 }
@media (prefers-color-scheme: dark) { .failed, .notice { color: #ff8a80 } }
"""


def write_summary(
    job: Job,
    items: Sequence[Item],
    found: Mapping[str, Outcome | None],
    left: float | None = None,
) -> None:
    """Write the table and the pages; `left`: how long it will take, in s, while it runs."""
    rows = [found[item.key] or {"Study": item.key, **item.to_dict(), "Status": WAITING}
            for item in items]  # fmt: skip
    # The spreadsheet programs of Windows take UTF-8 for another encoding without the mark.
    files = {SUMMARY: table(rows).encode("utf-8-sig")}
    parts = [rows[i : i + ON_A_PAGE] for i in range(0, len(rows), ON_A_PAGE)]
    for number, part in enumerate(parts):
        files[page_name(number)] = page(job, rows, part, number, len(parts), left).encode()
    save_files(files, job.folder, overwrite=True)


def page_name(number: int) -> str:
    """Return the name of a page, which counts from 0.

    >>> page_name(0), page_name(1)
    ('summary.html', 'summary-2.html')
    """
    return f"summary-{number + 1}.html" if number else "summary.html"


def table(rows: Sequence[Outcome]) -> str:
    """Return the table as CSV."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow(_cell(row.get(name, "")) for name in COLUMNS)
    return text.getvalue()


def _cell(value: Any) -> str:
    """Return a value as a spreadsheet takes it; a text never as a formula."""
    if value is None:
        return ""
    if isinstance(value, list):
        whole = all(isinstance(each, int | float) for each in value)
        return (" x " if whole else "; ").join(str(each) for each in value)
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text[:1] in ("=", "+", "-", "@") else text


def page(
    job: Job,
    rows: Sequence[Outcome],
    part: Sequence[Outcome],
    number: int,
    pages: int,
    left: float | None,
) -> str:
    """Return one page: what all studies have in common, and a row for each of some."""
    counts = {status: sum(row["Status"] == status for row in rows)
              for status in (DONE, FAILED, WAITING)}  # fmt: skip
    words = f"{counts[DONE]} of {len(rows)} studies done, {counts[FAILED]} failed"
    if counts[WAITING]:
        words += f", {counts[WAITING]} not yet" + (
            f"; about {time_words(left)} left" if left else ""
        )
    others = " ".join(
        str(n + 1) if n == number else f'<a href="{page_name(n)}">{n + 1}</a>' for n in range(pages)
    )
    settings = ", ".join(
        f"{name} {'automatic' if value is None else value}"
        for name, value in job.settings.to_dict().items()
    )
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>FTDDM batch: {words}</title><style>{STYLE}</style></head><body>",
            f"<h1>FTDDM batch</h1><p>{words}.</p>",
            f'<p class="notice">{html.escape(NOTICE)}</p>',
            f"<p>Settings: {html.escape(settings)}; weights {job.digest[:16]}.</p>",
            f"<p>Pages: {others}</p>" if pages > 1 else "",
            "<table><thead><tr><th>Study</th><th>Maps</th><th>Self-check and warnings</th></tr>"
            "</thead><tbody>",
            *(_row(row) for row in part),
            "</tbody></table></body></html>\n",
        ]
    )


def _row(row: Outcome) -> str:
    key, text = html.escape(row["Study"]), html.escape
    about = f"<strong>{key}</strong><br>{text(row['Status'])}"
    if row["Status"] == FAILED:
        about = f'<strong>{key}</strong><br><span class="failed">failed</span>'
        return f"<tr><td>{about}</td><td></td><td>{text(row['Problem'])}</td></tr>"
    if row["Status"] == WAITING:
        return f"<tr><td>{about}</td><td></td><td></td></tr>"
    about += (
        f"<br>{text(', '.join(row['Maps']))}<br>{_cell(row['Matrix'])} voxels "
        f"→ {_cell(row['RestoredMatrix'])}"
    )
    file = f"{key}/{THUMBNAIL}"
    thumbnail = f'<a href="{file}"><img loading="lazy" src="{file}" alt="Maps of {key}"></a>'
    notes = "".join(f"<li>{text(note)}</li>" for note in row["Warnings"])
    said = f"<p>{text(row['SelfCheck'])}</p>" + (f"<ul>{notes}</ul>" if notes else "")
    return f"<tr><td>{about}</td><td>{thumbnail}</td><td>{said}</td></tr>"


def time_words(seconds: float) -> str:
    """Return a time in words.

    >>> time_words(8), time_words(100), time_words(9000), time_words(400000)
    ('8 s', '2 min', '2.5 h', '4.6 days')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172800 else f"{seconds / 86400:.1f} days"
