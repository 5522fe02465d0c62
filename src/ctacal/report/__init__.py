"""The outputs of one study: report, pictures and DICOM objects."""
