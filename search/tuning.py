"""The factory and the search parameters that suit one collection, found by trying.

``SearchIndex.tuning`` keeps what was tried:

{
  "target": 0.95,          asked ann_recall@10, after the fine tier
  "queries": 200,          held out of the collection; half of them chose, the other half gave the figures
  "count": 123456,         pictures searched
  "made": "2026-01-31T12:00:00+00:00",
  "max_bytes": null,       asked bytes a picture in memory, at most; null: no limit
  "points": [              by rising latency
    {
      "factory": "RR,IVF1024_HNSW32,RaBitQ", "search_params": {"nprobe": 32}, "fine_depth": 200,
      "recall": 0.981,     ann_recall@10 after the fine tier
      "ms": 0.41,          median of one query on one thread, coarse and fine
      "p99_ms": 0.77,
      "bytes": 88.5,       a picture, in memory
      "frontier": true,    no other point is at least as good in all of recall, ms and bytes
      "chosen": true       one point at most; none if none reached the target
    }
  ]
}
"""
