"""Policies, the runner and its trajectories."""
