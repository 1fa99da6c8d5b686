"""The contract of the house: who may import whom, and what no file may hold."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "ftddm_core": ROOT / "ftddm_core",
    "ftddm_viewer": ROOT / "ftddm_viewer",
    "napari_ftddm": ROOT / "plugins" / "napari_ftddm",
}
MODULES = {
    ".".join((name, *path.relative_to(folder).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): path
    for name, folder in PACKAGES.items()
    for path in sorted(folder.rglob("*.py"))
}
CORE = [name for name in MODULES if name.split(".")[0] == "ftddm_core"]

# Part of the core -> the parts it may import, besides itself.
LAYERS: dict[str, set[str]] = {
    "cores": set(),
    "errors": set(),
    "conventions": set(),
    "samplers": {"errors", "model"},
    "settings": {"errors", "conventions", "samplers"},
    "assets": {"errors"},
    "imaging": {"cores", "errors", "conventions"},
    "phantom": {"errors", "conventions", "imaging"},
    "model": {"errors", "assets", "conventions"},
    "sampling": {"cores", "errors", "conventions", "samplers", "settings", "imaging", "model"},
    "saving": {"errors", "imaging", "sampling"},
    "training": {"errors", "conventions", "imaging", "phantom", "model", "sampling"},
    "evaluation": {
        "errors",
        "conventions",
        "samplers",
        "settings",
        "imaging",
        "phantom",
        "model",
        "sampling",
    },
}
QT = {"napari", "qtpy", "PyQt5", "PyQt6", "PySide2", "PySide6", "magicgui", "superqt", "vispy"}
SESSION = [name for name in MODULES if name.startswith("ftddm_viewer.session")]
MATPLOTLIB_ROOMS = ("drawing", "report", "commands", "web")

# Room of the viewer -> the rooms that it may import, besides itself. The front ends know each other
# by nothing but the commands, which open them.
ROOMS: dict[str, set[str]] = {
    "shell": set(),
    "session": set(),
    "drawing": {"session"},
    "bench": {"session"},
    "report": {"session", "drawing", "bench"},
    "provenance": {"session"},
    "cohort": {"session", "drawing"},
    "readers": {"session", "drawing"},
    "web": {"session", "drawing", "shell"},
    "commands": {
        "session",
        "drawing",
        "bench",
        "report",
        "provenance",
        "cohort",
        "readers",
        "web",
        "shell",
        "napari_ftddm",
    },
    "cli": {"session", "commands", "shell"},
    "__main__": {"cli"},
    "napari_ftddm": {"session", "drawing"},
}
TOOLKITS = QT | {"gradio", "matplotlib", "tkinter"}
WITHOUT_TORCH = (
    "ftddm_core",
    "ftddm_core.settings",
    "ftddm_core.sampling.condition",
    "ftddm_core.evaluation.compare",
    *(
        name
        for name in CORE
        if name.startswith(("ftddm_core.imaging", "ftddm_core.phantom", "ftddm_core.saving"))
    ),
)
LARGEST_WEIGHTS = 16e6
LONGEST_MODULE = 500
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def tree_of(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


@cache
def imports(module: str, *, typing: bool = True) -> frozenset[str]:
    """Return the full name of everything that a module imports anywhere in it.

    Without `typing`, what it imports for type checkers alone is left out.
    """
    return frozenset(_imports(module, typing=typing))


def _imports(module: str, *, typing: bool) -> Iterator[str]:
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    tree = tree_of(module)
    for node in ast.walk(tree):
        # A block's imports are walked after it, so what is emptied before is never met.
        for block in ast.iter_child_nodes(node) if not typing else ():
            if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
                block.body = []
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
            source = f"{base}.{node.module or ''}".strip(".") if node.level else node.module or ""
            yield from (f"{source}.{alias.name}" for alias in node.names)


def modules_of(module: str, *, typing: bool = True) -> set[str]:
    """Return the project's modules that a module imports, each by its own name."""
    names = imports(module, typing=typing)
    return {
        found
        for name in names
        for found in (name, name.rpartition(".")[0])[: 1 if name in MODULES else 2]
        if found in MODULES
    }


def tops(module: str) -> set[str]:
    return {name.partition(".")[0] for name in imports(module)}


