"""Parts that all pages share: sections, images, and the files of a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure

from ftddm_viewer.drawing.figures import save_figure
from ftddm_viewer.report.markdown import wrapped

Images = Mapping[str, str]
"""File name of an image -> its path relative to the page."""


def joined(*parts: str) -> str:
    """Return paragraphs, tables and images separated by blank lines; empty ones are left out."""
    return "\n\n".join(part.strip("\n") for part in parts if part)


def section(title: str, text: str, *parts: str, level: int = 2) -> str:
    """Return a section: its heading, a wrapped text, and further parts."""
    return joined(f"{'#' * level} {title}", wrapped(text), *parts)


def image(images: Images, name: str, words: str) -> str:
    """Return an image of the page with alternative text; "" if there is no such image."""
    return f"![{words}]({images[name]})" if name in images else ""


def page_files(
    path: Path, images: Mapping[str, Figure | bytes], write: Callable[[Images], str]
) -> dict[str, bytes]:
    """Return a page and its images, which are in a folder named after it.

    Parameters
    ----------
    path
        Of the page.
    images
        File name -> a figure, or the content of a PNG file.
    write
        Takes the images' paths and returns the page.

    Returns
    -------
    dict
        Name relative to the page's folder -> content.
    """
    paths = {name: f"{path.stem}/{name}" for name in images}
    files = {path.name: write(paths).encode()}
    for name, shown in images.items():
        files[paths[name]] = shown if isinstance(shown, bytes) else _png(shown)
    return files


def _png(figure: Figure) -> bytes:
    content = BytesIO()
    save_figure(figure, content)
    return content.getvalue()
