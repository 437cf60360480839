"""The execution of a graph: what KServe's router does with each kind of node, case by case.

- Sequence: a step gets the request, or with ``data: $response`` the answer before it. A step whose condition
  the answer before does not fulfil ends the sequence: that answer goes back with 200. A failed step
  (no 2xx) that is ``Hard`` ends it with its own answer and status; a failed soft one is only the next answer.
- Splitter: one step by weight. Switch: the first step whose condition the request fulfils, else 404.
- Ensemble: all steps at once; their answers, which are JSON objects, are merged under the steps' names or
  numbers. The first ``Hard`` step in the document's order that failed decides the answer instead.

A step that gives no answer at all ends the whole graph with 500, whatever its dependency is. Unlike KServe's
router this one ends the calls whose answers nobody waits for any more.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from millpond.serving.inferencegraph import ROOT, Node, Step
from millpond.serving.router import gjson
from millpond.serving.router.message import Message, StepFailed

Call = Callable[[Step, Message], Awaitable[Message]]


class Execution:
    """One request's way through a graph.

    Args:
        nodes: the graph's nodes, checked.
        call: asks a step's service; raises StepFailed when there is no answer.
        chance: where a Splitter's choices come from.
    """

    def __init__(self, nodes: dict[str, Node], call: Call, chance: random.Random) -> None:
        self._nodes = nodes
        self._call = call
        self._chance = chance

    async def run(self, request: Message) -> Message:
        """The graph's answer.

        Raises:
            StepFailed: there is none; says why, with the status to tell.
        """
        return await self._node(ROOT, request)

    async def _node(self, name: str, request: Message) -> Message:
        node = self._nodes[name]
        if node.routerType == "Sequence":
            return await self._sequence(node, request)
        if node.routerType == "Ensemble":
            return await self._ensemble(node, request)
        step = self._split(node) if node.routerType == "Splitter" else _switch(node, request)
        if step is None:
            raise StepFailed("None of the routes matched with the switch condition", 404)
        return await self._step(step, request)

    async def _step(self, step: Step, request: Message) -> Message:
        if not step.nodeName:
            return await self._call(step, request)
        try:
            return await self._node(step.nodeName, request)
        except StepFailed as error:
            # Only the root's own status reaches the client; what failed below it is a failed call.
            raise StepFailed(error.cause) from None

    async def _sequence(self, node: Node, request: Message) -> Message:
        answer = Message(b"")
        for index, step in enumerate(node.steps):
            message = answer if step.data == "$response" and index > 0 else request
            if step.mapPredictionsToInstances:
                message = _with_instances(message)
            if step.condition and not _fulfils(answer, step.condition):
                return Message(answer.body, 200, answer.type, answer.header_length)
            answer = await self._step(step, message)
            if step.dependency == "Hard" and not answer.successful:
                return answer
        return answer

    def _split(self, node: Node) -> Step:
        point = self._chance.randrange(100)
        end = 0
        for step in node.steps:
            end += step.weight or 0
            if point < end:
                return step
        raise StepFailed("no route was selected by the splitter")

    async def _ensemble(self, node: Node, request: Message) -> Message:
        tasks = [asyncio.ensure_future(self._member(step, request)) for step in node.steps]
        try:
            merged: dict[str, Any] = {}
            for index, (step, task) in enumerate(zip(node.steps, tasks, strict=True)):
                await _until(task, tasks)
                answer = task.result()
                if step.dependency == "Hard" and not answer.successful:
                    return answer
                # The answer's own bytes: numbers come back digit by digit as the model wrote them.
                merged[step.name or str(index)] = orjson.Fragment(answer.body)
            return Message(orjson.dumps(merged))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _member(self, step: Step, request: Message) -> Message:
        answer = await self._step(step, request)
        try:
            value = answer.json()
        except ValueError as error:
            raise StepFailed(f"the answer of {_called(step)} is not JSON: {error}") from None
        if not isinstance(value, dict) and value is not None:
            raise StepFailed(f"the answer of {_called(step)} is not a JSON object")
        return answer


async def _until(task: asyncio.Task[Message], tasks: list[asyncio.Task[Message]]) -> None:
    """Wait for a task, and no longer when one of the others fails first: that fails the whole node."""
    waiting = {other for other in tasks if not other.done()}
    while not task.done():
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for other in done:
            other.result()


def _switch(node: Node, request: Message) -> Step | None:
    try:
        value = request.json()
    except ValueError:
        return None
    return next((step for step in node.steps if gjson.exists(value, step.condition)), None)


def _fulfils(answer: Message, condition: str) -> bool:
    try:
        value = answer.json()
    except ValueError:
        raise StepFailed("invalid response") from None
    return gjson.exists(value, condition)


def _with_instances(message: Message) -> Message:
    """``predictions`` of V1 as ``instances``; whatever is not such an answer stays as it is."""
    try:
        value = message.json()
    except ValueError:
        return message
    if not isinstance(value, dict) or not isinstance(value.get("instances") or [], list):
        return message
    predictions = value.get("predictions")
    if not isinstance(predictions, list) or not predictions:
        return message
    return Message(orjson.dumps({"instances": predictions}))


def _called(step: Step) -> str:
    return f"step {step.name}" if step.name else f"{step.serviceName or step.nodeName or 'a step'}"
