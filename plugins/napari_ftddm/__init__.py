"""The napari plugin of FTDDM Viewer."""

from napari_ftddm._window import show_window

__all__ = ["show_window"]
