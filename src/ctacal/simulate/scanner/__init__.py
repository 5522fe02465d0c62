"""The CT scanner: a ``Body`` in, a CTAC out. Needs the ``simulate`` extra (numba, spekpy, xraylib).

Its entry point is ``scan.scan``. No part of ctacal outside of ``simulate`` imports these libraries.
"""
