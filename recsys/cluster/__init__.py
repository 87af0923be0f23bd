"""Analysis on a Ray cluster: files in a folder or a bucket go in, shards of Parquet come out.

Ray Data spreads decoding and model over the machines; nothing here schedules anything. The
shards are brought into a library by :mod:`recsys.cluster.importing`, which needs no Ray.
"""
