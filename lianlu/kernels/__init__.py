"""Compute kernels, each beside its ten-line reference."""
