"""Protocols: what the bundled ones promise, and what a wrong one is told."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from ftddm_core.errors import FormatError, SettingsError
from ftddm_core.evaluation.checks import Roles
from ftddm_core.evaluation.outcome import slice_calls
from ftddm_core.evaluation.protocol import (
    BUNDLED,
    Protocol,
    choice_methods,
    denoiser_calls,
    parse,
    temperatures,
)
from ftddm_core.settings import DEFAULT_TAU_DIFFUSION, DEFAULT_TAU_FLOW

SMALL: dict[str, Any] = {
    "name": "small", "anatomies": ["a"], "patients": 1, "slices": 1, "patient_seed": 0,
    "matrix": [24, 32], "voxel": 5, "factors": [2, 4], "metabolites": ["tNAA", "tCho"],
    "method": [{"name": "one", "kind": "ftddm", "tau": 1}],
}  # fmt: skip


def changed(**changes: Any) -> dict[str, Any]:
    return {**deepcopy(SMALL), **changes}


def method(**changes: Any) -> dict[str, Any]:
    return changed(method=[{"name": "one", "kind": "ftddm", **changes}])


@pytest.mark.parametrize("name", [path.stem for path in BUNDLED.glob("*.toml")])
def test_the_bundled_protocols_cover_what_was_promised(name: str) -> None:
    protocol = Protocol.load(name)
    assert protocol.name == name
    assert protocol.factors == (2, 3, 4, 6, 8)
    assert len(protocol.metabolites) == 7
    roles = Roles.of(protocol)
    assert all(getattr(roles, role) for role in Roles.__dataclass_fields__)
    assert protocol.choice is not None
    assert not set(protocol.choice.anatomies) & set(protocol.anatomies)
    ran = {(m.kind, m.settings.t_trunc, denoiser_calls(m)) for m in protocol.methods if m.settings}
    assert {("ftddm", 100, 10), ("ftddm", 20, 20), ("ftddm", 50, 50), ("ftddm", 200, 200)} <= ran
    assert {("ddim", 1000, 10), ("ddim", 1000, 20), ("ddim", 1000, 50)} <= ran
    assert {m.drop for m in protocol.methods} == {(), ("t1",), ("flair",), ("t1", "flair")}


def test_the_quick_protocol_is_quick_and_runs_the_full_chain_on_sixty_slices() -> None:
    protocol = Protocol.load("quick")
    patients = len(protocol.anatomies) * protocol.patients * protocol.slices
    for plan in protocol.methods:
        if plan.is_sampler(1000, tau=1):
            assert patients * len(plan.factors) * len(plan.metabolites) == 60
    assert slice_calls(protocol) < 330_000  # 9 ms each on two cores


def test_default_means_the_default_of_the_settings() -> None:
    (named,) = parse(method(tau="default")).methods
    (silent,) = parse(method()).methods
    assert temperatures(named) == temperatures(silent) == (DEFAULT_TAU_FLOW, DEFAULT_TAU_DIFFUSION)
    (own,) = parse(method(tau=0.5, tau_flow=0.2)).methods
    assert temperatures(own) == (0.2, 0.5)


def test_a_kind_stands_for_its_settings() -> None:
    (ddpm,) = parse(method(kind="ddpm")).methods
    (ddim,) = parse(method(kind="ddim", steps=10)).methods
    assert ddpm.is_sampler(1000)
    assert not ddim.is_sampler(1000, steps=10)
    assert ddim.settings is not None
    assert (ddim.settings.sampler, ddim.settings.t_trunc, denoiser_calls(ddim)) == (
        "ddim", 1000, 10,
    )  # fmt: skip


def test_a_method_runs_everywhere_unless_it_says_otherwise() -> None:
    (everywhere,) = parse(SMALL).methods
    assert (everywhere.factors, everywhere.metabolites) == ((2, 4), ("tNAA", "tCho"))
    (part,) = parse(method(factors=[4], metabolites=["tCho"], drop=["t1"], samples=3)).methods
    assert (part.factors, part.metabolites, part.drop, part.samples) == (
        (4,),
        ("tCho",),
        ("t1",),
        3,
    )


def test_a_choice_tries_every_temperature_in_both_places() -> None:
    choice = {"anatomies": ["b"], "patients": 1, "factors": [2], "taus": [0, 0.5]}
    protocol = parse(changed(choice=choice))
    assert protocol.choice is not None
    plain, tv, *chains = choice_methods(protocol.choice)
    assert (plain.kind, tv.kind) == ("zero-filling", "guided-tv")
    assert [temperatures(m) for m in chains] == [(0, 0), (0.5, 0.5)]
    assert all(m.is_sampler(100) and m.factors == (2,) for m in chains)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (changed(nonsense=1), "Unknown entry 'nonsense'"),
        (changed(factors=[1.5]), "a factor is 1.5"),
        (changed(factors=[]), "'factors'"),
        (changed(matrix=[24]), "two even numbers"),
        (changed(matrix=[24, 33]), "two even numbers"),
        (changed(voxel=0), "voxel is 0"),
        (changed(patients=0), "'patients' is 0"),
        (changed(metabolites=["tNAA", "tNAA"]), "different names"),
        (changed(method=[{"name": "x", "kind": "magic"}]), "unknown kind 'magic', there are"),
        (changed(method=[{"name": "x", "kind": "bicubic", "tau": 1}]), "draws no samples"),
        (changed(method=SMALL["method"] * 2), "Two methods are called 'one'"),
        (method(tau="high"), "tau is 'high'"),
        (method(tau=2), "one: Flow temperature"),
        (method(t_trunc=10, steps=20), "one: Denoising steps"),
        (method(drop=["mask"]), "drop is"),
        (method(factors=[3]), "factors is"),
        (method(metabolites=["Gln"]), "metabolites is"),
        (method(samples=0), "'samples' is 0"),
        (changed(choice={"anatomies": ["b"], "patients": 1, "taus": [2]}), "choice: Flow"),
        (changed(timing={"factor": 8}), "timing"),
        (changed(flow_levels=[0]), "flow_levels is"),
    ],
)  # fmt: skip
def test_a_wrong_protocol_says_what_is_wrong(content: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=".*".join(words.split("..."))):
        parse(content)


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"fastest cannot be read.*Give full, quick, or a TOML"):
        Protocol.load("fastest")
    broken = tmp_path / "broken.toml"
    broken.write_text("name = ")
    with pytest.raises(FormatError, match="broken"):
        Protocol.load(broken)
    broken.write_text('name = "x"\n')
    with pytest.raises(SettingsError, match=r"broken\.toml: 'factors'.* is missing"):
        Protocol.load(broken)
