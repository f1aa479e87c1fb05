"""Tokens or dialogues to weights."""
