"""A library on Milvus, searched by many readers; needs the extra ``milvus``.

:mod:`recsys.milvus.push` moves a library there, :mod:`recsys.milvus.index` searches its embeddings,
:mod:`recsys.milvus.catalogue` answers everything else that a reader asks. It holds a
copy: the library's own database stays the truth, and tracks are added there.
"""
