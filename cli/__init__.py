"""The command line of recsys."""
