"""Weights to fewer bits."""
