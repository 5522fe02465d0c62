"""Two scans of one patient: what has changed, and how much of it is noise."""
