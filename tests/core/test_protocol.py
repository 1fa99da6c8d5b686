"""Protocols: coverage of the bundled ones, and errors of wrong ones."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
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


@pytest.mark.parametrize("name", ["quick", "full"])
def test_the_bundled_protocols_cover_the_targets(name: str) -> None:
    protocol = Protocol.load(name)
    assert protocol.name == name
    assert protocol.factors == (2, 3, 4, 6, 8)
    assert {"tNAA", "tCho", "Gln"} <= set(protocol.metabolites)
    roles = Roles.of(protocol)
    absent = {role for role in Roles.__dataclass_fields__ if not getattr(roles, role)}
    assert absent <= {"full_at_default"}
    assert protocol.robustness is not None
    assert protocol.robustness.factors == (2, 4, 8)
    assert len(protocol.robustness.metabolites) == 3
    assert protocol.choice is not None
    assert not set(protocol.choice.anatomies) & set(protocol.anatomies)
    ran = {(m.kind, m.settings.t_trunc, denoiser_calls(m)) for m in protocol.methods if m.settings}
    assert {("ftddm", 100, 10), ("ftddm", 20, 20), ("ftddm", 50, 50), ("ftddm", 200, 200)} <= ran
    assert {("ddim", 1000, 10), ("ddim", 1000, 20), ("ddim", 1000, 50)} <= ran
    kept = {m.settings.consistency for m in protocol.methods if m.settings}
    assert kept == {"noise", "exact", "off"}
    assert {m.drop for m in protocol.methods} == {(), ("t1",), ("flair",), ("t1", "flair")}


def test_the_quick_protocol_is_quick_and_runs_the_full_chain_on_eighteen_slices() -> None:
    protocol = Protocol.load("quick")
    patients = len(protocol.anatomies) * protocol.patients * protocol.slices
    for plan in protocol.methods:
        if plan.is_sampler(1000, tau=1):
            assert patients * len(plan.factors) * len(plan.metabolites) == 18
    assert slice_calls(protocol) < 170_000  # 16 ms each on two cores, other kinds included
    assert slice_calls(replace(protocol, robustness=None)) < 80_000


def test_the_brief_protocol_has_every_target_of_quick_but_fewer_patients() -> None:
    brief, quick = Protocol.load("brief"), Protocol.load("quick")
    names = {"brief", "quick", "full", "kinds", "calibration"}
    assert {path.stem for path in BUNDLED.glob("*.toml")} == names
    assert slice_calls(brief) < slice_calls(quick) / 2
    assert brief.anatomies == quick.anatomies
    assert brief.robustness is not None
    roles = Roles.of(brief)
    absent = {role for role in Roles.__dataclass_fields__ if not getattr(roles, role)}
    assert absent <= {"full_at_default"}
    assert {m.name for m in brief.methods} < {m.name for m in quick.methods}


def test_default_means_the_default_of_the_settings() -> None:
    (named,) = parse(method(tau="default")).methods
    (silent,) = parse(method()).methods
    assert temperatures(named) == temperatures(silent) == (DEFAULT_TAU_FLOW, DEFAULT_TAU_DIFFUSION)
    (own,) = parse(method(tau=0.5, tau_flow=0.2)).methods
    assert temperatures(own) == (0.2, 0.5)


def test_methods_are_held_to_the_noise_and_show_all_that_they_draw_unless_they_say_otherwise() -> (
    None
):
    (silent,) = parse(method(t_trunc=100)).methods
    assert silent.settings is not None
    assert (silent.settings.consistency, silent.settings.mri_weight, silent.settings.detail) == (
        "noise", 1, 1,
    )  # fmt: skip
    assert silent.is_sampler(100)
    for change in (
        {"consistency": "off"}, {"consistency": "exact"}, {"mri_weight": 0.5}, {"detail": 0},
        {"mri_weight": "automatic"}, {"detail": "automatic"},
    ):  # fmt: skip
        (other,) = parse(method(t_trunc=100, **change)).methods
        assert not other.is_sampler(100), change
    (own,) = parse(method(mri_weight="automatic", detail="automatic")).methods
    assert own.settings is not None
    assert own.settings.mri_weight is own.settings.detail is None


def test_few_steps_are_the_method_itself_too() -> None:
    (few,) = parse(method(t_trunc=100, steps=10, tau=1)).methods
    assert few.is_sampler(100, tau=1, steps=10)
    assert not few.is_sampler(100, tau=1)


def test_robustness_has_defaults_and_parts_of_its_own() -> None:
    found = parse(changed(robustness={"patients": 1, "factors": [4]})).robustness
    assert found is not None
    assert (found.factors, found.metabolites) == ((4,), ("tNAA", "tCho"))
    assert (found.steps, found.samples) == (10, 19)
    assert parse(SMALL).robustness is None


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
        (method(consistency="maybe"), "one: Data consistency"),
        (method(mri_weight=2), "one: MRI weight"),
        (changed(robustness={"patients": 1, "factors": [8]}), "factors is"),
        (changed(robustness={"patients": 1, "metabolites": ["Gln"]}), "metabolites is"),
        (changed(robustness={"patients": 1, "samples": 1}), "'samples' is 1"),
    ],
)  # fmt: skip
def test_a_wrong_protocol_says_what_is_wrong(content: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=".*".join(words.split("..."))):
        parse(content)


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    words = r"fastest cannot be read.*Give brief, calibration, full, kinds, quick, or a TOML"
    with pytest.raises(FormatError, match=words):
        Protocol.load("fastest")
    broken = tmp_path / "broken.toml"
    broken.write_text("name = ")
    with pytest.raises(FormatError, match="broken"):
        Protocol.load(broken)
    broken.write_text('name = "x"\n')
    with pytest.raises(SettingsError, match=r"broken\.toml: 'factors'.* is missing"):
        Protocol.load(broken)
