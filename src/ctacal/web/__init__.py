"""The reader's page: a local web server over ``jobs.reading_room``, and the page that it serves."""
