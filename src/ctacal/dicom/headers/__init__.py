"""Elements of headers: read, converted and understood."""
