"""How many tabs there may be, what ends them, and what becomes of files that none takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from sessions import DEVICE_ERRORS, Failing
from tiny import write_study

from ftddm_core.errors import FtddmError, SettingsError
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.state import Finished
from ftddm_viewer.web import limits, start, tabs
from ftddm_viewer.web.page import _asked_again
from ftddm_viewer.web.permalink import UPLOAD, Wishes
from ftddm_viewer.web.tabs import Tabs

PATIENCE = 60.0


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    private, served = tmp_path / "private", tmp_path / "served"
    private.mkdir()
    served.mkdir()
    return private, served


@pytest.fixture
def opened(
    model: Model, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Tabs]:
    """Return tabs, three at most."""
    monkeypatch.setattr(limits, "MOST_TABS", 3)
    found = Tabs(model, *folders)
    yield found
    found.close_all()


def uploaded(folder: Path) -> list[str]:
    return [str(path) for path in sorted(write_study(folder).iterdir())]


# ---------------------------------------------------------------- how many


def test_there_is_an_end_to_tabs(opened: Tabs, folders: tuple[Path, Path]) -> None:
    for key in "abc":
        opened.open(key)
    with pytest.raises(FtddmError, match="pages are open, which is the limit"):
        opened.open("d")
    assert opened.open("b") is opened.get("b")  # the same page again
    opened.close("a")
    opened.open("d")
    assert len(list(folders[0].iterdir())) == 3


def test_the_tab_that_was_left_alone_for_longest_makes_room(
    opened: Tabs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless its page is being shown something."""
    now = [1000.0]
    monkeypatch.setattr(tabs, "monotonic", lambda: now[0])
    first = opened.open("first")
    for key in ("second", "third"):
        now[0] += 1
        opened.open(key)
    assert first.follow()
    now[0] += limits.FORSAKEN - 5
    with pytest.raises(FtddmError):
        opened.open("fourth")
    now[0] += 6
    opened.open("fourth")
    assert opened.get("second") is None
    assert opened.get("first") is first
    now[0] += 5
    assert opened.get("third") is not None  # something happens in it
    with pytest.raises(FtddmError):
        opened.open("fifth")


def test_an_abandoned_follower_changes_nothing_beside_the_next(opened: Tabs) -> None:
    """Its last work may still be going on; what that found never reached the page."""
    tab = opened.open("a")
    heading = {"heading": {"value": "tNAA"}}
    first = tab.follow()
    assert first
    assert tab.follow() == 0
    assert tab.changes(first, heading, lambda state: {}) == heading
    assert tab.changes(first, heading, lambda state: {}) == {}
    tab.abandon()
    assert tab.changes(first, {"heading": {"value": "tCho"}}, lambda state: {}) == {}
    second = tab.follow()
    assert second not in (0, first)
    assert not tab.is_on(first)
    assert tab.changes(second, heading, lambda state: {}) == heading


def test_a_follower_stays_for_what_a_command_changed_beside_the_session(opened: Tabs) -> None:
    """As regions are: the state of the session stays the same."""
    tab = opened.open("a")
    assert tab.follow()
    assert tab.follow() == 0  # after the command
    assert not tab.leave(tab.session.state)
    assert tab.take_news()
    assert tab.leave(tab.session.state)


