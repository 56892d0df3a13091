"""What a person configures: settings of the installation, and recipes."""

from bellwether.config.recipe import Recipe, load_recipe
from bellwether.config.settings import Settings

__all__ = ["Recipe", "Settings", "load_recipe"]
