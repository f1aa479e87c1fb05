"""lianlu: raw documents to a model that is trained, evaluated, compressed, served and put to work."""

__version__ = "0.1.0"
