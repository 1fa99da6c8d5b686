"""Whether results, and the inputs that they state, are still what was written and read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io.image_file import stem_of
from ftddm_core.saving.exchange import unfinished
from ftddm_core.saving.names import MAP_ENDING, OF_SEVERAL, SHOWN
from ftddm_core.saving.pair import check_pair
from ftddm_viewer.provenance.finding import CHANGED, NOT_FOUND, Files
from ftddm_viewer.provenance.sidecars import Sidecar, sidecars_in, visible

WHOLE = "unchanged"


@dataclass(frozen=True)
class Verified:
    """What was found about one result.

    Parameters
    ----------
    path
        Of its map.
    fault
        What is wrong with map or sidecar, "" if nothing is.
    changed, lost
        Names of inputs that were changed, and of those that were not found.
    """

    path: Path
    fault: str = ""
    changed: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether nothing was changed; inputs that were not found may be elsewhere."""
        return not self.fault and not self.changed

    @property
    def inputs_words(self) -> str:
        """What is known of the inputs, in words."""
        found = [f"{CHANGED}: {', '.join(self.changed)}"] if self.changed else []
        found += [f"{NOT_FOUND}: {', '.join(self.lost)}"] if self.lost else []
        return "; ".join(found) or WHOLE


def verified(folder: Path, files_for: Callable[[Sidecar], Files]) -> Iterator[Verified]:
    """Yield what is found about every result in a folder and its subfolders.

    Parameters
    ----------
    folder
        With results.
    files_for
        Where the inputs of a result may be.

    Raises
    ------
    FormatError
        If there is no result at all.
    """
    lonely = list(_without_sidecar(folder))
    try:
        sidecars = sidecars_in([folder])
    except FormatError:
        if not lonely and not list(_unfinished(folder)):
            raise
        sidecars = []
    for path in _unfinished(folder):
        yield Verified(
            path,
            "a program was killed while it wrote here; the next one that writes completes it",
        )
    for path in lonely:
        yield Verified(path, "it has no sidecar beside it")
    for each in sidecars:
        fault = ""
        try:
            check_pair(each.map_path)
        except FormatError as error:
            fault = str(error)
        files = files_for(each)
        states = {name: files.find(name, digest)[0] for name, digest in each.inputs.values()}
        changed = tuple(name for name, state in states.items() if state == CHANGED)
        lost = tuple(name for name, state in states.items() if state == NOT_FOUND)
        yield Verified(each.map_path, fault, changed, lost)


def _without_sidecar(folder: Path) -> Iterator[Path]:
    for what in (SHOWN, *OF_SEVERAL):
        for path in visible(folder, f"*_desc-{what}_mrsi{MAP_ENDING}"):
            if not path.with_name(f"{stem_of(path)}.json").is_file():
                yield path


def _unfinished(folder: Path) -> Iterator[Path]:
    for place in (folder, *(p for p in sorted(folder.rglob("*")) if p.is_dir())):
        if not any(part[0] == "." for part in place.relative_to(folder).parts):
            yield from (left.staging for left in unfinished(place))
