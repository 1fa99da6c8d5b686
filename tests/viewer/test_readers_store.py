"""Reader studies: blinding, the file of answers, files that are added, and the results."""

from __future__ import annotations

import csv
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from reading import METHODS, START, answers_to, file_of, liking, small_study, write_small
from tiny import Ftddm, files_in

from ftddm_core.errors import FormatError, SettingsError
from ftddm_viewer.readers.items import CHOICE, RATING, blinded
from ftddm_viewer.readers.key import Key, key_path
from ftddm_viewer.readers.results import result_files
from ftddm_viewer.readers.store import Answer, Store, missing, newest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a small study without answers."""
    write_small(tmp_path / "study", page=True)
    return tmp_path / "study"


# ---------------------------------------------------------------- what readers are shown


def test_every_image_is_rated_once_and_every_pair_compared_once_a_case() -> None:
    methods = ("a", "b", "c")
    study = small_study(5, methods)
    ratings = [t for t in study.trials if t.kind == RATING]
    choices = [t for t in study.trials if t.kind == CHOICE]
    assert study.trials == (*ratings, *choices)
    assert [t.number for t in study.trials] == list(range(1, len(study.trials) + 1))
    assert Counter(t.images[0] for t in ratings) == Counter(study.shown.keys())
    pairs = Counter((t.case, *sorted(study.shown[c][1] for c in t.images)) for t in choices)
    wanted = [(case, *pair) for case in range(1, 6) for pair in combinations(methods, 2)]
    assert pairs == Counter(wanted)
    assert all(study.shown[c][0] == t.case for t in study.trials for c in t.images)


def test_sides_are_balanced_and_the_order_is_by_chance() -> None:
    study = small_study(10)
    left = Counter(study.shown[t.images[0]][1] for t in study.trials if t.kind == CHOICE)
    assert left == dict.fromkeys(METHODS, 5)
    order = [study.shown[t.images[0]] for t in study.trials if t.kind == RATING]
    assert order != sorted(order)


def test_the_order_follows_from_the_seed() -> None:
    assert small_study(seed=3) == small_study(seed=3)
    assert small_study(seed=3).trials != small_study(seed=4).trials


def test_one_method_is_no_comparison() -> None:
    with pytest.raises(SettingsError, match="two methods"):
        small_study(2, ("alone",))
    with pytest.raises(SettingsError, match="two methods"):
        blinded([], 0)


def test_nothing_that_readers_get_names_a_method_or_a_patient(folder: Path) -> None:
    """Nor in which order the methods were given: codes are sorted, wherever they are listed."""
    files = files_in(folder)
    assert {"study.sqlite3", "study.html"} < files.keys()
    for name, content in files.items():
        text = f"{name} ".encode() + content
        if not name.endswith(".png"):  # these images state what they are, for the tests
            for secret in (*METHODS, "FTDDM", "sub-secret", "steps"):
                assert secret.encode() not in text, name
    key = json.loads(key_path(folder).read_text())
    assert {image["Method"] for image in key["Images"].values()} == set(METHODS)
    assert key_path(folder).parent == folder.parent


def test_the_plain_page_has_the_same_trials(folder: Path) -> None:
    page = (folder / "study.html").read_text(encoding="utf-8")
    data = json.loads(page.partition('type="application/json">')[2].partition("</script>")[0])
    shown = [(t["number"], t["kind"], tuple(t["images"])) for t in data["trials"]]
    store = Store(folder)
    assert shown == [(t.number, t.kind, t.images) for t in store.trials.values()]
    assert data["images"].keys() == {p.stem for p in (folder / "images").iterdir()}


# ---------------------------------------------------------------- the file of answers


def test_answers_are_kept_and_the_newest_counts(folder: Path) -> None:
    study = small_study()
    store = Store(folder)
    given = list(answers_to(study, "Ann", liking(study, METHODS[0])))
    assert store.add(given) == len(given)
    later = replace(given[0], value="1", answered_at="2026-01-02T05:00:00+01:00")
    earlier = replace(given[0], value="3", answered_at="2026-01-01T00:00:00Z")
    assert store.add([later, earlier, given[1]]) == 2
    again = Store(folder)
    assert len(again.answers()) == len(given) + 2
    counting = newest(again.answers())
    assert counting["Ann", given[0].trial, given[0].scale].value == "1"
    assert missing(again, again.answers("Ann")) == 0
    assert missing(again, again.answers("Bo")) == len(study.trials)


def test_a_name_in_other_capitals_is_the_same_reader(folder: Path) -> None:
    store = Store(folder)
    one, other = list(answers_to(small_study(), "Ann", liking(small_study(), METHODS[0])))[:2]
    store.add([one])
    store.add([replace(other, reader="ANN")])
    assert [a.reader for a in store.answers("ann")] == ["Ann", "Ann"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"trial": 99},
        {"scale": "beauty"},
        {"value": "6"},
        {"value": "0"},
        {"scale": "preferred"},
        {"reader": " "},
        {"reader": "=SUM(A1)"},
        {"reader": "x" * 61},
        {"answered_at": "yesterday"},
    ],
)
def test_what_is_no_answer_is_refused_with_all_that_came_along(
    folder: Path, wrong: dict[str, object]
) -> None:
    store = Store(folder)
    good = Answer("Ann", 1, "noise", "4", START, 1.0, {})
    with pytest.raises(FormatError):
        store.add([good, replace(good, **wrong)])  # type: ignore[arg-type]
    assert store.answers() == []


def test_a_choice_is_one_of_its_two_images(folder: Path) -> None:
    store = Store(folder)
    *_, choice = store.trials.values()
    assert choice.kind == CHOICE
    other = next(c for t in store.trials.values() for c in t.images if c not in choice.images)
    answer = Answer("Ann", choice.number, "preferred", choice.images[1], START, 1.0, {})
    assert store.add([answer]) == 1
    with pytest.raises(FormatError):
        store.add([replace(answer, value=other)])


def test_many_readers_at_once_lose_nothing(folder: Path) -> None:
    study = small_study()
    store = Store(folder)

    def read(reader: str) -> int:
        given = answers_to(study, reader, liking(study, METHODS[1]))
        return sum(store.add([answer]) for answer in given)

    with ThreadPoolExecutor(2) as pool:
        kept = sum(pool.map(read, ("Ann", "Bo")))
    assert kept == len(store.answers()) == 2 * (5 * 8 + 4)


def test_a_folder_without_a_study_and_a_damaged_one(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(FormatError, match="no reader study"):
        Store(tmp_path)
    (folder / "study.sqlite3").write_bytes(b"damaged" * 1000)
    with pytest.raises(FormatError, match="is damaged"):
        Store(folder)


# ---------------------------------------------------------------- files, and results


def test_a_file_of_answers_is_added_once(folder: Path, tmp_path: Path, ftddm: Ftddm) -> None:
    study = small_study()
    path = file_of(tmp_path / "a.json", study, "Bo", liking(study, METHODS[0]))
    first, second = (ftddm("readers", "add", folder, path) for _ in range(2))
    assert first.code == second.code == 0
    assert "44 new answers of Bo, 0 were known" in first.out
    assert "0 new answers of Bo, 44 were known" in second.out
    assert {answer.source for answer in Store(folder).answers()} == {"file"}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"study": "another"}, "another study"),
        ({"ftddm_readers": 2}, "not a file of answers"),
        ({"answers": []}, "no answer"),
        ({"answers": [{"trial": 1}]}, "lacks"),
        ({"answers": [[]]}, "not one"),
        ({"reader": 5}, "lacks its reader"),
    ],
)
def test_another_file_is_refused(
    folder: Path, tmp_path: Path, ftddm: Ftddm, changed: dict[str, object], words: str
) -> None:
    study = small_study()
    path = file_of(tmp_path / "a.json", study, "Bo", liking(study, METHODS[0]), changed)
    outcome = ftddm("readers", "add", folder, path)
    assert outcome.code == 2
    assert words in outcome.err
    assert Store(folder).answers() == []


def test_export_of_two_readers(folder: Path, tmp_path: Path, ftddm: Ftddm) -> None:
    study = small_study()
    store = Store(folder)
    for reader in ("Ann", "Bo"):
        store.add(answers_to(study, reader, liking(study, "FTDDM fast")))
    changed = next(answers_to(study, "Bo", liking(study, "FTDDM fast")))
    store.add([replace(changed, value="4", answered_at="2026-02-02T00:00:00Z")])
    outcome = ftddm("readers", "export", folder, "--out", tmp_path / "out")
    assert outcome.code == 0
    assert "| FTDDM fast |" in outcome.out
    with (tmp_path / "out" / "answers.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 44 + 1
    assert [row["counts"] for row in rows].count("no") == 1
    for row in rows:
        assert row["study"] == "sub-secret"
        assert json.loads(row["settings"]) == {"steps": 10}
        assert json.loads(row["display"]) == {"window_width": 1280}
        if row["kind"] == CHOICE:
            assert (row["value"], row["other"]) == ("FTDDM fast", "zero-filling")
        elif row["counts"] == "yes" and row["answered_at"] < "2026-02":
            assert row["value"] == ("5" if row["method"] == "FTDDM fast" else "2")
    record = json.loads((tmp_path / "out" / "statistics.json").read_text())
    (preferred,) = record["Preferences"]
    assert preferred["preferred"] == 0
    assert preferred["p"] == pytest.approx(2 / 2**4)
    assert len(record["Wilcoxon"]) == 5
    assert all(row["units"] == 4 for row in record["Wilcoxon"])
    assert record["Agreement"][1]["ICC(2,1)"] <= 1
    again = ftddm("readers", "export", folder, "--out", tmp_path / "out")
    assert again.code == 2
    assert "--overwrite" in again.err


def test_export_needs_answers_and_the_right_key(folder: Path, tmp_path: Path, ftddm: Ftddm) -> None:
    words = ["readers", "export", folder, "--out", tmp_path / "out"]
    assert "has no answer yet" in ftddm(*words).err
    study = small_study()
    Store(folder).add(answers_to(study, "Ann", liking(study, METHODS[0])))
    key = key_path(folder)
    kept = key.read_text()
    for text, found in (
        (kept.replace("0123456789abcdef", "f"), "another study"),
        ("[]", "not the key"),
        ("{", "not the key"),
    ):
        key.write_text(text)
        outcome = ftddm(*words)
        assert outcome.code == 2
        assert found in outcome.err
    key.unlink()
    assert "could not be read" in ftddm(*words).err
    elsewhere = tmp_path / "safe" / "key.json"
    elsewhere.parent.mkdir()
    elsewhere.write_text(kept)
    assert ftddm(*words, "--key", elsewhere).code == 0


def test_a_key_that_lacks_an_image_is_refused(folder: Path) -> None:
    study = small_study()
    store = Store(folder)
    store.add(answers_to(study, "Ann", liking(study, METHODS[0])))
    key = Key.read(key_path(folder), store.about["study"])
    first = next(iter(key.images))
    lacking = replace(key, images={c: i for c, i in key.images.items() if c != first})
    with pytest.raises(FormatError, match="has no image"):
        result_files(store, lacking, "slice")
