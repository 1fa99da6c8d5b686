"""Fitting the networks to simulated patients."""
