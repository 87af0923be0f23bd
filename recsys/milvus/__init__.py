"""A library on Milvus, searched by many readers; needs the extra ``milvus``.

:mod:`recsys.milvus.push` moves a library there, :mod:`recsys.milvus.index` searches its embeddings,
:mod:`recsys.milvus.catalogue` answers everything else that a reader asks. What lies there is a
copy: the library's own database stays the truth, and is where tracks are added.
"""
