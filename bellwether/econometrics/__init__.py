"""Econometric models as pure functions: arrays in, frozen records of arrays out, each with a known answer."""
