"""Readings by people: marks on a scan, the events that made them, their files, and the score after each."""
