"""DICOM objects that are not scans: SEG and SR, their codes, and what they take over from the scan."""
