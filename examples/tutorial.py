"""The bus of every tutorial: subscribe, publish, priorities, retries, dead letters, replay.

Run it: `python examples/tutorial.py`, or with `trio` behind it.
"""

from __future__ import annotations

import sys

import anyio
from attrs import frozen

from tocsin import Backoff, Delivery, Event, EventBus, Priority, RestartPolicy, RetryPolicy, handles

bus = EventBus("tutorial")


@frozen
class UserSignedUp:
    name: str
    email: str


@frozen
class PaymentFailed:
    name: str
    amount: float


@frozen
class HowMany:
    """A question to the actor that counts."""


mail_server_is_up = False
order_of_work: list[str] = []


# A plain subscriber.
@bus.subscriber(UserSignedUp)
async def greet(user: UserSignedUp) -> None:
    print(f"hello, {user.name}")


# One that fails: three attempts, then the dead letters. The second parameter is the delivery.
@bus.subscriber(UserSignedUp, retry=RetryPolicy(max_attempts=3, backoff=Backoff(initial=0.01)), timeout=5)
async def send_mail(user: UserSignedUp, delivery: Delivery[UserSignedUp]) -> None:
    if not mail_server_is_up:
        raise ConnectionError(f"no mail server for {user.email}")
    print(f"mail to {user.email}, attempt {delivery.attempt}, replay of letter {delivery.replay_of}")


# One that shows priorities: three events wait in its mailbox before it has its turn.
@bus.subscriber(PaymentFailed)
async def call_customer(payment: PaymentFailed) -> None:
    order_of_work.append(payment.name)
    await anyio.sleep(0.01)


# One without classes: topics with wildcards.
@bus.subscriber("door.#")
async def doors(event: Event) -> None:
    print(f"{event.type}: {event.payload}")


# An actor with state.
@bus.actor(name="counter", restart=RestartPolicy.TRANSIENT)
class Counter:
    def __init__(self) -> None:
        self.users = 0

    @handles(UserSignedUp)
    async def count(self, user: UserSignedUp) -> None:
        self.users += 1

    @handles(HowMany)
    async def answer(self, question: HowMany) -> int:
        return self.users


async def main() -> None:
    global mail_server_is_up
    async with bus.running():
        for name in ("ada", "bob", "eve"):
            receipt = await bus.publish(UserSignedUp(name, f"{name}@example.org"))
            print("outcomes:", dict(await receipt.settled()))
        print("users:", await bus.ask(HowMany()))

        await bus.publish(PaymentFailed("first", 1.0))
        await bus.publish(PaymentFailed("later", 2.0), priority=Priority.LOW)
        await bus.publish(PaymentFailed("urgent", 900.0), priority=Priority.CRITICAL)
        await bus.publish(Event("door.front.opened", {"by": "ada"}))

        for letter in bus.dead_letters.list(subscription="send_mail"):
            print("dead:", letter.event, letter.reason.value, letter.attempts, letter.failure)

        mail_server_is_up = True
        report = await bus.replay(subscription="send_mail")
        for receipt in report.receipts:
            await receipt.settled()
    print("order of work:", order_of_work)
    print("ledger:", bus.ledger())


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
