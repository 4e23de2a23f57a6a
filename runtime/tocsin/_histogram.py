"""A histogram of durations with buckets that grow with what they hold: four to an octave, from 1 µs to 1,000 s.

So what is read from it is at most a quarter beside the truth, whatever the scale, and at most 116 small integers are
kept, most handlers filling a dozen. The scheme is that of HdrHistogram: buckets are found by the highest bits of the
number of microseconds, without a logarithm.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_MICRO: Final = 1e6
_BITS: Final = 2  # below the highest one: 2 ** _BITS buckets to an octave
_WHOLE: Final = 1 << (_BITS + 1)  # microseconds below which each has a bucket of its own
LONGEST: Final = 1_000.0  # seconds; what takes longer counts as this


def bucket_of(seconds: float) -> int:
    """Give the number of the bucket that *seconds* belong to; less than nothing counts as nothing."""
    micros = int(min(max(seconds, 0.0), LONGEST) * _MICRO)
    if micros < _WHOLE:
        return micros
    shift = micros.bit_length() - _BITS - 1
    return (shift << _BITS) + (micros >> shift)


def bounds_of(bucket: int) -> tuple[float, float]:
    """Give from how many seconds, and up to how many, durations belong to *bucket*."""
    shift = max(0, (bucket >> _BITS) - 1)
    lowest = bucket - (shift << _BITS)
    return (lowest << shift) / _MICRO, (lowest + 1 << shift) / _MICRO


def percentile(counts: Mapping[int, int], share: float) -> float | None:
    """Give the duration that *share* (above 0, up to 1) of those in *counts* (bucket → how many) do not exceed, None if
    there are none.

    It lies within the bucket of the one that it would be if all were kept (the nearest rank), as far into it as its
    rank is among those in there.
    """
    rank = math.ceil(sum(counts.values()) * share)
    for bucket in sorted(counts):
        if rank <= counts[bucket]:
            low, high = bounds_of(bucket)
            return low + (high - low) * (rank - 0.5) / counts[bucket]
        rank -= counts[bucket]
    return None
