"""lianlu: raw documents to a model that is trained, scored, compressed, served, put to work."""

__version__ = "0.1.0"
