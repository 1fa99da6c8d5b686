"""A report on A4: images above, figures, settings, checks and warnings below, and the notice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from ftddm_core.errors import FormatError
from ftddm_core.saving.files import save_files
from ftddm_core.saving.notice import NOTICE
from ftddm_viewer.drawing.figures import draw_panel, save_figure
from ftddm_viewer.drawing.image_rows import Panel
from ftddm_viewer.drawing.orientation import radiological_slice
from ftddm_viewer.drawing.report_content import ReportPage, Rows
from ftddm_viewer.drawing.style import NOTICE_COLOUR, add_notice, new_figure

A4 = (8.27, 11.69)
"""In inches."""

DPI = 150
FEW, MANY = 3, 4
"""Columns of images: more where there are more than two rows otherwise."""

LEFT, RIGHT, BOTTOM, GUTTER = 0.07, 0.93, 0.045, 0.03
"""Margins, and the space between two columns of text, in shares of the page."""

BODY, HEADING = 8.0, 9.5
"""Sizes of the type in points."""

LINE = 1.32
"""Distance of two lines relative to the size of the type."""

SPACE = 0.008
"""Below a table or text, as a share of the page's height."""

GREY = "#555555"

IMAGE = 2.0
"""Width of an image in inches, where there are few."""

ABOUT_IMAGE = 0.42
"""Height in inches of what belongs to a row of images besides: their titles, and space."""

LOWEST, HIGHEST = 1.2, 2.9
"""Heights in inches that a row of images may take."""

ENDINGS = (".pdf", ".png")


