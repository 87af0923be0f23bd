"""Analysis on a Ray cluster: audio files of folders and buckets in, Parquet shards out.

Ray Data spreads decoding and inference over the machines; nothing here schedules anything.
:mod:`recsys.cluster.importing` imports the shards into a library, and needs no Ray.
"""
