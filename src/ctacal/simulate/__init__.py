"""Scans whose calcium is known exactly: drawn phantoms and simulated CTAC studies, written as DICOM."""
