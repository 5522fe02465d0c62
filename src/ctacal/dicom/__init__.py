"""From files to studies: find series in folders and zips, choose the CTAC, decode its pixels to Hounsfield units."""
