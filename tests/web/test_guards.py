"""What the guard refuses before Gradio sees it, and the headers of what passes."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from hostile_cases import BODIES

from ftddm_core.errors import SettingsError
from ftddm_viewer.web.guards import Caller, Guard, _cookie
from ftddm_viewer.web.hosts import Hosts, checked_host, checked_origin, own_names, split_host

FORM = {"files": ("tNAA.nii.gz", b"x")}


# ---------------------------------------------------------------- names and sites


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("localhost:7860", True),
        ("127.0.0.1", True),
        ("127.0.0.53:80", True),
        ("[::1]:7860", True),
        ("LOCALHOST", True),
        ("evil.example", False),
        ("evil.example:7860", False),
        ("127.0.0.1.evil.example", False),
        ("192.168.1.7", False),
        ("", False),
        ("a/b", False),
        ("user@localhost", False),
        ("localhost:x", False),
    ],
)
def test_a_page_for_this_computer_answers_to_its_own_names(host: str, known: bool) -> None:
    assert Hosts("127.0.0.1").answers_to(host) is known


def test_a_page_for_others_answers_to_this_computer_s_names_and_any_number() -> None:
    """Another site can make its own name lead here, but no number."""
    hosts = Hosts("0.0.0.0", ["viewer.example.org", "*.lab.example.org"])
    for name in (*own_names(), "192.168.1.7:7860", "[fd00::7]", "viewer.example.org:443"):
        shown = f"[{name}]" if name.count(":") > 1 and "[" not in name else name
        assert hosts.answers_to(shown), name
    assert hosts.answers_to("a.lab.example.org")
    assert not hosts.answers_to("lab.example.org")
    assert not hosts.answers_to("evil.example")
    assert not hosts.answers_to("evil-lab.example.org")
    hosts.add("0a1b2c.gradio.live")
    assert hosts.answers_to("0a1b2c.gradio.live")


@pytest.mark.parametrize("text", ["http://a.org", "a b", "a.org:80", "*", "*.", "a/b", "-"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        checked_host(text)


@pytest.mark.parametrize("text", ["a.org", "ftp://a.org", "null", "https://", "https://a.org/x"])
def test_what_is_no_site_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        checked_origin(text)


def test_sites_are_compared_as_browsers_have_them() -> None:
    assert checked_origin("HTTPS://A.org:443/".lower()) == "https://a.org"
    assert checked_origin("http://[::1]:7860") == "http://[::1]:7860"
    assert split_host("A.org.:80") == ("a.org", 80)
    hosts = Hosts("0.0.0.0", origins=["https://portal.example.org"])
    here: dict[str, Any] = {"host": "a.org:7860", "scheme": "http", "proxied": False}
    assert hosts.welcomes("http://a.org:7860", **here)
    assert hosts.welcomes("https://portal.example.org", **here)
    for other in ("http://a.org", "http://a.org:8888", "null", "http://evil.example:7860", "x"):
        assert not hosts.welcomes(other, **here)
    behind: dict[str, Any] = {"host": "a.org", "scheme": "https", "proxied": True}
    assert hosts.welcomes("https://a.org:8443", **behind)
    assert not hosts.welcomes("https://evil.example:8443", **behind)


# ---------------------------------------------------------------- a page that is served


def ask(server: Any, method: str, path: str, **options: Any) -> httpx.Response:
    return httpx.request(method, f"{server.url}{path}", **options)


def test_another_s_name_that_leads_here_is_refused(server: Any) -> None:
    """DNS rebinding: the browser believes to be talking to the other site."""
    for path in ("", "config", "gradio_api/upload"):
        found = ask(server, "GET", path, headers={"Host": "evil.example"})
        assert found.status_code == 421
        assert "does not answer to this name" in found.json()["detail"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1"])
def test_another_site_may_ask_for_nothing(server: Any, origin: str) -> None:
    before = {"Origin": origin}
    for method, path in (
        ("GET", "config"),
        ("POST", "gradio_api/upload"),
        ("POST", "gradio_api/run/predict"),
        ("GET", "gradio_api/heartbeat/x"),
    ):
        found = ask(server, method, path, headers=before)
        assert found.status_code == 403
        assert not [name for name in found.headers if name.startswith("access-control")]
    preflight = {**before, "Access-Control-Request-Method": "POST"}
    assert ask(server, "OPTIONS", "gradio_api/upload", headers=preflight).status_code == 403


def test_pictures_and_frames_of_other_sites_reach_no_call(server: Any) -> None:
    """Those have no Origin, but browsers say where they come from."""
    asked = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert ask(server, "GET", "gradio_api/heartbeat/x", headers=asked).status_code == 403
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert ask(server, "GET", "?t_trunc=300", headers=followed).status_code == 200  # a link


def test_the_page_s_own_site_is_answered_without_words_for_others(server: Any) -> None:
    own = f"http://{urlsplit(server.url).netloc}"
    found = ask(server, "GET", "config", headers={"Origin": own})
    assert found.status_code == 200
    assert not [name for name in found.headers if name.startswith("access-control")]


def test_every_answer_has_the_headers(server: Any) -> None:
    for path, headers in (("", {}), ("config", {}), ("nothing", {}), ("", {"Host": "evil.org"})):
        found = ask(server, "GET", path, headers=headers).headers
        assert "default-src 'self'" in found["content-security-policy"]
        assert "frame-ancestors 'self'" in found["content-security-policy"]
        assert found["x-frame-options"] == "SAMEORIGIN"
        assert found["x-content-type-options"] == "nosniff"
        assert found["referrer-policy"] == "same-origin"


def test_no_stranger_uploads(server: Any) -> None:
    sent = ask(server, "POST", "gradio_api/upload", files=FORM)
    assert sent.status_code in (403, 413)
    assert "Open the page first" in sent.json()["detail"]


@pytest.mark.parametrize(("body", "status"), BODIES)
def test_what_no_page_sends_is_refused_without_a_word_in_the_log(
    body: bytes, status: int, server: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    for path in ("gradio_api/run/predict", "gradio_api/queue/join"):
        found = ask(server, "POST", path, content=body)
        assert found.status_code == status
        assert "Traceback" not in found.text
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err


def test_what_fits_but_holds_nonsense_is_one_line_in_the_log(
    server: Any, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    found = ask(server, "GET", "config").json()["dependencies"]
    asked = [d for d in found if len(d["inputs"]) == 2 and not d["queue"]]
    assert len(asked) > 10
    for call in asked:
        for data in ([{"a": [1]}, "x"], ["abc", "def"], [None, {"path": "/etc/passwd"}]):
            body = {"data": data, "fn_index": call["id"], "session_hash": "nonsense"}
            answer = ask(server, "POST", "gradio_api/run/predict", json=body)
            assert "Traceback" not in answer.text
            assert answer.status_code in (200, 400)
            assert "/etc" not in answer.text
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err + caplog.text


def test_paths_that_the_page_does_not_use_are_closed(server: Any) -> None:
    for path in ("gradio_api/vibe-code", "monitoring", "gradio_api/proxy=http://a.org/"):
        assert ask(server, "GET", path).status_code == 404
    assert ask(server, "POST", "gradio_api/process_recording", files=FORM).status_code == 404


def test_only_results_are_served(server: Any) -> None:
    for path in ("/etc/passwd", "/tmp", "x", "%2e%2e/x"):
        assert ask(server, "GET", f"gradio_api/file={path}").status_code == 404


# ---------------------------------------------------------------- a guard alone


class Open:
    """Tabs that allow everything."""

    held: list[str]

    def __init__(self) -> None:
        self.held = []

    def may_use(self, key: str, user: str) -> bool:
        return key != "another's"

    def beats(self, key: str, user: str, address: str) -> bool:
        self.held.append(f"{key} {address}")
        return True

    def stopped(self, key: str) -> None:
        self.held.append(f"{key} ended")

    def may_upload(self, address: str, user: str, length: int) -> str:
        return ""

    def uploading(self, address: str, length: int) -> None:
        pass

    def owns(self, path: str, user: str) -> bool:
        return True


@pytest.fixture
def desk() -> Open:
    return Open()


def run(guard: Guard, path: str, method: str = "GET", body: bytes = b"", **scope: Any) -> int:
    """Return the status that a request gets."""
    import asyncio

    sent: list[Any] = []
    given = {"host": "localhost", **scope.pop("headers", {})}
    asked = {
        "type": "http", "method": method, "path": path, "query_string": b"", "scheme": "http",
        "client": ("192.0.2.7", 4711), **scope,
        "headers": [(k.encode(), v.encode()) for k, v in given.items()],
    }  # fmt: skip

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(guard(asked, receive, send))
    return int(sent[0]["status"])


def test_forwarded_names_count_only_from_a_proxy_of_this_computer(desk: Open) -> None:
    """The server below states the port 0 for a visitor whom such a proxy named."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(dict(scope["headers"]))
        await send({"type": "http.response.start", "status": 200, "headers": []})

    guard = Guard(app, Hosts("0.0.0.0", ["viewer.example.org"]), desk)
    sent = {"x-forwarded-for": "192.0.2.7", "x-forwarded-host": "viewer.example.org"}
    forged = {**sent, "x-forwarded-host": "evil.example"}
    assert run(guard, "/", headers=forged) == 200
    assert b"x-forwarded-host" not in seen[-1]
    assert run(guard, "/", headers=forged, client=("192.0.2.7", 0)) == 421
    assert run(guard, "/", headers=sent, client=("192.0.2.7", 0), scheme="https") == 200
    assert seen[-1][b"x-forwarded-host"] == b"viewer.example.org"
    assert seen[-1][b"x-forwarded-proto"] == b"https"


