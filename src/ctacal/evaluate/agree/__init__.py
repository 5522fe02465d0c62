"""``ctacal agree``: tables of readings -> everything about their agreement -> a publication."""
