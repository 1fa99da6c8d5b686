"""Text between two marks in a Markdown file, which a command keeps up to date."""

from __future__ import annotations

from pathlib import Path

from ftddm_core.errors import FormatError

END = "<!-- end of the results -->"


def begin(command: str) -> str:
    """Return the mark before the text of a command, such as "evaluate"."""
    return f"<!-- results of `ftddm {command}` -->"


def with_excerpt(path: Path, command: str, text: str) -> str:
    """Return the content of a file with new text between its marks.

    Raises
    ------
    FormatError
        If the file cannot be read, or lacks the marks.
    """
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise FormatError(f"{path} cannot be read: {error}.") from None
    mark = begin(command)
    before, found, rest = content.partition(mark)
    _, end, after = rest.partition(END)
    if not (found and end):
        raise FormatError(f"{path} lacks the lines '{mark}' and '{END}' that enclose the results.")
    return f"{before}{mark}\n\n{text}\n\n{END}{after}"