def draw_page(page: ReportPage) -> Figure:
    """Draw a page.

    Returns
    -------
    Figure
        A4, upright, with an Agg canvas.
    """
    columns = FEW if len(page.images) <= 2 * FEW else MANY
    rows = -(-len(page.images) // columns)
    figure, grid = new_figure(rows, columns, A4, "", dpi=DPI)
    words = _Words(figure)
    head = words.paragraph(page.title, LEFT, 0.965, RIGHT - LEFT, 13, weight="bold")
    for line in page.subtitle:
        head = words.paragraph(line, LEFT, head, RIGHT - LEFT, BODY + 1)
    low = head - _row_height(page.images[0], columns) / A4[1] * rows
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.set(rect=(LEFT, low, RIGHT - LEFT, head - low), h_pad=0, w_pad=0)  # type: ignore[call-arg]
    for place, panel in zip(grid.flat, page.images, strict=False):
        shown = draw_panel(place, panel, 0)
        place.set_title(panel.column, fontsize=8.5 if columns == FEW else 7)
        if panel.bar:
            bar = figure.colorbar(shown, ax=place, fraction=0.046, pad=0.03)
            bar.set_label(page.unit or "as the input", fontsize=7)
            bar.ax.tick_params(labelsize=6.5)
    for place in grid.flat[len(page.images) :]:
        place.set_axis_off()
    _write(words, page, low - 0.012)
    add_notice(figure, NOTICE, 8)
    return figure


def _row_height(panel: Panel, columns: int) -> float:
    """Return the height in inches of a row of images like one."""
    image, _, aspect = radiological_slice(panel.volume, 0)
    height = float(IMAGE * FEW / columns * aspect * image.shape[0] / image.shape[1])
    return min(max(height, LOWEST), HIGHEST) + ABOUT_IMAGE


def report_bytes(pages: Sequence[ReportPage], ending: str) -> bytes:
    """Return a report as a file: the same pages always give the same bytes.

    Parameters
    ----------
    pages
        One or more.
    ending
        ".pdf" or ".png", which holds one page.

    Raises
    ------
    FormatError
        For another ending, or several pages in a PNG.
    """
    check_ending(ending, len(pages))
    file = BytesIO()
    if ending.lower() == ".png":
        save_figure(draw_page(pages[0]), file)
        return file.getvalue()
    about = {"Title": pages[0].title, "Subject": NOTICE, "Creator": "ftddm-viewer"}
    with PdfPages(file, metadata={**about, "Producer": None, "CreationDate": None}) as document:
        for page in pages:
            document.savefig(draw_page(page))
    return file.getvalue()


def check_ending(ending: str, pages: int) -> None:
    """Raise a FormatError if a report of so many pages cannot be written with an ending."""
    if ending.lower() not in ENDINGS:
        raise FormatError(f"A report ends in .pdf or .png, not in '{ending}'.")
    if ending.lower() == ".png" and pages > 1:
        raise FormatError(
            f"A PNG holds one page, and there are {pages} maps with a page each: name a .pdf."
        )


def save_report(pages: Sequence[ReportPage], path: Path, *, overwrite: bool = False) -> Path:
    """Write a report; errors as for `report_bytes` and `save_files`."""
    content = report_bytes(pages, path.suffix)
    save_files({path.name: content}, path.absolute().parent, overwrite=overwrite)
    return path


def _write(words: _Words, page: ReportPage, top: float) -> None:
    """Write two columns: settings, weights and inputs; and figures, checks and notes."""
    width = (RIGHT - LEFT - GUTTER) / 2
    y = [top, top]
    for heading, rows in page.tables.items():
        side = int(heading.startswith("Figures"))
        y[side] = _table(words, heading, rows, LEFT + side * (width + GUTTER), y[side], width)
    for heading, sentences in page.texts.items():
        if sentences:
            y[1] = _text(words, heading, sentences, LEFT + width + GUTTER, y[1], width)


def _table(words: _Words, heading: str, rows: Rows, left: float, top: float, width: float) -> float:
    """Write names and values below a heading; return the height below."""
    y = words.paragraph(heading, left, top, width, HEADING, weight="bold")
    wide = max((words.width(name, BODY) for name, _ in rows), default=0.0)
    names = min(wide + 0.015, 0.5 * width)
    for number, (name, value) in enumerate(rows):
        room = (y - BOTTOM) / words.step(BODY)
        if len(words.lines(value, width - names, BODY)) + (number < len(rows) - 1) > room:
            words.paragraph(f"… and {len(rows) - number} more.", left, y, width, BODY)
            return BOTTOM
        words.paragraph(name, left, y, names, BODY, colour=GREY)
        y = words.paragraph(value, left + names, y, width - names, BODY)
    return y - SPACE


def _text(
    words: _Words, heading: str, sentences: Sequence[str], left: float, top: float, width: float
) -> float:
    """Write sentences below a heading, as many as there is room for; return the height below."""
    y = words.paragraph(heading, left, top, width, HEADING, weight="bold")
    for number, sentence in enumerate(sentences):
        text = sentence[:1].upper() + sentence[1:]
        more, room = len(sentences) - number, (y - BOTTOM) / words.step(BODY)
        if len(words.lines(text, width, BODY)) + (more > 1) > room:
            words.paragraph(f"… and {more} more.", left, y, width, BODY)
            return y - words.step(BODY)
        warns = text.startswith("WARNING")
        y = words.paragraph(text, left, y, width, BODY, colour=NOTICE_COLOUR if warns else "black")
        y -= SPACE / 4
    return y - SPACE


class _Words:
    """Writes paragraphs on a figure, in lines as wide as there is room."""

    def __init__(self, figure: Figure) -> None:
        self._figure = figure
        renderer: RendererBase = figure.canvas.get_renderer()  # type: ignore[attr-defined]
        self._renderer = renderer

    def step(self, size: float) -> float:
        """Return the distance of two lines as a share of the page's height."""
        return LINE * size / 72 / A4[1]

    def paragraph(
        self,
        text: str,
        left: float,
        top: float,
        width: float,
        size: float,
        weight: str = "normal",
        colour: str = "black",
    ) -> float:
        """Write a paragraph below a height; return the height below it."""
        for line in self.lines(text, width, size, weight):
            self._figure.text(
                left, top, line, fontsize=size, fontweight=weight, color=colour, va="top",
                parse_math=False,
            )  # fmt: skip
            top -= self.step(size)
        return top

    def lines(self, text: str, width: float, size: float, weight: str = "normal") -> list[str]:
        """Return a text in lines that are no wider than a share of the page."""
        font = FontProperties(size=size, weight=weight)
        room = width * self._figure.bbox.width
        found: list[str] = []
        for word in self._pieces(text, room, font):
            if found and self._wide(f"{found[-1]} {word}", font) <= room:
                found[-1] += f" {word}"
            else:
                found.append(word)
        return found

    def _pieces(self, text: str, room: float, font: FontProperties) -> Iterator[str]:
        """Yield the words of a text, one that is too wide in pieces."""
        for word in text.split():
            piece = ""
            for letter in word:
                if piece and self._wide(piece + letter, font) > room:
                    yield piece
                    piece = ""
                piece += letter
            yield piece

    def width(self, text: str, size: float) -> float:
        """Return the width of a line as a share of the page's."""
        return self._wide(text, FontProperties(size=size)) / self._figure.bbox.width

    def _wide(self, text: str, font: FontProperties) -> float:
        width, _, _ = self._renderer.get_text_width_height_descent(text, font, False)
        return float(width)
