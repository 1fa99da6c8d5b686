"""A frame constructs only those components again of which more than a text changes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

gr = pytest.importorskip("gradio", reason="the page needs gradio: pip install -e '.[web]'")

from gradio.state_holder import SessionState  # noqa: E402

from ftddm_viewer.web.lean_blocks import LeanBlocks  # noqa: E402

UPDATES: list[list[Any]] = [
    [gr.skip(), gr.skip(), gr.skip(), gr.skip()],
    [gr.update(value="<b>new</b>"), gr.skip(), gr.update(value=3.0), gr.skip()],
    [gr.update(value="words", visible=False), gr.update(value="text"), gr.skip(), gr.skip()],
    [gr.skip(), gr.skip(), gr.update(maximum=7, value=2), gr.update(choices=["c"], value="c")],
    [gr.update(value=None), gr.update(value=None), gr.skip(), gr.skip()],
    ["<i>raw</i>", "raw", 4, "a"],
]


def sent(kind: type[Any], update: list[Any]) -> tuple[list[Any], int]:
    """Return what blocks of a kind send for four outputs, and how many they constructed again."""
    with kind(analytics_enabled=False) as blocks:
        outputs = [gr.HTML("a"), gr.Textbox("b"), gr.Slider(0, 5), gr.Dropdown(["a", "b"])]
        blocks.load(lambda: None, None, outputs)
    state = SessionState(blocks)
    before = {each._id: state[each._id] for each in outputs}
    given = [{**each} if isinstance(each, dict) else each for each in update]
    answer = asyncio.run(blocks.postprocess_data(blocks.fns[0], given, state))
    for each in answer:
        if isinstance(each, dict) and each.get("props") == {"__type__": "update"}:
            del each["props"]  # of HTML: no property at all
    return answer, sum(state[number] is not each for number, each in before.items())


@pytest.mark.parametrize("update", UPDATES)
def test_it_sends_what_gradio_sends(update: list[Any]) -> None:
    assert sent(LeanBlocks, update)[0] == sent(gr.Blocks, update)[0]


def test_a_frame_changes_no_frame_that_was_sent_before() -> None:
    """The browser's side of Gradio would change it in place, though it may not be shown yet."""
    with LeanBlocks(analytics_enabled=False) as blocks:
        blocks.load(lambda: None, None, [gr.HTML(), gr.HTML()])
    frames = [
        [gr.update(value="a"), gr.skip()],
        [gr.skip(), gr.skip()],
        [gr.update(value="ab"), gr.update(value="b")],
        [gr.update(value="ab"), gr.skip()],
    ]

    def sent(number: int, *, final: bool = False) -> list[Any]:
        frame = [*frames[number]]
        return blocks.handle_streaming_diffs(blocks.fns[0], frame, "session", "run", final)

    assert sent(0) == frames[0]
    assert sent(1) == [[["replace", [], gr.skip()]], []]
    assert sent(2) == [[["replace", [], each]] for each in frames[2]]
    assert sent(3) == [[], [["replace", [], gr.skip()]]]
    assert sent(3, final=True) == frames[3]


def test_only_what_changed_otherwise_is_made_again() -> None:
    assert [sent(LeanBlocks, update)[1] for update in UPDATES] == [0, 1, 1, 2, 2, 0]
    assert sent(gr.Blocks, UPDATES[0])[1] == 4
