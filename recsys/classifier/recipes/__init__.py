"""The systems of published reports, as recipes that run again."""
