"""Benchmarks: a record measured on one machine, from which the page is written."""
