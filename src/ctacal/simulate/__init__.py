"""Scans whose calcium is known exactly: drawn phantoms, simulated CTAC studies, real scans with inserted calcium.

``anatomy`` builds a patient, ``scanner`` scans it, ``study`` joins the two and adds the truth, ``output`` writes the
files, ``cohort`` makes many studies. ``training`` makes crops for the networks, ``insert`` puts calcium into real
scans, ``phantom`` is drawn without physics, ``realism`` compares simulated with real scans.

Packages of this part import nothing, because some of their modules need numba: import names from their modules.
"""
