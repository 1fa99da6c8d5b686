"""docs/inputs.md: the layouts, names and rules by which studies are opened, from their tables."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from ftddm_core.evaluation.tables import to_markdown
from ftddm_core.imaging.io.choices import Choices, role_key
from ftddm_core.imaging.io.found import DEEPEST, MOST_FILES, RAW
from ftddm_core.imaging.io.image_file import SUFFIXES
from ftddm_core.imaging.io.layouts import LAYOUTS, Layout
from ftddm_core.imaging.io.masks import LEAST_TRUSTED, SENTINELS
from ftddm_core.imaging.io.roles import CHOOSABLE, OF_ONE_METABOLITE, Role
from ftddm_core.imaging.io.survey import NOT_NEEDED
from ftddm_core.imaging.metabolites import METABOLITES

OPENING = """# Inputs

What is opened as a study, by which names, and what happens to everything else. `ftddm inspect
PATHS`, the button "Study…" of the window and the section "Study" of the page show for any files
what they are taken for and why; there, every decision below can be changed. This page is written by
`ftddm inspect --rules`, from the tables in the code.

A study is a folder, several files, or a zip file of a folder: fitted metabolite maps on one grid,
and as available a mask, CRLB (Cramér-Rao lower bounds of the fit), T1 and FLAIR, which may have
grids of their own, placed by their affine.
"""

RULES = f"""A folder that holds images is read without its subfolders; else they are looked into,
  {DEEPEST} levels down. Hidden files and links to folders are passed over. A folder
  of more than {MOST_FILES} files is refused, since it is not one examination.
- The first layout that claims the files decides; names that its rules do not match are read as
  plain names. The first rule that matches the whole name, without its ending, decides; case does
  not count. An unknown name never becomes a metabolite: a plain name is a map only if it contains
  exactly one known metabolite.
- Maps of several folders, or whose names start differently, become one study only if they are
  listed, or every folder is named after its metabolite. Plain names beside the maps of FSL-MRS,
  Vienna or BIDS are no maps. Files in the space of a standard brain (`space-MNI...`) are not laid
  over maps of the scan's own space, nor masks and CRLB of another `run-`. A mask or CRLB whose
  name has another number or last letter where the maps' names say whose they are (`patB_mask`
  beside `patA_tNAA`) is left out with a note; T1 or FLAIR named so are used with a note.
- Of several files in one role, those of the lowest rank below are taken and the others offered.
  Where nothing decides (two maps of one name, two T1), you are asked before the study opens.
- A file that is not needed, such as a damaged CRLB, is left out with a note. A damaged map or mask
  is an error.
- A mask has one value besides 0, or probabilities, trusted above
  {Choices().mask_threshold:g}, or labels, of which some have to be chosen. An image of the
  brain alone, such as FreeSurfer's brainmask, is a mask (where it is not 0) only if you give it
  that role. A quality mask is preferred to other masks, a mask of one metabolite to that of the
  study. Voxels in a mask of spikes (outliers of a map) or of failed fits are not trusted. A note
  reports a mask that trusts voxels without signal, or less than {LEAST_TRUSTED:.0%} of those with
  signal.
- Values of failed fits ({", ".join(f"{value:g}" for value in SENTINELS)}, other negative whole
  numbers that recur, 999, 9999 and the like far above the rest, and the largest whole number if it
  recurs and is ten times the rest) become gaps that are not trusted.
- CRLB are in per cent. CRLB maps whose median is below 1 are taken for fractions and multiplied by
  100, with a note. 0 and 999 (9.99 in fractions) are failed fits. CRLB give the noise of the maps,
  and, with a limit, which voxels are trusted.
- The field strength is read from the maps' sidecars (`MagneticFieldStrength` in T, or the proton
  frequency in MHz); a note says where it differs from that of the training.
- Line widths and signal-to-noise ratios are read only where a limit is set for them.
- Positions are those of the header's sform, else of its qform (the two affines of a NIfTI file);
  where both are set and differ, a note says so, and either can be chosen. The slices may be
  any axis of the file.
"""


def inputs_page() -> str:
    """Return the whole page as Markdown."""
    return "\n".join(
        [
            OPENING,
            "## Rules\n",
            *(_wrapped(rule, hanging="  ") for rule in RULES.split("\n- ")),
            "",
            "## Formats\n",
            _wrapped(
                f"Images: {_code(SUFFIXES)} (NIfTI, Analyze, MGH, MINC). Arrays: `.npy`, with "
                "`study.json` beside them that states `VoxelSize` or `Affine`. LCModel: `.table` "
                "and `.csv`. Archives: `.zip`."
            ),
            "",
            _wrapped(
                "Raw data are recognised, and the program that converts them is named: "
                + "; ".join(f"{what} with {tool}" for what, tool in dict.fromkeys(RAW.values()))
                + "."
            ),
            "",
            "## Roles\n",
            to_markdown([_role(role) for role in Role]),
            "\n## Layouts\n",
            *(_layout(layout) for layout in LAYOUTS),
            "## Metabolites\n",
            _wrapped(
                "Spellings are compared without regard to case and to the signs between letters. "
                "Other names are kept as they are, where a layout or the user says that they are "
                "metabolites."
            ),
            "",
            to_markdown(
                [
                    {"shown": shown, "also written": ", ".join(others) or "–"}
                    for shown, others in METABOLITES.items()
                ]
            ),
            "",
        ]
    )


def _role(role: Role) -> dict[str, str]:
    chosen = f"`{role_key(role)}{':NAME' * (role in OF_ONE_METABOLITE)}`"
    return {
        "role": str(role),
        "chosen as": chosen if role in CHOOSABLE else "–",
        "left out because": NOT_NEEDED.get(role, "–"),
    }


def _layout(layout: Layout) -> str:
    rules = dict.fromkeys((rule.example, str(rule.role), str(rule.rank)) for rule in layout.rules)
    rows = [{"name like": f"`{name}`", "role": role, "rank": rank} for name, role, rank in rules]
    title = layout.name[0].upper() + layout.name[1:]
    return f"### {title}\n\n{_wrapped(layout.about)}\n\n{to_markdown(rows)}\n"


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _wrapped(text: str, hanging: str = "") -> str:
    """Return a paragraph, or a list item with `hanging`, in lines of at most 100 characters."""
    words = f"- {text}" if hanging else text
    return textwrap.fill(
        " ".join(words.split()),
        100,
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
