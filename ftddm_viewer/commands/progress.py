"""The progress bar of long commands on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm


@contextmanager
def progress_bar(text: str) -> Iterator[Callable[[float], None]]:
    """Yield a function that takes the share done, 0..1, and draws a bar on a terminal."""
    shape = "{desc}: {percentage:3.0f}% |{bar}| {elapsed} < {remaining}"
    with tqdm(desc=text, total=1.0, disable=None, leave=False, bar_format=shape) as bar:

        def progress(done: float) -> None:
            bar.update(done - bar.n)

        yield progress
