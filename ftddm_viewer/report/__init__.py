"""Pages in Markdown, with figures and excerpts, written from records."""
