"""Anatomy and calcium of simulated patients: drawn from a seed, stored as JSON, built on any grid. Needs numba."""
