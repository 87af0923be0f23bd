"""How fast recsys is and what it takes, measured beside other systems on the same machine.

:mod:`recsys.benchmark.results` is what every measurement returns, :mod:`recsys.benchmark.planted`
makes libraries of any size, and :mod:`recsys.benchmark.search` measures answers from them.
"""
