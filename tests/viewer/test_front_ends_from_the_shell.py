"""`ftddm view`, `ftddm web` and the end of `ftddm demo`: what they open, or why they do not."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tiny import Ftddm

from ftddm_viewer.commands import display


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Return the calls of a window that is not really opened."""
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    plugin = ModuleType("napari_ftddm")
    plugin.show_window = lambda *a, **k: calls.append((a, k))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "napari_ftddm", plugin)
    monkeypatch.setattr(display, "_missing", lambda: "")
    monkeypatch.setattr(display, "_has_display", lambda: True)
    return calls


def test_view_hands_over_what_was_asked_for(
    ftddm: Ftddm, opened: list[Any], study: Path, weights: Path
) -> None:
    outcome = ftddm("view", study, "--t1", "x.nii", "--weights", weights, "--device", "cpu")
    assert outcome == (0, "", "")
    ((arguments, words),) = opened
    assert arguments == ([study],)
    assert words == {
        "weights": str(weights), "device": "cpu", "half": False,
        "t1": Path("x.nii"), "flair": None, "mask": None,
    }  # fmt: skip


def test_without_a_display_view_names_the_page(
    ftddm: Ftddm, opened: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(display, "_has_display", lambda: False)
    outcome = ftddm("view")
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert "no display" in outcome.err
    assert "ftddm web" in outcome.err
    assert opened == []


def test_without_napari_view_says_what_to_install(
    ftddm: Ftddm, opened: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(display, "_missing", lambda: "napari")
    outcome = ftddm("view")
    assert outcome.code == 2
    assert "pip install 'ftddm-viewer[napari]'" in outcome.err
    assert opened == []


def test_without_gradio_web_says_what_to_install(
    ftddm: Ftddm, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [*sys.modules]:
        if name.startswith("ftddm_viewer.web"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "gradio", None)
    outcome = ftddm("web")
    assert outcome.code == 2
    assert "pip install 'ftddm-viewer[web]'" in outcome.err


@pytest.mark.long
def test_the_demo_ends_in_the_window_or_with_the_way_to_the_page(
    ftddm: Ftddm, opened: list[Any], weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("demo", "--out", tmp_path / "out", "--weights", weights, "--steps", 1, "--t-trunc", 1)
    assert ftddm(*words).code == 0
    assert opened == []
    assert ftddm(*words, "--view").code == 0
    assert [arguments for arguments, _ in opened] == [()]
    monkeypatch.setattr(display, "_has_display", lambda: False)
    outcome = ftddm(*words, "--view")
    assert outcome.code == 0
    assert outcome.out.rstrip().endswith("make web, or ftddm web")
    assert len(opened) == 1


@pytest.mark.parametrize("variable", ["DISPLAY", "WAYLAND_DISPLAY"])
def test_a_display_that_does_not_answer_is_none(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Qt would end the process; it is asked in another one."""
    pytest.importorskip("qtpy")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    assert not display._has_display()
    monkeypatch.setenv(variable, ":4321")
    assert not display._has_display()


@pytest.mark.parametrize("port", ["-1", "65536", "high"])
def test_a_port_that_is_none(ftddm: Ftddm, port: str) -> None:
    outcome = ftddm("web", "--port", port)
    assert outcome.code == 2
    assert "--port" in outcome.err
