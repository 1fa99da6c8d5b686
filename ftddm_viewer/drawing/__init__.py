"""Figures: matplotlib, image rows, orientation letters."""
