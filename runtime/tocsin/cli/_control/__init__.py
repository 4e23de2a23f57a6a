"""The control socket: how a running daemon is looked at and told things from outside, and what may be asked of it.

    _place      where sockets are by default            _protocol    lines ↔ requests and answers, their limits
    _socket     a bound socket, and its file            _connection  one client, served
    _finding    the daemons that listen by default      _server      all clients, served
    _commands   what may be asked: the registry         _client      one question, asked
    _params     parameters of a request, taken apart    _asking      the same for a command line: print, exit code
    _status     the answer to `status`                  _reading     answers, taken apart
                                                        _view, _figures, _status_text: shown

A command is added by a line in `_commands.COMMANDS`, and for the command line one in `_app_control`. Client and server
have `_protocol` in common, and nothing else.
"""

from __future__ import annotations
