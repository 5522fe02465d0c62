"""Files to studies: what lies in a folder or zip, which series is the CTAC, and its pixels as Hounsfield units."""
