"""What the `limits` library says of calls that somebody else let through or refused.

[{"quota": "3/second", "strategy": "moving" or "fixed", "late": seconds, "calls": [[time, admitted], …]}, …] prints for each
a list of [would it have been admitted, would it have been admitted `late` seconds earlier]. Only admitted calls are counted.
"""

import json
import sys
import time

import limits
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter

STRATEGIES = {"moving": MovingWindowRateLimiter, "fixed": FixedWindowRateLimiter}
NOW = 0.0
time.time = lambda: NOW


def at(moment, question):
    global NOW
    NOW = moment
    return question()


def judged(series):
    storage = MemoryStorage()
    limiter = STRATEGIES[series["strategy"]](storage)
    items = limits.parse_many(series["quota"])
    answers = []
    for moment, admitted in series["calls"]:
        # The earlier moment first: time goes forward for everybody.
        early = at(moment - series["late"], lambda: all(limiter.test(item, "key") for item in items))
        now = at(moment, lambda: all(limiter.test(item, "key") for item in items))
        if admitted:
            at(moment, lambda: [limiter.hit(item, "key") for item in items])
        answers.append([now, early])
    return answers


if __name__ == "__main__":
    json.dump([judged(series) for series in json.load(sys.stdin)], sys.stdout)
