"""Stripe's own client against the payments example, through a proxy that swallows replies.

    python client.py HOST PORT

The service runs with --errors stripe. Fails loudly at the first thing that is not as it should be; prints one JSON object
with what was made in the end.
"""

import json
import sys

import stripe

from proxy import Proxy


def check(is_so, *what):
    if not is_so:
        raise AssertionError(" ".join(str(part) for part in what))


def raises(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError("no %s was raised" % kind.__name__)


def one_under_one_key(proxy, attempts):
    """All attempts were one request under one key, byte by byte."""
    check(len(proxy.attempts) == attempts, "attempts:", proxy.attempts)
    check(len(set(proxy.attempts)) == 1, "not one request:", proxy.attempts)
    key, _, _ = proxy.attempts[0]
    check(key is not None, "no key was sent")


def swallowed_reply_makes_one(proxy, create, retrieve):
    for swallowed in (1, 2):
        proxy.swallow(swallowed)
        made = create()
        one_under_one_key(proxy, swallowed + 1)
        check(len(proxy.swallowed) == swallowed, "replies swallowed:", proxy.swallowed)
        for reply in proxy.swallowed:
            check(b" 201 " in reply.split(b"\r\n", 1)[0], "the swallowed reply was", reply)
            check(made.id.encode() in reply, "the swallowed reply was about something else than", made.id)
        check(made.last_response.headers.get("idempotent-replayed") == "true", "the retry was no replay")
        check(retrieve(made.id).to_dict() == made.to_dict(), "what was made is not what is there:", made.id)
        yield made.id


def reused_key(amount):
    first = stripe.Charge.create(amount=amount, currency="eur", idempotency_key="reused-key-%d" % amount)
    error = raises(
        stripe.IdempotencyError,
        lambda: stripe.Charge.create(amount=amount + 1, currency="eur", idempotency_key="reused-key-%d" % amount),
    )
    check(error.http_status == 400, "status", error.http_status)
    again = stripe.Charge.create(amount=amount, currency="eur", idempotency_key="reused-key-%d" % amount)
    check(again.id == first.id, "the first request, sent again, got", again.id)
    return first.id


def declined_card():
    def decline():
        return stripe.Charge.create(
            amount=500, currency="eur", metadata={"fail": "decline"}, idempotency_key="declined-card"
        )

    for is_replay in (False, True):
        error = raises(stripe.CardError, decline)
        check((error.http_status, error.code) == (402, "card_declined"), error)
        check((error.headers.get("idempotent-replayed") == "true") == is_replay, dict(error.headers))


def refunds(proxy, charge):
    proxy.swallow(1)
    refund = stripe.Refund.create(charge=charge, amount=500)
    one_under_one_key(proxy, 2)
    check((refund.object, refund.amount, refund.charge) == ("refund", 500, charge), refund)
    error = raises(stripe.InvalidRequestError, lambda: stripe.Refund.create(charge=charge, amount=10_000))
    check((error.param, error.code) == ("amount", "amount_too_large"), error)
    rest = stripe.Refund.create(charge=charge)
    check(stripe.Charge.retrieve(charge).amount_refunded == 500 + rest.amount, "not refunded in full")


def nonsense():
    error = raises(stripe.InvalidRequestError, lambda: stripe.Charge.create(amount=0, currency="eur"))
    check((error.http_status, error.param) == (400, "amount"), error)
    error = raises(stripe.InvalidRequestError, lambda: stripe.Charge.create(amount=5, currency="xxx"))
    check(error.param == "currency", error)
    error = raises(stripe.InvalidRequestError, lambda: stripe.Charge.retrieve("ch_unknown"))
    check(error.http_status == 404, error)


def main():
    proxy = Proxy((sys.argv[1], int(sys.argv[2])))
    stripe.api_key = "sk_test_annals"
    stripe.api_base = proxy.url
    stripe.max_network_retries = 2
    stripe.enable_telemetry = False

    charges = list(
        swallowed_reply_makes_one(
            proxy,
            lambda: stripe.Charge.create(amount=2000, currency="eur", metadata={"order": "42"}),
            stripe.Charge.retrieve,
        )
    )
    intents = list(
        swallowed_reply_makes_one(
            proxy, lambda: stripe.PaymentIntent.create(amount=700, currency="jpy"), stripe.PaymentIntent.retrieve
        )
    )
    check(len(set(charges)) == len(set(intents)) == 2, "a new call is a new request", charges, intents)
    charges.append(reused_key(1200))
    declined_card()
    refunds(proxy, charges[0])
    nonsense()
    print(json.dumps({"stripe": stripe.VERSION, "charges": len(charges), "payment_intents": len(intents), "refunds": 2}))


if __name__ == "__main__":
    main()
