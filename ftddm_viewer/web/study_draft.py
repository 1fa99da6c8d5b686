"""What one tab's study panel shows, and what the user has changed in it so far.

Nothing is opened before the user says so: until then the changes are kept here, and a new
inspection of files replaces them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ftddm_core.imaging.io import Choices
from ftddm_viewer.session.inspection import Inspection
from ftddm_viewer.session.study_choices import (
    ROLES,
    Field,
    Row,
    choices_of,
    fields_of,
    rows_of,
)
from ftddm_viewer.web import study_panel
from ftddm_viewer.web.study_panel import Naming


class Draft:
    """The choices that are being made about the study that was inspected last.

    Attributes
    ----------
    found
        The inspection; None before the first.
    rows
        The files, with the roles and names that the user gave them.
    fields
        Field of `Choices` -> the decision, with the value that the user gave it.
    at
        Index of the file whose role and name are shown.
    expanded
        Whether the panel is open.
    texts
        Part of the panel -> HTML.
    """

    def __init__(self) -> None:
        self.found: Inspection | None = None
        self.rows: tuple[Row, ...] = ()
        self.fields: Mapping[str, Field] = {}
        self.at = 0
        self.expanded = False
        self.texts: Mapping[str, str] = study_panel.texts(None, str)

    def take_up(self, found: Inspection | None, named: Naming) -> None:
        """Show an inspection, unless it is shown already; all changes are given up.

        The panel opens by itself where the study does not open, and closes once it does.
        """
        before = self.found
        if found is before:
            return
        self.found, self.at = found, 0
        self.rows = () if found is None else rows_of(found)
        self.fields = {} if found is None else fields_of(found)
        self.texts = study_panel.texts(found, named)
        if found is not None and found.problem:
            self.expanded = True
            self.at = next((i for i, row in enumerate(self.rows) if row.asked), 0)
        elif before is not None and before.problem:
            self.expanded = False

    @property
    def row(self) -> Row | None:
        """The file whose role and name are shown; None without files."""
        return self.rows[self.at] if self.rows else None

    def choose(self, at: int | None) -> None:
        """Show another file's role and name."""
        if at is not None and 0 <= at < len(self.rows):
            self.at = at

    def set_role(self, role: str) -> None:
        """Give the shown file a role, a key of `ROLES`."""
        if role in ROLES:
            self._edit(role=role)

    def set_name(self, name: str) -> None:
        """Give the shown file a metabolite's name."""
        self._edit(name=name)

    def _edit(self, **changes: Any) -> None:
        rows = list(self.rows)
        if rows:
            rows[self.at] = replace(rows[self.at], **changes)
            self.rows = tuple(rows)

    def set_value(self, key: str, value: Any) -> None:
        """Give a field a value, as `choices_of` reads it.

        A field that is not shown may still hold what was chosen for another study.
        """
        if key in self.fields and not self.fields[key].disabled:
            self.fields = {**self.fields, key: replace(self.fields[key], value=value)}

    def choices(self) -> Choices:
        """Return the decisions as the user has made them.

        Raises
        ------
        FormatError
            If one of them is not possible.
        """
        if self.found is None:
            return Choices()
        values = {key: field.value for key, field in self.fields.items()}
        return choices_of(self.found, self.rows, values)
