"""Calcium of known mass inserted into real scans: between simulated and real studies. Needs the ``simulate`` extra.

``study.insert_study`` takes a calcium-free scan, and returns the scan with calcium and its truth.
"""
