"""Measurements behind the figures in docs/results.md; each prints what it measured and how."""
