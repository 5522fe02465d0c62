"""How close simulated scans are to real ones: the same measurements on both, and a report. Needs ``simulate``.

``report.write_realism`` writes the report. ``comparison`` measures a real scan and simulated ones, ``figures`` measures
a scan in the tissues that ``regions`` finds, ``page`` makes the HTML page. ``qrm`` is the QRM phantom, ``water`` a
water cylinder.
"""
