"""The domain of Bellwether: types, models, validation, registry and index arithmetic, without Ray."""

__version__ = "0.1.0"
