"""Front ends of FTDDM: the command line, figures and (later) the window and the page."""
