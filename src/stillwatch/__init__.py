"""stillwatch: find the campaigns that distil a model through its API."""

from importlib.metadata import version

__version__ = version("stillwatch")