@pytest.mark.parametrize(("error", "said"), DEVICE_ERRORS.values(), ids=DEVICE_ERRORS)
def test_a_page_survives_its_device(
    error: Exception, said: str, opened: Tabs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what happened, and shows the next image."""
    tab, device = opened.open("a"), Failing(monkeypatch)
    tab.begin(Wishes())
    assert tab.session.wait(PATIENCE)
    device.error = error
    tab.do(lambda: tab.session.update(tau_flow=0.3))
    assert tab.session.wait(PATIENCE)
    assert re.search(said, tab.words)
    device.error = None
    tab.do(lambda: tab.session.update(tau_flow=0.4))
    assert tab.session.wait(PATIENCE)
    assert (tab.words, tab.session.state.up_to_date) == ("", True)


def test_a_page_that_asks_in_vain_is_sent_everything_by_another_follower(opened: Tabs) -> None:
    tab = opened.open("a")
    first = tab.follow()
    heading = {"heading": {"value": "one"}}
    assert tab.changes(first, heading, lambda state: {}) == heading
    _asked_again(tab, lost=False)
    assert tab.follow() == 0
    _asked_again(tab, lost=True)
    second = tab.follow()
    assert second > first
    assert tab.changes(second, heading, lambda state: {}) == heading
    assert tab.leave(tab.session.state, first)  # and lets the second one work
    assert tab.followed


@pytest.mark.parametrize("key", ["", None])
def test_a_page_without_a_name_is_none(key: str | None, opened: Tabs) -> None:
    with pytest.raises(FtddmError):
        opened.open(key)
    assert opened.get(key) is None


def test_requests_alone_make_no_tab(
    weights: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A tab counts once a browser holds its page open."""
    monkeypatch.setattr(limits, "SEEN_WITHIN", 0.1)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    server = start(weights=str(weights), device="cpu")
    try:
        found = httpx.get(f"{server.url}config").json()["dependencies"]
        (begin, *_) = (d["id"] for d in found if [t[1] for t in d["targets"]] == ["load"])
        body = {"data": [""], "fn_index": begin}
        call = f"{server.url}gradio_api/run/predict"
        (root,) = tmp_path.glob("ftddm-web-*")
        for number in range(5):
            assert httpx.post(call, json={**body, "session_hash": f"a{number}"}).is_success
        assert httpx.post(call, json={**body, "session_hash": ""}).status_code == 400
        assert [*(root / "private").iterdir()] == []
        beat = f"{server.url}gradio_api/heartbeat/held"
        with httpx.stream("GET", beat) as held:
            assert held.status_code == 200
            assert httpx.post(call, json={**body, "session_hash": "held"}).is_success
            assert len([*(root / "private").iterdir()]) == 1
    finally:
        server.close()


def test_one_address_or_login_cannot_take_every_tab(
    opened: Tabs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This computer's own is not limited: a proxy may stand there."""
    monkeypatch.setattr(limits, "MOST_TABS_EACH", 1)
    opened.open("a", address="192.0.2.7")
    assert "from your computer" in opened.refusal(address="192.0.2.7")
    with pytest.raises(FtddmError, match="from your computer"):
        opened.open("b", address="192.0.2.7")
    opened.open("b", address="192.0.2.8", user="anna")
    with pytest.raises(FtddmError, match="from your computer"):
        opened.open("c", address="192.0.2.9", user="anna")
    opened.open("c", address="127.0.0.1")
    opened.close("a")
    opened.open("d", address="127.0.0.1")


def test_a_session_is_its_login_s_own(opened: Tabs) -> None:
    tab = opened.open("a", "anna")
    assert opened.get("a", "anna") is tab
    assert opened.get("a", "bob") is None
    assert opened.get("a") is None
    assert opened.may_use("a", "anna")
    assert not opened.may_use("a", "bob")
    assert opened.may_use("new", "bob")
    with pytest.raises(FtddmError):
        opened.open("a", "bob")
    assert opened.beats("b", "anna", "192.0.2.7")
    assert not opened.may_use("b", "bob")
    assert opened.resume(tab.token, "c", "bob") is None
    result = tab._served / "x" / "tNAA.nii.gz"
    assert opened.owns(str(result), "anna")
    assert not opened.owns(str(result), "bob")
    assert not opened.owns(str(tab._private / "x"), "anna")
    assert not opened.owns(str(tab._served.parent / "0123abcd" / "x.nii"), "anna")


def test_a_lost_connection_and_a_reload_keep_the_tab(
    opened: Tabs, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(tabs, "monotonic", lambda: now[0])
    tab = opened.open("a")
    assert opened.beats("a", "", "192.0.2.7")
    assert opened.resume(tab.token, "b") is None  # a copy of a page that is open
    opened.stopped("a")
    now[0] += limits.GRACE - 1
    opened.close_lost()
    assert opened.get("a") is tab
    assert opened.beats("a", "", "192.0.2.7")
    tab.do(lambda: None)
    assert tab.words == tabs.KEPT  # it can be read
    monkeypatch.setattr("ftddm_viewer.web.tab.READ_FOR", 0.0)
    tab.do(lambda: None)
    assert tab.words == ""
    opened.stopped("a")
    assert opened.resume("nonsense", "b") is None
    assert opened.resume(tab.token, "b") is tab
    assert tab.words == tabs.KEPT
    assert (opened.get("a"), opened.get("b")) == (None, tab)
    opened.lose("b")
    now[0] += limits.GRACE + 1
    opened.close_lost()
    assert opened.get("b") is None


def test_what_a_closed_page_still_works_on_does_not_keep_it(
    opened: Tabs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its follower ends after its connection, and asks for its tab once more."""
    now = [1000.0]
    monkeypatch.setattr(tabs, "monotonic", lambda: now[0])
    tab = opened.open("a")
    assert opened.beats("a", "", "192.0.2.7")
    opened.stopped("a")
    now[0] += 5
    assert opened.get("a") is tab
    now[0] += limits.GRACE - 1
    opened.close_lost()
    assert opened.get("a", active=False) is tab  # it may be a page without its connection
    now[0] += limits.GRACE + 1
    given_back: list[str] = []
    monkeypatch.setattr(tabs, "give_back", lambda: given_back.append("once"))
    for _ in range(3):
        opened.close_lost()
    assert opened.get("a") is None
    assert given_back == ["once"] * 2, "and when what it still worked on has ended"


def test_a_tab_whose_connection_is_lost_makes_room_first(opened: Tabs) -> None:
    for key in "abc":
        opened.open(key)
    opened.lose("b")
    opened.open("d")
    assert opened.get("b") is None


def test_uploads_have_a_total(opened: Tabs, monkeypatch: pytest.MonkeyPatch) -> None:
    where = "192.0.2.7"
    assert opened.may_upload(where, "", 1) == tabs.NO_PAGE
    opened.open("a", address=where)
    assert opened.may_upload(where, "", 1) == ""
    opened.uploading(where, limits.UPLOADS_EACH - 10)
    assert opened.may_upload(where, "", 10) == ""
    assert opened.may_upload(where, "", 11) == tabs.TOO_MUCH
    opened.open("b", address="192.0.2.8")
    assert opened.may_upload("192.0.2.8", "", 11) == ""
    opened.uploading(where, limits.STORED)
    assert opened.may_upload("192.0.2.8", "", 11) == tabs.TOO_MUCH


# ---------------------------------------------------------------- files


def test_what_no_tab_takes_is_removed_in_minutes(
    opened: Tabs, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    served = folders[1]
    opened.open("a")
    (kept,) = served.iterdir()
    (kept / "result.nii.gz").write_bytes(b"result")
    upload = served / "0123abcd" / "patient.nii.gz"
    upload.parent.mkdir()
    upload.write_bytes(b"patient")
    opened.remove_untaken()
    assert upload.exists()
    monkeypatch.setattr(limits, "UNTAKEN", -1.0)
    opened.remove_untaken()
    assert [*served.iterdir()] == [kept]
    assert (kept / "result.nii.gz").exists()


def test_an_upload_that_is_refused_is_not_kept(
    opened: Tabs, folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while a whole volume is computed: the words of the refusal are shown."""
    tab = opened.open("a")

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise SettingsError("The whole volume is being computed: cancel it.")

    monkeypatch.setattr(tab.session, "open", refuse)
    tab.open_uploads(uploaded(tmp_path / "patient"))
    assert tab.words == "The whole volume is being computed: cancel it."
    assert not [path for path in folders[0].rglob("*") if path.is_file()]


@pytest.mark.parametrize("slash", ["/", "\\"])
def test_an_upload_is_called_as_the_user_knows_it(slash: str, opened: Tabs) -> None:
    tab = opened.open("a")
    path = slash.join([str(tab._private), "tmpab_12", "study", "tNAA.nii.gz"])
    assert tab.named(f"Cannot read {path}: it is damaged.") == (
        "Cannot read tNAA.nii.gz: it is damaged."
    )


def test_an_error_stays_when_a_volume_ends(opened: Tabs, monkeypatch: pytest.MonkeyPatch) -> None:
    tab = opened.open("a")
    tab.begin(Wishes())
    assert tab.session.wait(PATIENCE)
    tab.session.compute_volume()
    tab.problem = "The whole volume is being computed."
    assert tab.session.wait(PATIENCE)
    assert tab.results(tab.session.state)
    assert tab.problem == "The whole volume is being computed."

    def fail(_: Finished) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(Finished, "files", fail)
    tab.session.compute_volume()
    assert tab.session.wait(PATIENCE)
    assert tab.results(tab.session.state) == []
    assert tab.problem == "the disk is full"


# ---------------------------------------------------------------- a link to an upload


def test_a_tab_that_was_closed_meanwhile_has_nothing_to_tidy(opened: Tabs) -> None:
    """Its page may still be told something at that moment."""
    tab = opened.open("a")
    tab._finished = cast(Finished, object())  # what it had shown
    opened.close("a")
    tab.tidy()
    assert tab.results(tab.session.state) == []


def test_a_link_to_an_upload_waits_for_it(opened: Tabs, tmp_path: Path) -> None:
    wishes = Wishes({"seed": 4}, "restore", "tCho", 1, study=UPLOAD)
    tab = opened.open("a")
    tab.begin(wishes)
    assert tab.session.wait(PATIENCE)
    state = tab.session.state
    assert state.case is not None
    assert (state.case.label, state.metabolite) == ("Simulated patient", "tNAA")
    assert tab.words.startswith("This link was made with an uploaded study: upload it")
    assert tab.query(state) == "?seed=4&study=upload&mode=restore&metabolite=tCho&slice=2"
    tab.open_uploads([str(tmp_path / "nothing.nii.gz")])
    assert tab.session.wait(PATIENCE)
    assert "nothing.nii.gz" in tab.words
    tab.open_uploads(uploaded(tmp_path / "patient"))
    assert tab.session.wait(PATIENCE)
    state = tab.session.state
    assert tab.words == ""
    assert (state.mode, state.metabolite, state.slice_index) == ("restore", "tCho", 1)
    assert state.settings.seed == 4
    assert tab.query(state) == "?seed=4&study=upload&mode=restore&metabolite=tCho&slice=2"


def test_a_link_fades_and_shows_a_ratio_where_there_is_one(opened: Tabs) -> None:
    tab = opened.open("a")
    tab.begin(Wishes(display={"fade": True, "limit": 30.0}, ratio=("tCho", "tNAA")))
    assert tab.session.wait(PATIENCE)
    state = tab.session.state
    assert (state.display.fade, state.display.limit) == (True, 30)
    assert state.ratio == ("tCho", "tNAA")
    assert tab.words == ""
    other = opened.open("b")
    other.begin(Wishes(ratio=("tCho", "<b>")))
    assert other.session.wait(PATIENCE)
    assert other.session.state.ratio is None
    assert other.words.startswith("In the link: ")


def test_a_link_to_an_upload_where_there_are_none(opened: Tabs) -> None:
    tab = opened.open("a")
    tab.begin(Wishes(metabolite="tCho", study=UPLOAD), uploads=False)
    assert tab.session.wait(PATIENCE)
    assert "uploads are disabled here" in tab.words
    assert tab.session.state.metabolite == "tNAA"
