"""What the DICOM node does apart from networks and processes: store, ledger, settling, scoring, deliveries."""
