"""Sessions share the networks: what is done in idle time keeps no image waiting."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from time import sleep

import pytest

from ftddm_core.errors import Cancelled
from ftddm_viewer.session.model import Model


def test_idle_work_that_waits_for_another_session_s_ends_when_it_is_superseded(
    weights: Path,
) -> None:
    """A session's next image waits for its own idle work to end."""
    model = Model(str(weights), "cpu")
    model.load()
    begun, ends, superseded = Event(), Event(), Event()

    def long(resolver: object, stop: object) -> str:
        begun.set()
        assert ends.wait(60)
        return "done"

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(model.idly, long, lambda: False)
        try:
            assert begun.wait(30)
            second = threads.submit(model.idly, lambda *_: "never", superseded.is_set)
            sleep(0.1)
            assert not second.done()
            superseded.set()
            with pytest.raises(Cancelled):
                second.result(timeout=10)
        finally:
            ends.set()
        assert first.result(timeout=10) == "done"
        assert model.idly(lambda *_: "next", lambda: False) == "next"
