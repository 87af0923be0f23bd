"""A library on Milvus, searched by many readers; needs the extra ``milvus``.

:mod:`recsys.milvus.push` copies a library there, :mod:`recsys.milvus.milvus_index` searches its
embeddings, :mod:`recsys.milvus.catalogue` answers everything else. The library's own database
stays the truth: tracks are added there.
"""
