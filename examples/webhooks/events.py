"""What happens in this daemon: one class for each kind of webhook, so that a subscriber can say which ones it wants."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from attrs import field, frozen

from tocsin import Priority


@frozen
class Webhook:
    """One delivery from GitHub. Subscribing to this class means all of them.

    Only `delivery` and `event` are always there: a webhook about an organisation has no repository, one about an
    advisory has no sender.
    """

    delivery: str
    event: str
    action: str | None
    repository: str | None
    sender: str | None
    payload: Mapping[str, Any] = field(repr=False, eq=False)

    @property
    def topic(self) -> str:
        """`"issues.opened"`, or `"push"` for those without an action."""
        return f"{self.event}.{self.action}" if self.action else self.event

    @property
    def title(self) -> str:
        """One line for a human."""
        return f"{self.topic} in {self.repository or 'no repository'} by {self.sender or 'nobody'}"


class Push(Webhook):
    """Commits were pushed."""


class PullRequest(Webhook):
    """A pull request, or a review of one, changed."""


class Issue(Webhook):
    """An issue changed."""


class Comment(Webhook):
    """Somebody wrote something, wherever."""


class Release(Webhook):
    """A release or package changed."""


class CheckRun(Webhook):
    """A workflow, job, check, status or deployment got further. `failed` tells whether it went wrong."""

    @property
    def failed(self) -> bool:
        """True when its conclusion is a failure; one that still runs has not failed."""
        body = self.payload.get(self.event, self.payload)
        return body.get("conclusion", body.get("state")) in FAILURES


class SecurityAlert(Webhook):
    """Somebody should look at this now."""


class Applause(Webhook):
    """A star, a fork, a watcher."""


class OtherWebhook(Webhook):
    """Any kind without a class of its own."""


KINDS: Final[Mapping[str, type[Webhook]]] = {
    "push": Push,
    "pull_request": PullRequest,
    "pull_request_review": PullRequest,
    "pull_request_review_thread": PullRequest,
    "issues": Issue,
    "commit_comment": Comment,
    "discussion_comment": Comment,
    "issue_comment": Comment,
    "pull_request_review_comment": Comment,
    "release": Release,
    "package": Release,
    "check_run": CheckRun,
    "check_suite": CheckRun,
    "deployment_status": CheckRun,
    "status": CheckRun,
    "workflow_job": CheckRun,
    "workflow_run": CheckRun,
    "code_scanning_alert": SecurityAlert,
    "dependabot_alert": SecurityAlert,
    "repository_vulnerability_alert": SecurityAlert,
    "secret_scanning_alert": SecurityAlert,
    "security_advisory": SecurityAlert,
    "fork": Applause,
    "star": Applause,
    "watch": Applause,
}
FAILURES: Final = frozenset({"failure", "timed_out", "startup_failure", "error"})
CHORES: Final = frozenset({"create", "delete", "gollum", "label", "milestone", "page_build", "ping", "project_card"})


def parse(line: str | bytes) -> Webhook:
    """Make an event of one line of JSON. Raise ValueError when it is not a webhook."""
    try:
        raw: dict[str, Any] = json.loads(line)
        return made_of(raw["delivery"], raw["event"], raw["payload"])
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a webhook: {line[:80]!r}… must be an object with delivery, event and payload") from error


def made_of(delivery: str, event: str, payload: Mapping[str, Any]) -> Webhook:
    """Make an event of what GitHub sends, two headers and the body; AttributeError if *payload* is no object."""
    return KINDS.get(event, OtherWebhook)(
        delivery=delivery,
        event=event,
        action=payload.get("action"),
        repository=_part(payload, "repository", "full_name"),
        sender=_part(payload, "sender", "login"),
        payload=payload,
    )


def _part(payload: Mapping[str, Any], name: str, key: str) -> Any:
    part = payload.get(name)
    return None if part is None else part.get(key)


def priority_of(event: Webhook) -> Priority:
    """Say how urgent *event* is: alarms first, applause and chores last."""
    match event:
        case SecurityAlert() | CheckRun(failed=True):
            return Priority.CRITICAL
        case Issue(action="opened") | PullRequest(action="opened") | Release(action="published"):
            return Priority.HIGH
        case Applause():
            return Priority.LOW
        case _:
            return Priority.LOW if event.event in CHORES else Priority.NORMAL
