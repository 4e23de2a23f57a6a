"""How events become bytes, for a store or another process, and how they come back.

A `CodecRegistry` knows types by *names*, which are what is written beside the bytes. Nothing is ever imported, and no
code run, because some bytes say so: a name that the process does not know is an error.
"""

from __future__ import annotations

from ._codecs import Codec as Codec
from ._errors import CodecError as CodecError
from ._errors import DecodeError as DecodeError
from ._errors import EncodeError as EncodeError
from ._registry import CodecRegistry as CodecRegistry
from ._registry import Encoded as Encoded
