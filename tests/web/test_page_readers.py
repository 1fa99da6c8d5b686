"""The page by keyboard alone, for screen readers, and for eyes that need contrast."""

from __future__ import annotations

from typing import Any

import pytest
from visiting import Visit, enter, open_tab, ready

TABS = ["Swipe", "Difference", "Three planes", "Trade-off", "Regions", "Ratio", "A|B"]

FOCUS = """() => {
  const e = document.activeElement;
  const marked = (e) => {
    const style = getComputedStyle(e);
    return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
  };
  return [e.tagName, e.id || e.ariaLabel || e.innerText?.slice(0, 20) || e.type,
          marked(e) || [...document.querySelectorAll(':has(:focus-visible)')].some(marked)];
}"""


@pytest.mark.parametrize(
    ("theme", "width"),
    [
        ("dark", 1280),
        pytest.param("light", 390, marks=pytest.mark.long),
        pytest.param("light", 1280, marks=pytest.mark.long),
        pytest.param("dark", 390, marks=pytest.mark.long),
    ],
)
def test_axe_finds_nothing(theme: str, width: int, server: Any, visit: Visit) -> None:
    """Neither contrast nor names nor roles: with all panels open, an error, and in every tab."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright",
        reason="axe is not installed: pip install -e '.[dev]'",
    ).Axe()

    def found() -> list[str]:
        answer = axe.run(page).response
        assert len(answer["passes"]) > 10
        return [f"{each['id']}: {each['nodes'][0]['html'][:120]}" for each in answer["violations"]]

    page = visit(f"{server.url}?__theme={theme}&samples=2", width)
    ready(page)
    page.locator("#study button").first.click()
    page.wait_for_selector("#study-about dl")
    page.locator("#remarks summary").click()
    page.keyboard.press("k")
    enter(page, "seed", -4)
    page.wait_for_selector(".problem")
    assert found() == []
    for name in TABS:
        open_tab(page, name)
        assert found() == [], name


def test_everything_has_a_place_under_headings(server: Any, visit: Visit) -> None:
    page = visit(server.url)
    ready(page)
    page.wait_for_selector("#study button")
    assert page.locator("h1").all_inner_texts() == ["FTDDM Viewer"]
    assert page.locator("h2").count() >= 2
    assert "slice 10 of 16" in page.locator("#heading h2").inner_text()
    assert page.locator("[role=progressbar]").get_attribute("aria-valuenow") is not None


def test_the_work_is_read_out_when_it_begins_and_ends(server: Any, visit: Visit) -> None:
    """Not at every step of it: the element stays, and its words are few."""
    page = visit(server.url)
    ready(page)
    page.evaluate(
        """() => {
          window.said = [];
          const read = () => window.said.push(document.querySelector('#said').innerText.trim());
          new MutationObserver(read).observe(
            document.querySelector('#said [role=status][aria-live=polite]'),
            {childList: true, subtree: true, characterData: true});
        }"""
    )
    enter(page, "t_trunc", 60)
    ready(page, "T_trunc 60")
    page.wait_for_function("window.said.at(-1)?.startsWith('Up to date. PSNR')")
    said = page.evaluate("[...new Set(window.said)]")
    assert set(said[:-1]) <= {"", "Sampling.", "Computed with other settings; press Update."}


def test_the_focus_is_seen_wherever_the_keyboard_leads(server: Any, visit: Visit) -> None:
    page = visit(server.url)
    ready(page)
    page.wait_for_selector("#study button")
    seen: dict[tuple[str, str], bool] = {}
    for _ in range(70):
        page.keyboard.press("Tab")
        tag, name, marked = page.evaluate(FOCUS)
        if tag == "BODY":
            break
        seen[tag, name] = marked
    assert len(seen) > 25
    assert [key for key, marked in seen.items() if not marked] == []
    names = {name for _, name in seen}
    assert {"volume", "link-field", "link-copy"} <= names


def test_the_link_is_a_field_that_is_copied_by_a_button(server: Any, visit: Visit) -> None:
    page = visit(server.url)
    ready(page)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    enter(page, "seed", 12)
    ready(page, "seed 12")
    page.wait_for_url("**seed=12*")
    field = page.get_by_label("Link to this view")
    assert field.input_value() == page.url
    field.focus()
    chosen = page.evaluate("document.activeElement.selectionEnd")
    assert chosen == len(page.url)
    page.get_by_role("button", name="Copy link").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == page.url