def test_without_a_login_no_call_is_answered(desk: Open) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    guard = Guard(app, Hosts("127.0.0.1"), desk, login=lambda cookies: cookies.get("who"))
    for path in ("heartbeat/x", "cancel", "queue/data", "file=x", "upload", "reset"):
        assert run(guard, f"/gradio_api/{path}") == 401
        assert run(guard, f"/gradio_api/{path}", headers={"cookie": "who=anna"}) == 200
    assert desk.held == ["x 192.0.2.7", "x ended"]
    assert run(guard, "/") == 200
    own = {"headers": {"cookie": "who=anna"}}
    theirs = json.dumps({"session_hash": "another's"}).encode()
    assert run(guard, "/gradio_api/cancel", "POST", theirs, **own) == 403
    assert run(guard, "/gradio_api/heartbeat/another's", **own) == 403
    data = b"session_hash=another%27s"
    assert run(guard, "/gradio_api/queue/data", query_string=data, **own) == 403


@pytest.mark.parametrize(
    ("sent", "scheme", "kept"),
    [
        (b"a=1; HttpOnly; SameSite=none; Secure", "https", b"a=1; HttpOnly; Secure; SameSite=Lax"),
        (b"a=1; Path=/; samesite=none", "https", b"a=1; Path=/; Secure; SameSite=Lax"),
        (b"a=1; HttpOnly", "http", b"a=1; HttpOnly; SameSite=Lax"),
        (b"a=1; Secure; SameSite=None", "http", b"a=1; Secure; SameSite=Lax"),
    ],
)
def test_cookies_stay_at_home(sent: bytes, scheme: str, kept: bytes) -> None:
    assert _cookie(sent, scheme) == kept


def test_what_gradio_raises_is_an_answer_without_a_traceback(
    desk: Open, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise KeyError("a")

    assert run(Guard(app, Hosts("127.0.0.1"), desk), "/") == 500
    assert "A call failed: KeyError, app line" in caplog.text
    assert "Traceback" not in caplog.text


def test_another_site_that_is_allowed_is_answered(desk: Open) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    guard = Guard(app, Hosts("127.0.0.1", origins=["https://portal.example.org"]), desk)
    there = {"origin": "https://portal.example.org"}
    assert run(guard, "/gradio_api/cancel", "POST", b"{}", headers=there) == 200
    assert Caller("", False, "", "http").user == ""
