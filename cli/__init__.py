"""The command line of recsys: one file per command.

Commands import the library inside their functions, so that --help and usage errors stay quick.
"""
