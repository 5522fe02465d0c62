"""Studies with known calcium as folders of files: DICOM series, truth as NIfTI, DICOM SEG and JSON.

``simulated.write_study`` writes a simulated study, ``inserted.write_inserted`` a real scan with inserted calcium;
``series.write_series`` writes any ``Volume`` as a CT series.
"""
