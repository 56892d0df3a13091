"""The sweep: one conditional search space over all families, run by Ray Tune, and the champion it finds."""
