"""Weights or an API to scores, each with its n and its interval."""
