"""The napari plugin of FTDDM Viewer."""