def loaded_by(code: str) -> set[str]:
    """Return the top-level modules that a fresh Python holds after running some code."""
    show = "\nimport sys; print(*{name.partition('.')[0] for name in sys.modules})"
    found = subprocess.run(
        [sys.executable, "-c", code + show],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return set(found.stdout.splitlines()[-1].split())


def project_files() -> list[Path]:
    """Return the files that are, or are about to be, under version control."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: the list of the project's files is not known")
    listed = subprocess.run(
        [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


# ---------------------------------------------------------------- who imports whom


@pytest.mark.parametrize("module", [name for name in CORE if name.count(".")])
def test_the_core_imports_downwards_only(module: str) -> None:
    part = module.split(".")[1]
    used = {name.split(".")[1] for name in imports(module) if name.startswith("ftddm_core.")}
    assert used <= LAYERS[part] | {part}


@pytest.mark.parametrize("module", CORE)
def test_the_core_knows_no_front_end(module: str) -> None:
    assert not tops(module) & (TOOLKITS | {"ftddm_viewer", "napari_ftddm"})


@pytest.mark.parametrize("module", [name for name in CORE if ".imaging" in name])
def test_images_need_no_torch(module: str) -> None:
    assert "torch" not in tops(module)


def test_what_needs_no_torch_does_not_load_it() -> None:
    """Nor does anything that it imports in turn."""
    loaded = loaded_by("\n".join(f"import {name}" for name in WITHOUT_TORCH))
    assert not loaded & ({"torch"} | TOOLKITS)


def room_of(module: str) -> str:
    """Return the room of a module of the viewer; "" for the package itself."""
    first, *rest = module.split(".")
    return first if first == "napari_ftddm" else ".".join(rest[:1])


VIEWER = [name for name in MODULES if name not in CORE]


@pytest.mark.parametrize("module", VIEWER)
def test_the_viewer_imports_downwards_only(module: str) -> None:
    used = {
        room_of(name)
        for name in modules_of(module)
        if name.startswith(("ftddm_viewer", "napari_ftddm"))
    }
    own = room_of(module)
    assert used - {own, ""} <= (ROOMS[own] if own else set())


@pytest.mark.parametrize("module", VIEWER)
def test_each_toolkit_has_one_home(module: str) -> None:
    found, room = tops(module), room_of(module)
    if room != "napari_ftddm":
        assert not found & QT
    if room != "web":
        assert "gradio" not in found
    # The explorer's figure is a widget that is clicked.
    if room not in MATPLOTLIB_ROOMS and module != "napari_ftddm._explorer":
        assert "matplotlib" not in found
    assert "matplotlib.pyplot" not in imports(module)


def test_no_imports_form_a_circle() -> None:
    """Whether at the top of a module or inside a function; types alone may."""
    waiting = {name: modules_of(name, typing=False) - {name} for name in MODULES}
    while free := [name for name, needs in waiting.items() if not needs & waiting.keys()]:
        for name in free:
            del waiting[name]
    assert not waiting


def test_a_session_needs_no_toolkit_and_no_torch_until_it_samples() -> None:
    modules = "\n".join(f"import {name}" for name in SESSION)
    assert not loaded_by(modules) & (TOOLKITS | {"torch"})


def test_help_loads_nothing_heavy() -> None:
    loaded = loaded_by(
        "import ftddm_viewer.cli as cli\n"
        "try: cli.main(['run', '--help'])\n"
        "except SystemExit as end: assert end.code == 0"
    )
    assert not loaded & (TOOLKITS | {"torch", "scipy", "skimage", "nibabel", "numpy", "tqdm"})


def test_the_rules_are_about_modules_that_exist() -> None:
    parts = {name.split(".")[1] for name in CORE if name.count(".")}
    assert parts == set(LAYERS)
    assert {room_of(name) for name in VIEWER} - {""} == set(ROOMS)
    assert len(SESSION) > 10
    assert set(WITHOUT_TORCH) <= set(CORE)
    assert len(CORE) > 30


# ---------------------------------------------------------------- what a module holds


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_what_it_is(module: str) -> None:
    assert (ast.get_docstring(tree_of(module)) or "").strip()


@pytest.mark.parametrize("module", MODULES)
def test_no_module_is_too_long(module: str) -> None:
    assert MODULES[module].read_text(encoding="utf-8").count("\n") <= LONGEST_MODULE


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_a_test_file_is_short_and_imports_no_other(path: Path) -> None:
    """What tests share is in `conftest.py` and in helper modules beside it."""
    text = path.read_text(encoding="utf-8")
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or "", *(alias.name for alias in node.names)}
    files = {other.stem for other in TESTS if other.stem.startswith("test_")}
    assert len(files) > 50
    assert text.count("\n") <= LONGEST_MODULE
    assert not {part for name in found for part in name.split(".")} & files


@pytest.mark.parametrize("module", CORE)
def test_the_core_neither_asserts_nor_prints(module: str) -> None:
    for node in ast.walk(tree_of(module)):
        assert not isinstance(node, ast.Assert), f"line {node.lineno}: raise an FtddmError"
        called = node.func if isinstance(node, ast.Call) else None
        assert not (isinstance(called, ast.Name) and called.id == "print"), f"line {called.lineno}"


# ---------------------------------------------------------------- what the repository holds


def test_no_file_names_a_place_of_one_machine() -> None:
    places = [b"/" + name + b"/" for name in (b"work", b"root", b"home", b"Users")]
    found = {
        f"{path.relative_to(ROOT)}: {place.decode()}"
        for path in project_files()
        for place in places
        if place in path.read_bytes()
    }
    assert not found


def test_weights_stay_small_enough_for_a_clone() -> None:
    files = [path for path in project_files() if "weights" in path.parts]
    assert [path.name for path in files if path.suffix == ".safetensors"]
    assert not [path for path in files if path.stat().st_size > LARGEST_WEIGHTS]
    assert not [path for path in project_files() if path.suffix in (".pt", ".pth", ".pkl", ".ckpt")]


def test_links_between_pages_lead_somewhere() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "assets").rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page}: {target}"
