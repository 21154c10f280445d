"""When a filtered set is scored one by one, and when the index searches it.

One by one costs a row of the originals each: gathered from the disk's cache, made float32, multiplied.
The index visits about as many codes as without the filter, each a tenth of that, and passes over
1/share times as many, each for a look into a bitmap. Measured on two kinds of index (IVF-SQ8, HNSW) of
512 dimensions: the constants are of one core and need to be right within a factor of two only.
"""

from __future__ import annotations

import math

LEAST = 2_000  # a millisecond, and no index can do better than exact
MOST = 16_384  # rows that may have to come from a slow disk
VISITED = 1 / 32  # share of its codes that an index looks at: nprobe / nlist of the default parameters
CODE, LOOK = 1 / 10, 1 / 200  # cost of a code, and of passing one over, in rows of the originals


def exact_up_to(count: int) -> int:
    """Size of a filtered set, of ``count`` pictures, up to which scoring all of it costs no more than the index.

    The root of n = visited * CODE + visited * (count / n) * LOOK.
    """
    codes = count * VISITED * CODE
    looks = count * VISITED * count * LOOK
    even = (codes + math.sqrt(codes * codes + 4 * looks)) / 2
    return int(min(MOST, max(LEAST, even)))
