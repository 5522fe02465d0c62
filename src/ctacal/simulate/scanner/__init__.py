"""The CT scanner: a ``Body`` in, a CTAC out. Needs the ``simulate`` extra (numba, spekpy, xraylib).

``scan.scan`` is its one function. No other part of ctacal imports this folder's libraries.
"""
