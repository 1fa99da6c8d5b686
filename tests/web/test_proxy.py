"""The page behind a real proxy: under a path of its own, on https, and through a short break."""

from __future__ import annotations

import getpass
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tiny import write_study
from visiting import Visit, enter, ready, upload

from ftddm_viewer.web import limits, start
from ftddm_viewer.web.access import free_port
from ftddm_viewer.web.tabs import KEPT

PATH = "/tools/viewer/"

NGINX = """
daemon off; user {user}; pid {place}/pid; error_log {place}/errors; worker_processes 1;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {place}/a; proxy_temp_path {place}/b; fastcgi_temp_path {place}/c;
  uwsgi_temp_path {place}/d; scgi_temp_path {place}/e;
  server {{
    listen 127.0.0.1:{port} ssl; ssl_certificate {place}/cert; ssl_certificate_key {place}/key;
    {location}
  }}
}}
"""
"""What makes nginx a server of its own, around the lines of docs/administration.md."""

DOCUMENT = Path(__file__).parents[2] / "docs" / "administration.md"


def documented(path: str, url: str) -> str:
    """Return the lines for nginx that the documentation has, for another path and address."""
    (found,) = re.findall(r"```nginx\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    for example, own in (("/viewer/", path), ("http://127.0.0.1:7860/", url)):
        assert example in found
        found = found.replace(example, own)
    return str(found)


class Proxy:
    """nginx before a page."""

    def __init__(self, program: str, place: Path, port: int) -> None:
        self._words = [program, "-p", str(place), "-c", str(place / "conf")]
        self.url = f"https://localhost:{port}{PATH}"
        self._running: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        self._running = subprocess.Popen(self._words, stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                httpx.get(self.url, verify=False)
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError("nginx did not start")

    def end(self) -> None:
        if self._running is not None:
            self._running.terminate()
            self._running.wait(20)


@pytest.fixture(scope="module")
def proxy(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    programs = [shutil.which(name, path="/usr/sbin:/usr/bin:/bin") for name in ("nginx", "openssl")]
    if None in programs:
        pytest.skip("nginx or openssl is not installed: the page is not tried behind a proxy")
    nginx, openssl = map(str, programs)
    place = tmp_path_factory.mktemp("nginx")
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
         "-days", "2", "-keyout", place / "key", "-out", place / "cert"],
        check=True, capture_output=True,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as quick:
        quick.setattr(limits, "PULSE", 1.0)
        server = start(weights=str(weights), device="cpu", root_path=PATH)
    port = free_port("127.0.0.1", 0)
    known = {"user": getpass.getuser(), "location": documented(PATH, server.url)}
    text = NGINX.format(place=place, port=port, **known)
    (place / "conf").write_text(text)
    found = Proxy(nginx, place, port)
    found.run()
    yield found
    found.end()
    server.close()


@pytest.fixture
def there(browser: Any, proxy: Proxy) -> Iterator[Callable[[str], Any]]:
    context = browser.new_context(ignore_https_errors=True)

    def visit(query: str = "") -> Any:
        page = context.new_page()
        page.set_default_timeout(40_000)
        page.goto(f"{proxy.url}{query}")
        return page

    yield visit
    context.close()


def test_a_page_under_a_path_survives_a_short_break_and_a_reload(
    proxy: Proxy, there: Visit, tmp_path: Path
) -> None:
    page = there()
    ready(page)
    upload(page, *sorted(write_study(tmp_path / "patient").iterdir()))
    ready(page, heading="Uploaded study: tNAA")
    enter(page, "seed", 7)
    page.wait_for_function("location.search.includes('seed=7')")
    ready(page, "seed 7")
    assert page.url.startswith(f"{proxy.url}?seed=7")
    proxy.end()
    time.sleep(3)
    proxy.run()
    page.get_by_text(KEPT).wait_for()
    enter(page, "seed", 8)
    ready(page, "seed 8", heading="Uploaded study: tNAA")
    page.wait_for_function("location.search.includes('seed=8')")
    page.reload()
    page.get_by_text(KEPT).wait_for()
    ready(page, "seed 8", heading="Uploaded study: tNAA")


def test_another_link_in_the_same_browser_tab_is_followed(there: Visit) -> None:
    """It is no reload."""
    page = there("?seed=7")
    ready(page, "seed 7")
    page.goto(f"{page.url.partition('?')[0]}?seed=9")
    ready(page, "seed 9")
    assert not page.get_by_text(KEPT).count()


def test_a_proxy_s_visitors_are_judged_by_what_it_states(proxy: Proxy) -> None:
    with httpx.Client(verify=False) as client:
        found = client.get(proxy.url, headers={"Origin": proxy.url.rsplit("/", 3)[0]})
        assert found.status_code == 200
        assert proxy.url.rstrip("/") in found.text  # links of the page lead back here
        foreign = client.post(
            f"{proxy.url}gradio_api/upload", headers={"Origin": "https://evil.example"}
        )
        assert foreign.status_code == 403
        assert client.get(proxy.url, headers={"Host": "evil.example"}).status_code == 421
