"""The actions of a front end in one table: tooltips, menus, keys and the help box are made from it.

Keys are written as "Ctrl+Shift+Z" or "PageUp"; Ctrl stands for the command key on macOS. None of
them is one of napari's own keys for viewers and images.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Group(StrEnum):
    """What an action is about; the value is the heading in the help box."""

    RUN = "Computing"
    GO = "Slices and metabolites"
    SETTINGS = "Settings"
    COMPARE = "Comparing"
    VIEW = "View"
    TOOLS = "Tools"
    HELP = "Help"


@dataclass(frozen=True)
class Action:
    """One thing that the user can do by a key, a button or a menu.

    Parameters
    ----------
    name
        By which a front end knows it.
    words
        What it does, in a sentence without its full stop.
    key
        "" for none.
    group
        Under which heading it is listed.
    short
        On a button of the toolbar; "" if it has none there.
    """

    name: str
    words: str
    key: str
    group: Group
    short: str = ""

    @property
    def tooltip(self) -> str:
        """What it does, and its key."""
        return f"{self.words} ({self.key})" if self.key else self.words


ACTIONS = (
    Action("update", "Compute the image with the current settings", "U", Group.RUN),
    Action("cancel", "Cancel what is being computed; images that are done stay", "Q", Group.RUN),
    Action("next_slice", "Next slice", "PageUp", Group.GO),
    Action("previous_slice", "Previous slice", "PageDown", Group.GO),
    Action("next_metabolite", "Next metabolite", "N", Group.GO),
    Action("previous_metabolite", "Previous metabolite", "Shift+N", Group.GO),
    Action("undo", "Undo the last change of the settings", "Ctrl+Z", Group.SETTINGS, "↶"),
    Action("redo", "Make the undone change again", "Ctrl+Shift+Z", Group.SETTINGS, "↷"),
    Action("reset", "Reset all settings to their defaults", "", Group.SETTINGS),
    Action("detail", "Show all that is drawn, or only what the study supports", "D",
           Group.SETTINGS),
    Action("pin", "Pin the output as it is now, to compare others with it", "K", Group.COMPARE,
           "Pin"),
    Action("unpin", "Remove the pinned output that was pinned last", "Shift+K", Group.COMPARE),
    Action("flicker", "Flicker between the pinned output and the current one; between input and "
           "output while nothing is pinned", "W", Group.COMPARE, "Flicker"),
    Action("side_by_side", "Show the pinned output beside the current one, or one view again",
           "Shift+W", Group.COMPARE, "A|B"),
    Action("swipe", "Swipe: the pinned output at the left of a divider, the current one at its "
           "right; drag the divider, or end the swipe", "Shift+S", Group.COMPARE, "Swipe"),
    Action("divider_left", "Move the divider of the swipe to the left", "Shift+Left",
           Group.COMPARE),
    Action("divider_right", "Move the divider of the swipe to the right", "Shift+Right",
           Group.COMPARE),
    Action("axial", "Axial slices", "8", Group.VIEW),
    Action("coronal", "Coronal slices", "9", Group.VIEW),
    Action("sagittal", "Sagittal slices", "0", Group.VIEW),
    Action("three", "Axial, coronal and sagittal views together, with a cross-hair in all of them; "
           "or one view again", "H", Group.VIEW, "3 views"),
    Action("smooth", "Draw voxels as they are, or linearly interpolated; values stay as they are",
           "Shift+I", Group.VIEW),
    Action("convention", "Patient's right at the left (radiological) or at the right "
           "(neurological); files stay as they are", "Shift+R", Group.VIEW),
    Action("contrast", "Reset the contrast of the maps; a double-click on the image does it too",
           "Shift+C", Group.VIEW),
    Action("explore", "Explore sharpness against fidelity over the settings…", "", Group.TOOLS),
    Action("ratio", "Show a ratio of two metabolites…", "", Group.TOOLS),
    Action("regions", "Read values in regions, with their mirror image…", "", Group.TOOLS),
    Action("layers", "Difference, drawn detail, deviation, reliability…", "", Group.TOOLS),
    Action("keep", "Keep the session as a small file that opens the same image again…", "",
           Group.TOOLS),
    Action("reopen", "Reopen a kept session…", "", Group.TOOLS),
    Action("report", "Write a report of this image: a page as PDF or PNG…", "", Group.TOOLS),
    Action("copy_command", "Copy the whole volume as a command for a shell", "", Group.TOOLS),
    Action("copy_python", "Copy the whole volume as a script in Python", "", Group.TOOLS),
    Action("model", "Model: weights and their card, device, memory…", "", Group.TOOLS),
    Action("help", "All keys, and what the figures mean", "F1", Group.HELP, "?"),
)  # fmt: skip
"""Every action, in the order in which menus and the help box list them."""


def action(name: str) -> Action:
    """Return the action of a name.

    Raises
    ------
    KeyError
        If there is none.
    """
    found = next((each for each in ACTIONS if each.name == name), None)
    if found is None:
        raise KeyError(name)
    return found


def grouped() -> Iterator[tuple[Group, tuple[Action, ...]]]:
    """Yield every group that has actions, with its actions, in the order of the groups."""
    for group in Group:
        if found := tuple(each for each in ACTIONS if each.group is group):
            yield group, found
