"""The results of an evaluation as plots, pictures and a page in Markdown."""
