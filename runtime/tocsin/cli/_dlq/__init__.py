"""`tocsin dlq`: dead letters listed, shown, replayed, purged and exported, by way of a running daemon or of its file.

    _times    "2h", "2026-11-27T18:00"       _commands  the answers of a daemon: in its event loop
    _choice   which letters are meant        _online    the letters of a daemon that is asked
    _letter   one letter, to be shown        _offline   the letters of a file whose daemon does not run
    _table    several, in columns            _office    what the two have in common
    _page     one, with all it says          _file      where an export is written to
                                             _verbs     the commands: ask, print, exit code

Both ways choose by `Conditions` of the dead-letter office, so that a filter has one meaning, and both give letters as
`DeadLetter.to_json_line` writes them.
"""

from __future__ import annotations
