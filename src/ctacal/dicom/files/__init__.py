"""Files, folders and archives: what lies under a path, and what each file is."""
