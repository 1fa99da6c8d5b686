"""Simulated patients with a known truth: anatomy, metabolites, lesion, MRI and acquisition."""
