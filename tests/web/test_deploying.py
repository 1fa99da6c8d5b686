"""The folder of a hosted Space, and the container: they hold what they need, and start."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from ending import heed_signals

from ftddm_viewer.cli import build_parser
from ftddm_viewer.web.access import free_port

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
NAME = "someone-viewer.hf.space"
THROUGH = {  # as the proxy before a Space asks
    "host": NAME,
    "x-forwarded-for": "203.0.113.9",
    "x-forwarded-host": NAME,
    "x-forwarded-proto": "https",
}

# ---------------------------------------------------------------- a hosted Space


def front_matter() -> dict[str, str]:
    text = (DEPLOY / "space" / "README.md").read_text(encoding="utf-8")
    (found,) = re.findall(r"\A---\n(.*?)\n---\n", text, re.DOTALL)
    pairs = (line.split(": ", 1) for line in found.splitlines())
    return {key: value.strip('"') for key, value in pairs}


def test_a_space_s_readme_says_what_runs_it() -> None:
    found = front_matter()
    assert found["sdk"] == "gradio"
    assert f"gradio=={found['sdk_version']}\n" in (ROOT / "constraints.txt").read_text()
    assert (DEPLOY / "space" / found["app_file"]).is_file()
    oldest = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert tuple(map(int, found["python_version"].split("."))) >= tuple(map(int, oldest.split(".")))
    assert len(found["short_description"]) <= 60  # the longest that is accepted


def test_a_space_requires_what_the_package_does() -> None:
    lines = (DEPLOY / "space" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    needed = PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["web"]
    assert [line for line in lines if not line.startswith("#")] == needed


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("spaces") / "space"
    words = [sys.executable, DEPLOY / "make_space.py", out]
    subprocess.run(words, check=True, capture_output=True)
    again = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "is not empty" in again.stderr
    return out


@pytest.fixture(scope="module")
def started(space: Path) -> Iterator[str]:
    """Return the address of a Space's app file, run with nothing but its folder."""
    own = {"SPACE_HOST": NAME, "GRADIO_SERVER_PORT": str(free_port("127.0.0.1", 0))}
    left_out = ("PYTHONPATH", "GRADIO_TEMP_DIR")
    kept = {key: value for key, value in os.environ.items() if key not in left_out}
    running = subprocess.Popen(
        [sys.executable, front_matter()["app_file"]],
        cwd=space, env={**kept, **own}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=heed_signals if os.name == "posix" else None,
    )  # fmt: skip
    try:
        assert running.stdout is not None
        said = running.stdout.readline()
        assert said.startswith("FTDDM Viewer is at "), running.communicate()[1]
        yield said.split()[-1]
    finally:
        running.send_signal(signal.SIGINT)
        _, told = running.communicate(timeout=60)
        assert "Traceback" not in told


def test_a_space_runs_its_own_code(space: Path) -> None:
    code = "import ftddm_core.assets as a, ftddm_viewer as v; print(a.ROOTS[1], v.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=space, capture_output=True, text=True, check=True,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )  # fmt: skip
    assert found.stdout.split() == [
        str(space / "assets"),
        str(space / "ftddm_viewer" / "__init__.py"),
    ]


def test_a_space_answers_to_its_visitors(started: str) -> None:
    page = httpx.get(started, headers=THROUGH)
    assert page.status_code == 200
    assert f"https://{NAME}" in page.text
    assert f"http://{NAME}" not in page.text
    framing = page.headers["content-security-policy"].rpartition("frame-ancestors ")[2]
    assert "https://huggingface.co" in framing
    asked = {**THROUGH, "origin": f"https://{NAME}"}
    assert httpx.get(f"{started}config", headers=asked).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "changed", "status"),
    [
        ("GET", "", {"x-forwarded-host": "evil.example"}, 421),
        ("GET", "config", {"origin": "https://evil.example"}, 403),
        ("POST", "gradio_api/upload", {"content-length": "9"}, 413),
    ],
)
def test_a_space_refuses_as_the_page_does(
    started: str, method: str, path: str, changed: dict[str, str], status: int
) -> None:
    content = b"123456789" if method == "POST" else None
    found = httpx.request(method, started + path, headers={**THROUGH, **changed}, content=content)
    assert found.status_code == status


