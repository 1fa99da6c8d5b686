"""Weights on disk: what comes back, and what is said when it cannot."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from networks import conditions, randn, tiny_flow, tiny_unet
from safetensors.torch import load_file

from ftddm_core.errors import CheckpointError
from ftddm_core.model import checkpoint
from ftddm_core.model.checkpoint import (
    available_weights,
    load_regression,
    load_weights,
    save_regression,
    save_weights,
)
from ftddm_core.model.sums import SUMS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "mine"
    save_weights(path, tiny_unet(), tiny_flow(), {"steps": [3, 4]})
    return path


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))


def test_what_is_saved_comes_back_rounded_to_float16_and_nothing_else(folder: Path) -> None:
    weights = load_weights(folder)
    assert weights.name == "mine"
    assert weights.trained_voxel == 3.4
    for saved, loaded in ((tiny_unet(), weights.denoiser), (tiny_flow(), weights.flow)):
        assert loaded.config == saved.config
        assert not loaded.training
        assert not any(p.requires_grad for p in loaded.parameters())
        before, after = saved.state_dict(), loaded.state_dict()
        assert list(before) == list(after)
        for key, value in before.items():
            rounded = value.half().float() if value.is_floating_point() else value
            assert torch.equal(after[key], rounded), key
            assert after[key].dtype == value.dtype


def test_saving_what_was_loaded_changes_no_byte(folder: Path, tmp_path: Path) -> None:
    weights = load_weights(folder)
    save_weights(tmp_path / "again", weights.denoiser, weights.flow, {"steps": [3, 4]})
    assert load_weights(tmp_path / "again").digest == weights.digest
    for name in ("config.json", "denoiser.safetensors", "flow.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_loaded_networks_compute_what_the_rounded_ones_do(folder: Path) -> None:
    weights = load_weights(folder)
    x, channels = randn(1, 1, 16, 24, seed=1), conditions(1, 16, 24)
    t, s = torch.tensor([50]), torch.tensor([3.0])
    unet, flow = tiny_unet(), tiny_flow()
    for network in (unet, flow):
        network.half().float()
    torch.testing.assert_close(weights.denoiser(x, channels, t, s), unet(x, channels, t, s))
    expected = flow.sample(x, flow.encode(channels, t, s), 0.81)
    found = weights.flow.sample(x, weights.flow.encode(channels, t, s), 0.81)
    torch.testing.assert_close(found, expected)


def test_activation_norms_are_saved_as_initialised(tmp_path: Path) -> None:
    flow = tiny_flow().train()
    flow(randn(2, 1, 16, 24, seed=2), flow.encode(conditions(2, 16, 24), *torch.full((2, 2), 4)))
    save_weights(tmp_path, tiny_unet(), flow, {})
    marks = {k: v for k, v in load_weights(tmp_path).flow.state_dict().items() if "initial" in k}
    assert len(marks) == 3
    assert all(marks.values())


def test_files_are_half_precision_and_as_readable_as_any_other(folder: Path) -> None:
    for name in ("denoiser", "flow"):
        path = folder / f"{name}.safetensors"
        kinds = {v.dtype for v in load_file(path).values()}
        assert torch.float16 in kinds
        assert torch.float32 not in kinds
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == stat.S_IMODE((folder / "config.json").stat().st_mode)


@pytest.mark.parametrize("which", ["denoiser", "flow"])
def test_the_digest_tells_any_change_of_a_weight(folder: Path, which: str) -> None:
    weights = load_weights(folder)
    assert load_weights(folder).digest == weights.digest
    assert len(weights.digest) == 64
    next(getattr(weights, which).parameters()).view(-1)[0] += 0.5
    save_weights(folder, weights.denoiser, weights.flow, {})
    assert load_weights(folder).digest != weights.digest


def test_the_record_and_the_trained_voxel_are_kept(folder: Path) -> None:
    assert json.loads((folder / "config.json").read_text())["record"] == {"steps": [3, 4]}
    edit(folder, lambda c: c.update(trained_voxel=2.5))
    assert load_weights(folder).trained_voxel == 2.5
    edit(folder, lambda c: c.pop("trained_voxel"))
    assert load_weights(str(folder)).trained_voxel == 3.4


def test_bundled_weights_go_by_their_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "asset_folder", lambda name: folder.parent)
    assert available_weights() == ["mine"]
    assert load_weights("mine").digest == load_weights(folder).digest


def refused(weights: str | Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_weights(weights)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    return message


def test_an_unknown_name_is_told_what_there_is(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder, tmp_path / "big")
    monkeypatch.setattr(checkpoint, "asset_folder", lambda name: tmp_path)
    message = refused("huge")
    assert "'huge'" in message
    assert "bundled are big, mine" in message
    assert "config.json" in refused(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["denoiser.safetensors", "flow.safetensors"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    message = refused(folder)
    assert str(folder / name) in message
    assert "missing" in message


@pytest.mark.parametrize("name", ["denoiser.safetensors", "flow.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_named(folder: Path, name: str, share: float) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(share * len(content))])
    message = refused(folder)
    assert str(folder / name) in message
    assert "damaged" in message


def flip(path: Path, bit: int) -> None:
    """Flip one bit of the last tensor of a file, which is as readable as before."""
    content = bytearray(path.read_bytes())
    content[-1 - bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["denoiser.safetensors", "flow.safetensors"])
@pytest.mark.parametrize("bit", [0, 14, 800])
def test_one_flipped_bit_is_refused_by_the_name_of_its_file(
    folder: Path, name: str, bit: int
) -> None:
    whole = (folder / name).read_bytes()
    flip(folder / name, bit)
    message = refused(folder)
    assert str(folder / name) in message
    assert hashlib.sha256(whole).hexdigest()[:12] in message
    assert hashlib.sha256((folder / name).read_bytes()).hexdigest()[:12] in message
    assert "copy the folder again" in message
    flip(folder / name, bit)
    assert load_weights(folder).name == "mine"


def test_a_regression_is_checked_too(tmp_path: Path) -> None:
    save_regression(tmp_path, tiny_unet(), {})
    flip(tmp_path / "regression.safetensors", 3)
    with pytest.raises(CheckpointError, match=r"regression\.safetensors is damaged"):
        load_regression(tmp_path)


def test_weights_of_an_earlier_version_state_nothing_and_are_not_checked(folder: Path) -> None:
    digest = load_weights(folder).digest
    (folder / SUMS).unlink()
    assert load_weights(folder).digest == digest
    flip(folder / "flow.safetensors", 0)
    assert load_weights(folder).digest != digest


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "states no SHA-256 of denoiser.safetensors"),
        (b"\xff\xfe", "cannot be read"),
        (b"12345  denoiser.safetensors\n", "states no SHA-256 of denoiser.safetensors"),
    ],
)
def test_a_damaged_list_is_named(folder: Path, content: bytes, words: str) -> None:
    (folder / SUMS).write_bytes(content)
    message = refused(folder)
    assert str(folder / SUMS) in message
    assert words in message


def test_the_list_is_that_of_the_usual_tool(folder: Path) -> None:
    """Each bundled set has one; lines end as they do on any system."""
    bundled = checkpoint.asset_folder("weights")
    folders = [folder, bundled / "small", bundled / "small-regression"]
    for each in folders:
        found = {path.name for path in each.glob("*.safetensors")}
        lines = (each / SUMS).read_text().splitlines()
        assert {line[66:] for line in lines} == found
        for line in lines:
            assert line[:66] == hashlib.sha256((each / line[66:]).read_bytes()).hexdigest() + "  "
    content = (folder / SUMS).read_bytes()
    (folder / SUMS).write_bytes(content.replace(b"\n", b"\r\n"))
    assert load_weights(folder).name == "mine"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_in_place_of_a_file_is_not_waited_for(folder: Path) -> None:
    (folder / "flow.safetensors").unlink()
    os.mkfifo(folder / "flow.safetensors")
    assert "flow.safetensors is damaged" in refused(folder)


def test_a_file_of_another_kind_is_named(folder: Path) -> None:
    (folder / "flow.safetensors").write_bytes(b"<html>not found</html>" * 40)
    assert "flow.safetensors is damaged" in refused(folder)
    (folder / "flow.safetensors").unlink()
    (folder / "flow.safetensors").mkdir()
    assert "flow.safetensors is damaged" in refused(folder)


@pytest.mark.parametrize(
    ("network", "field", "value", "file"),
    [
        ("denoiser", "channels", [16, 16, 24], "denoiser.safetensors"),
        ("denoiser", "blocks", 2, "denoiser.safetensors"),
        ("denoiser", "patch", 1, "denoiser.safetensors"),
        ("flow", "hidden", 12, "flow.safetensors"),
        ("flow", "steps", 2, "flow.safetensors"),
    ],
)
def test_weights_of_another_size_say_which_do_not_fit(
    folder: Path, network: str, field: str, value: object, file: str
) -> None:
    edit(folder, lambda c: c[network].update({field: value}))
    message = refused(folder)
    assert f"{file} is damaged or does not fit its config.json" in message
    assert "size mismatch" in message or "Missing key" in message


def test_exchanged_files_do_not_fit(folder: Path) -> None:
    shutil.copy(folder / "flow.safetensors", folder / "denoiser.safetensors")
    assert "denoiser.safetensors is damaged or belongs to other weights" in refused(folder)
    (folder / SUMS).unlink()
    assert "denoiser.safetensors is damaged or does not fit" in refused(folder)


@pytest.mark.parametrize("number", [0, 2, "1", None])
def test_another_format_says_which_is_read(folder: Path, number: object) -> None:
    edit(folder, lambda c: c.update(format=number))
    message = refused(folder)
    assert f"format {number}" in message
    assert "reads 1" in message


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"7", b"\xff\xfe\x00", b'"text"'], ids=repr
)
def test_a_config_that_is_no_config_is_named(folder: Path, content: bytes) -> None:
    (folder / "config.json").write_bytes(content)
    assert str(folder / "config.json") in refused(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.pop("denoiser"),
        lambda c: c.pop("flow"),
        lambda c: c["flow"].pop("encoder"),
        lambda c: c.update(denoiser=[]),
        lambda c: c.update(flow="glow"),
        lambda c: c.update(flow=None),
        lambda c: c["denoiser"].update(depth=3),
        lambda c: c["denoiser"].update(channels=[]),
        lambda c: c["denoiser"].update(channels=7),
        lambda c: c["denoiser"].update(channels=["a"]),
        lambda c: c["denoiser"].update(channels=[-16, 16, 16]),
        lambda c: c["denoiser"].update(heads=3),
        lambda c: c["denoiser"].update(heads=0),
        lambda c: c["flow"].update(t_flow_max=0),
        lambda c: c["flow"].update(t_flow_max=2000),
        lambda c: c["flow"].update(t_flow_max="all"),
        lambda c: c["flow"].update(t_flow_max=99.5),
        lambda c: c.update(trained_voxel="big"),
        lambda c: c.update(trained_voxel=-1),
        lambda c: c.update(trained_voxel=float("nan")),
    ],
)
def test_a_config_that_describes_no_network_is_named(
    folder: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    edit(folder, change)
    message = refused(folder)
    assert str(folder / "config.json") in message
    assert "describes no network" in message
