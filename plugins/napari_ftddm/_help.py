"""The help box: every action with its key, and what the figures mean."""

from __future__ import annotations

from html import escape

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QTextBrowser, QVBoxLayout, QWidget

from ftddm_viewer.session.actions import grouped
from ftddm_viewer.session.figures_explained import FIGURES

SIZE = (620, 620)
"""In pixels; what does not fit is scrolled to."""


class HelpBox(QDialog):
    """A window that stays open beside the viewer until it is closed."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Tool)
        self.setWindowTitle("Keys and figures")
        self.setObjectName("ftddm_help_box")
        self.text = QTextBrowser()
        self.text.setHtml(help_html())
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.hide)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addWidget(buttons)
        self.resize(*SIZE)


def help_html() -> str:
    """Return the text of the box."""
    parts = []
    for group, actions in grouped():
        rows = "".join(
            f"<tr><td width='120'><b>{escape(each.key or 'by mouse')}</b></td>"
            f"<td>{escape(each.words)}</td></tr>"
            for each in actions
        )
        parts.append(f"<h4>{escape(group.value)}</h4><table cellpadding='2'>{rows}</table>")
    figures = "".join(
        f"<p><b>{escape(each.name)}.</b> {escape(each.words)}</p>" for each in FIGURES
    )
    return f"{''.join(parts)}<h4>Figures</h4>{figures}"