def test_a_space_takes_no_uploads(started: str) -> None:
    config = httpx.get(f"{started}config", headers=THROUGH).json()
    ids = {part["props"].get("elem_id") for part in config["components"]}
    assert "bundled-patient" in ids
    assert "upload" not in ids


# ---------------------------------------------------------------- the container


def instructions() -> list[tuple[str, str]]:
    """Return the container's instructions: name, words."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines()]
    pairs = (line.split(None, 1) for line in lines if line and not line.startswith("#"))
    return [(name, words) for name, words in pairs]


KNOWN = {
    *("FROM", "ARG", "ENV", "WORKDIR", "RUN", "COPY", "USER", "EXPOSE", "HEALTHCHECK"),
    *("ENTRYPOINT", "CMD"),
}


def words_of(name: str) -> list[str]:
    (found,) = (words for each, words in instructions() if each == name)
    parsed: Any = json.loads(found)
    assert isinstance(parsed, list)
    return parsed


def copied() -> set[str]:
    return {
        source
        for name, words in instructions()
        if name == "COPY"
        for source in shlex.split(words)[:-1]
    }


def test_the_container_is_made_of_known_instructions_in_their_order() -> None:
    names = [name for name, _ in instructions()]
    assert names[0] == "FROM"
    assert set(names) == KNOWN
    last_copy = len(names) - 1 - names[::-1].index("COPY")
    assert names.index("ARG") < last_copy < names.index("USER") < names.index("ENTRYPOINT")
    for name, words in instructions():
        if name == "RUN":
            subprocess.run(["sh", "-n", "-c", words], check=True)


def test_the_container_copies_what_is_there_and_what_the_package_is_built_of() -> None:
    for source in copied():
        assert (ROOT / source).exists()
    project, build = PROJECT["project"], PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {"pyproject.toml", project["readme"], *project["license-files"]}
    needed |= {Path(name).parts[0] for name in (*build["packages"], *build["force-include"])}
    (installing,) = (words for _, words in instructions() if "uv pip install --" in words)
    needed.add(installing.partition(" -c ")[2].split()[0])
    assert copied() == needed
    extra = re.findall(r"\.\[(\w+)\]", installing)
    assert extra == ["web"]
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert {line[1:] for line in lines if line.startswith("!")} == copied()


def test_the_container_s_one_argument_is_the_build_of_torch() -> None:
    assert [words for name, words in instructions() if name == "ARG"] == ["TORCH=cpu"]
    assert any('--torch-backend "$TORCH"' in words for _, words in instructions())


def test_the_documented_commands_are_ones_that_the_container_takes() -> None:
    text = (ROOT / "docs" / "administration.md").read_text(encoding="utf-8").replace("\\\n", " ")
    built = re.findall(r"^docker build (.*)$", text, re.MULTILINE)
    builds = [found for words in built for found in re.findall(r"TORCH=(\w+)", words)]
    assert (len(built), builds) == (2, ["cu130"])
    assert all("-f deploy/Dockerfile" in words for words in built)
    run = re.findall(r"^docker run .*? ftddm(?![\w-]) *(.*)$", text, re.MULTILINE)
    assert len(run) == 3
    for words in filter(None, run):
        assert build_parser().parse_args(shlex.split(words)).command == "web"
    assert any("-o viewer /users" in words for name, words in instructions() if name == "RUN")


def test_the_container_s_command_is_one_that_starts() -> None:
    assert words_of("ENTRYPOINT") == list(PROJECT["project"]["scripts"])
    options = build_parser().parse_args(words_of("CMD"))
    assert (options.command, options.host, options.no_uploads) == ("web", "0.0.0.0", True)
    assert ("EXPOSE", str(options.port)) in instructions()
    (check,) = (words for name, words in instructions() if name == "HEALTHCHECK")
    _, _, listed = check.partition("CMD ")
    code = json.loads(listed)[-1]
    compile(code, "HEALTHCHECK", "exec")
    assert f"127.0.0.1:{options.port}/" in code
