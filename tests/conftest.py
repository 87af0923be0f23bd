"""Puts this folder on the import path: what several tests need lies in modules beside this file."""
