"""The front door: one command, ``jpegdl``, that gathers the rooms."""

__version__ = "0.1.0"
__all__ = ["__version__"]
