"""Music recommendations from your own files."""
