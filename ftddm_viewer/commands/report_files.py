"""The files of `ftddm bench` and `ftddm evaluate`: a record, its page, and an excerpt of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from ftddm_core.errors import FormatError, SettingsError
from ftddm_core.saving.files import check_writable, save_files
from ftddm_viewer.report.excerpt import with_excerpt
from ftddm_viewer.report.page import Images, page_files
from ftddm_viewer.report.records import Record, encode_record


@dataclass(frozen=True)
class ReportFiles:
    """Paths of these files.

    Parameters
    ----------
    command
        "bench" or "evaluate".
    record
        JSON file of the record, read or written.
    page
        Markdown file.
    readme
        Markdown file with marks for the excerpt; None for none.
    given
        Whether the record is read instead of written.
    """

    command: str
    record: Path
    page: Path
    readme: Path | None = None
    given: bool = False

    def check(self) -> None:
        """Refuse files that cannot be written, before any work is done.

        Raises
        ------
        FormatError, SettingsError
            Naming the file and the reason.
        """
        if not self.page.suffix:
            raise SettingsError(
                f"--markdown is a file, such as {self.page}.md; {self.page} is not."
            )
        if self.page == self.record:
            raise SettingsError(
                f"{self.page} cannot hold both the record and the page; name two files."
            )
        check_writable(self.page.parent, [self.page.name], overwrite=True)
        check_writable(self.page.parent / self.page.stem, [], overwrite=True)
        if self.readme:
            with_excerpt(self.readme, self.command, "")  # fail early if the file has no marks
        if not self.given:
            check_writable(self.record.parent, [self.record.name], overwrite=True)

    def write(
        self,
        record: Record,
        images: Callable[[Record], Mapping[str, Figure | bytes]],
        page: Callable[[Record, Images], str],
        excerpt: Callable[[Record], str],
    ) -> None:
        """Make all files from the record, then write them.

        Parameters
        ----------
        record
            Of the run.
        images
            Makes the page's images, see `page_files`.
        page, excerpt
            Make their Markdown.

        Raises
        ------
        FormatError
            If a record that was read is incomplete, or a file cannot be written.
        """
        try:
            files = page_files(self.page, images(record), lambda paths: page(record, paths))
            short = excerpt(record) if self.readme else ""
        except (AttributeError, LookupError, StopIteration, TypeError, ValueError) as error:
            if not self.given:  # a fault of the program
                raise
            raise FormatError(
                f"{self.record} is incomplete ({type(error).__name__}: {error}): make "
                f"it again with ftddm {self.command} --json {self.record.name}."
            ) from error
        if not self.given:
            content = {self.record.name: encode_record(record)}
            save_files(content, self.record.parent, overwrite=True)
        save_files(files, self.page.parent, overwrite=True)
        if self.readme:
            text = with_excerpt(self.readme, self.command, short)
            save_files({self.readme.name: text.encode()}, self.readme.parent, overwrite=True)


def named(path: Path) -> str:
    """Return a path as a page shows it: relative as given, otherwise the file name only."""
    return path.name if path.is_absolute() else path.as_posix()
