"""A dask scheduler beside the controller: ``client.become_dask()``.

Rank 0 embeds no Python, so it runs this as a process of its own. Protocol
(documented in bridge/requests/dask.c): one line of JSON with the keyword
arguments of ``distributed.Scheduler`` on standard input, one line of JSON back
on standard output; the process ends when standard input is closed.
"""

import asyncio
import json
import os
import sys


def main():
    """Runs the scheduler until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not mix with the answer
    try:
        asyncio.run(serve(answers))
    except Exception as error:  # the client is told, whatever it is
        say(answers, status="error", ename=type(error).__name__,
            evalue=str(error))
        sys.exit(1)


def say(answers, **message):
    """Writes one line of JSON; nobody may be left to read it."""
    try:
        answers.write(json.dumps(message) + "\n")
        answers.flush()
    except OSError:
        pass


async def serve(answers):
    """Starts the scheduler, tells its address and waits for the end."""
    from distributed import Scheduler

    loop = asyncio.get_running_loop()
    line = await loop.run_in_executor(None, sys.stdin.readline)
    arguments = json.loads(line or "{}") or {}
    async with Scheduler(**arguments) as scheduler:
        say(answers, status="ok", ip=scheduler.ip,
            address=scheduler.address, port=scheduler.port)
        await loop.run_in_executor(None, sys.stdin.read)
