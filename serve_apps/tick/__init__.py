"""Predictions of trades: a state a symbol, several models on it, and trades that are posted."""
