"""From numbers to figures: matplotlib, image rows, orientation letters."""
