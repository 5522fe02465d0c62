"""Stored pixels: code streams, bits, padding, and whether they show one scan."""
