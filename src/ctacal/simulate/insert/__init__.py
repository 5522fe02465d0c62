"""Calcium of known mass in real scans: the bridge between simulated and real. Needs the ``simulate`` extra.

``study.insert_study`` is its one door: a calcium-free scan in, the same scan with calcium and its truth out.
"""
