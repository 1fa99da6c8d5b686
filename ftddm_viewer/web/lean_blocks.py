"""Blocks that send a frame without constructing every component again."""

from __future__ import annotations

from copy import copy
from typing import Any

import gradio as gr

PLAIN = (gr.HTML, gr.Textbox)
"""Components whose value is text, sent as it is."""


class LeanBlocks(gr.Blocks):
    """Gradio's blocks, for pages with many outputs of which few change from frame to frame.

    Gradio constructs the component of every update, even of an empty one, and describes it again:
    for all outputs of a page, twelve times a second, that takes a core. Here only those are
    constructed of which more than a text changes, and no frame changes one that was sent before.
    """

    async def postprocess_data(self, block_fn: Any, predictions: Any, state: Any) -> list[Any]:
        """Return what is sent for the outputs of an event."""
        outputs = block_fn.outputs
        if (
            not isinstance(predictions, list)
            or len(predictions) != len(outputs)
            or len(outputs) < 2
        ):
            return await super().postprocess_data(block_fn, predictions, state)
        pairs = [*zip(outputs, predictions, strict=True)]
        rest = [number for number, (output, sent) in enumerate(pairs) if not _lean(output, sent)]
        found: list[Any] = [
            {**sent} if isinstance(sent, dict) else None for sent in predictions
        ]  # Gradio changes what it is given
        if rest:
            few = copy(block_fn)
            few.outputs = [outputs[number] for number in rest]
            given: Any = [predictions[number] for number in rest]
            made = await super().postprocess_data(few, given if len(rest) > 1 else given[0], state)
            for number, sent in zip(rest, made, strict=True):
                found[number] = sent
        return found

    def handle_streaming_diffs(
        self,
        block_fn: Any,
        data: list[Any],
        session_hash: str | None,
        run: str | None,
        final: bool,
        simple_format: bool = False,
    ) -> list[Any]:
        """Return what is sent of a frame that follows another: every update that differs, whole.

        Of a part of an update, such as that its value is not in the next one, the browser's side
        of Gradio makes the next one out of the last, which it may not have shown yet: the value is
        then lost.
        """
        runs = self.pending_diff_streams.get(session_hash or "", {})
        before = [*runs.get(run or "", ())]
        sent = super().handle_streaming_diffs(block_fn, data, session_hash, run, final, True)
        if simple_format or final or not before:
            return sent
        pairs = zip(before, sent, strict=True)
        return [[] if was == now else [["replace", [], now]] for was, now in pairs]


def _lean(output: Any, sent: Any) -> bool:
    """Return whether an update changes nothing, or a text alone."""
    if not isinstance(sent, dict) or sent.get("__type__") != "update":
        return False
    changed = sent.keys() - {"__type__"}
    return not changed or (changed == {"value"} and _is_text(output, sent["value"]))


def _is_text(output: Any, value: Any) -> bool:
    return type(output) in PLAIN and isinstance(value, str)
