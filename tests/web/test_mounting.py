"""The page under a path of somebody else's FastAPI application."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from visiting import Visit, enter, ready

from ftddm_core.errors import SettingsError
from ftddm_viewer.web import mount, passwords
from ftddm_viewer.web.access import free_port
from ftddm_viewer.web.instance import Instance
from ftddm_viewer.web.mounting import NOT_NEAR

NEAR = "http://127.0.0.1"
API = "/tools/viewer/gradio_api"

SERVED = """
import sys, uvicorn
from fastapi import FastAPI
from ftddm_viewer.web import mount

app = FastAPI()
mount(app, "/tools/viewer", weights=sys.argv[1], device="cpu")

@app.get("/")
def about() -> str:
    return "an application"

uvicorn.run(app, port=int(sys.argv[2]), log_level="warning")
"""


def folders() -> set[str]:
    return {path.name for path in Path(tempfile.gettempdir()).glob("ftddm-web-*")}


def application(weights: Path, **options: Any) -> FastAPI:
    app = FastAPI()

    @app.get("/")
    def about() -> str:
        return "an application"

    mount(app, "/tools/viewer", **{"weights": str(weights), "device": "cpu", **options})
    return app


@pytest.fixture(scope="module")
def mounted(weights: Path) -> Iterator[TestClient]:
    before, of_before = folders(), os.environ.get("GRADIO_TEMP_DIR")
    with TestClient(application(weights), base_url=NEAR) as client:
        yield client
        assert len(folders() - before) == 1
    assert folders() == before  # it ended with its application
    assert os.environ.get("GRADIO_TEMP_DIR") == of_before
    assert Instance.running == 0


def test_the_page_is_there_and_the_application_is_as_it_was(mounted: TestClient) -> None:
    assert mounted.get("/").json() == "an application"
    page = mounted.get("/tools/viewer/")
    assert page.status_code == 200
    assert f"{NEAR}/tools/viewer" in page.text  # links of the page lead back here
    assert mounted.get("/tools/viewer").url.path == "/tools/viewer/"
    assert mounted.get("/gradio_api/config").status_code == 404
    assert "content-security-policy" in page.headers
    assert "content-security-policy" not in mounted.get("/").headers


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/tools/viewer/", {"host": "evil.example"}, 421),
        ("GET", f"{API}/user", {"origin": "https://evil.example"}, 403),
        ("POST", f"{API}/upload", {"origin": "https://evil.example"}, 403),
        ("POST", f"{API}/upload", {}, 413),  # no page is open
        ("GET", f"{API}/monitoring", {}, 404),
        ("GET", "/tools/viewer/monitoring/x", {}, 404),
        ("GET", f"{API}/file=/etc/passwd", {}, 404),
        ("POST", f"{API}/queue/join", {"content-type": "application/json"}, 400),
        ("POST", f"{API}/call/anything", {}, 404),
    ],
)
def test_the_guards_stand_before_it(
    mounted: TestClient, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    assert mounted.request(method, path, headers=headers, content="{}").status_code == status


def test_one_process_serves_one_page(mounted: TestClient, weights: Path) -> None:
    with pytest.raises(SettingsError, match="already"):
        application(weights)
    assert mounted.get("/tools/viewer/").status_code == 200


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the page that another fixture serves."""
    monkeypatch.setattr(Instance, "running", 0)


@pytest.mark.parametrize(
    ("path", "options", "words"),
    [
        ("/viewer", {"host": "0.0.0.0"}, "Anybody who can reach this page"),
        ("/a/../b", {}, "is not a path"),
        ("/viewer", {"allow_hosts": ["https://x"]}, "is not the name of a computer"),
    ],
)
@pytest.mark.usefixtures("alone")
def test_what_would_be_open_by_accident_is_refused(
    path: str, options: dict[str, Any], words: str, weights: Path
) -> None:
    app, before = FastAPI(), folders()
    with pytest.raises(SettingsError, match=words):
        mount(app, path, weights=str(weights), device="cpu", **options)
    assert folders() == before
    assert not [route for route in app.routes if "viewer" in getattr(route, "path", "")]


@pytest.mark.usefixtures("alone")
def test_the_documented_example_runs() -> None:
    before = folders()
    page = Path(__file__).parents[2] / "docs" / "administration.md"
    mounting, closing = re.findall(
        r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL
    )
    names: dict[str, Any] = {}
    exec(mounting, names)
    assert TestClient(names["app"], base_url=NEAR).get("/viewer/").status_code == 200
    exec(closing, names)
    assert folders() == before


@pytest.mark.usefixtures("alone")
def test_the_guards_need_no_start_and_stay_on_this_computer(weights: Path) -> None:
    """An application within another one is never started; on other addresses it stays silent."""
    app = FastAPI()
    close = mount(app, "/", weights=str(weights), device="cpu")
    try:
        silent = TestClient(app, base_url=NEAR)  # without `with`, it does not start
        assert silent.get("/", headers={"host": "evil.example"}).status_code == 421
        far = TestClient(app, base_url="http://192.0.2.7", headers={"host": "localhost"})
        found = far.get("/")
        assert (found.status_code, found.json()["detail"]) == (421, NOT_NEAR)
    finally:
        close()


@pytest.mark.usefixtures("alone")
def test_logins_as_on_a_page_of_its_own(weights: Path, tmp_path: Path) -> None:
    users = tmp_path / "users"
    passwords.add_user(users, "anna", "a long password")
    app = application(weights, host="0.0.0.0", auth=users)
    with TestClient(app, base_url="http://192.0.2.7") as client:
        assert client.get(f"{API}/heartbeat/x").status_code == 401
        assert client.get("/").json() == "an application"  # which has logins of its own, or none
        wrong = client.post("/tools/viewer/login", data={"username": "anna", "password": "b"})
        assert wrong.status_code == 400
        given = {"username": "anna", "password": "a long password"}
        entered = client.post("/tools/viewer/login", data=given)
        assert entered.status_code == 200
        assert all("SameSite=Lax" in c for c in entered.headers.get_list("set-cookie"))
        assert client.get(f"{API}/user").json() == "anna"


@pytest.mark.long
def test_a_browser_uses_it_and_it_ends_with_its_application(
    weights: Path, visit: Visit, tmp_path: Path
) -> None:
    before, port = folders(), free_port("127.0.0.1", 0)
    program = tmp_path / "served.py"
    program.write_text(textwrap.dedent(SERVED), encoding="utf-8")
    words = [sys.executable, program, str(weights), str(port)]
    running = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(600):
            try:
                httpx.get(f"{NEAR}:{port}/")
                break
            except httpx.TransportError:
                assert running.poll() is None
        page = visit(f"{NEAR}:{port}/tools/viewer?seed=7")
        ready(page, "seed 7")
        enter(page, "seed", 8)
        ready(page, "seed 8")
        page.wait_for_function("location.search.includes('seed=8')")
        assert re.match(rf"{NEAR}:{port}/tools/viewer/?\?", page.url)
        assert len(folders() - before) == 1
    finally:
        running.send_signal(signal.SIGTERM)
        _, said = running.communicate(timeout=30)
    assert folders() == before
    assert "Traceback" not in said
