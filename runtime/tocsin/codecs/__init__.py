"""How events become bytes that outlive the process, and events again: `import tocsin` does not bring it in.

A `CodecRegistry` writes beside the bytes which type they are of, as a name and a version. Reading looks the name up
among the types it was told of; nothing is ever imported, or made, because data asks for it. See `docs/codecs.md`.
"""

from __future__ import annotations

from ._codec import Codec as Codec
from ._codec import Encoded as Encoded
from ._declarations import Upgrade as Upgrade
from ._errors import CodecError as CodecError
from ._errors import DecodeError as DecodeError
from ._errors import DecodeReason as DecodeReason
from ._errors import DuplicateTypeName as DuplicateTypeName
from ._errors import EncodeError as EncodeError
from ._errors import EncodeReason as EncodeReason
from ._errors import PayloadTooLarge as PayloadTooLarge
from ._errors import UnsupportedType as UnsupportedType
from ._headers import MAX_HEADER_BYTES as MAX_HEADER_BYTES
from ._headers import decode_headers as decode_headers
from ._headers import encode_headers as encode_headers
from ._registry import MAX_BYTES as MAX_BYTES
from ._registry import CodecRegistry as CodecRegistry
