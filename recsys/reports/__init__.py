"""Pages and pictures of reports."""
