"""The page by keyboard alone, for screen readers, and for eyes that need contrast."""

from __future__ import annotations

from typing import Any

import pytest
from visiting import Visit, enter, ready

CONTRAST = """() => {
  const parse = (text) => {
    const n = text.match(/[\\d.]+/g).map(Number);
    return [n[0], n[1], n[2], n[3] ?? 1];
  };
  const over = (a, b) => [0, 1, 2].map((i) => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
  const light = (c) => {
    const [r, g, b] = c.slice(0, 3).map((v) => v / 255)
      .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (e) => {
    const layers = [];
    for (let at = e; at; at = at.parentElement) {
      const c = parse(getComputedStyle(at).backgroundColor);
      layers.push(c);
      if (c[3] === 1) break;
    }
    return layers.reverse().reduce((under, c) => over(c, under), [255, 255, 255, 1]);
  };
  const found = [];
  const walker = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
  let read = 0;
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement, words = walker.currentNode.textContent.trim();
    const hidden = e.closest('svg, .unseen, #said, script, style, [aria-hidden=true]');
    if (!words || hidden || !e.checkVisibility({opacityProperty: true})) continue;
    if (e.closest(':disabled, [aria-disabled=true]')) continue;
    const under = behind(e), style = getComputedStyle(e);
    const [a, b] = [light(over(parse(style.color), under)), light(under)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    read += 1;
    if (ratio < 4.5) found.push(`${ratio.toFixed(2)} ${words.slice(0, 40)}`);
  }
  return [read, found];
}"""
"""How many texts were looked at, and those that are too faint on what lies behind them."""

NAMELESS = """() => [...document.querySelectorAll('button, input, select, textarea, [tabindex]')]
  .filter((e) => e.checkVisibility() && e.type !== 'file' && e.tabIndex >= 0)
  .filter((e) => !(e.ariaLabel || e.labels?.length || e.innerText?.trim() || e.title || e.alt
                   || e.closest('label')))
  .map((e) => e.outerHTML.slice(0, 120))"""

FOCUS = """() => {
  const e = document.activeElement;
  const marked = (e) => {
    const style = getComputedStyle(e);
    return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
  };
  return [e.tagName, e.id || e.ariaLabel || e.innerText?.slice(0, 20) || e.type,
          marked(e) || [...document.querySelectorAll(':has(:focus-visible)')].some(marked)];
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(theme: str, server: Any, visit: Visit) -> None:
    page = visit(f"{server.url}?__theme={theme}")
    ready(page)
    page.locator("#study button").first.click()
    page.wait_for_selector("#study-about dl")
    page.locator("#remarks summary").click()
    enter(page, "seed", -4)
    page.wait_for_selector(".problem")
    read, faint = page.evaluate(CONTRAST)
    assert read > 60
    assert faint == []


def test_everything_has_a_name_and_a_place_under_headings(server: Any, visit: Visit) -> None:
    page = visit(server.url)
    ready(page)
    page.wait_for_selector("#study button")
    assert page.evaluate(NAMELESS) == []
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
