"""`ipmpi.Client`: an ipyparallel.Client for clusters of ipmpi.

Whatever works with ipyparallel's works with this one. Its direct and broadcast
views have collective verbs besides (ipmpi.collective); its load-balanced views
send maps in one message (ipmpi.balanced).
"""

from __future__ import annotations

import ipyparallel
from ipyparallel import error, util
from ipyparallel.client.futures import multi_future

from .balanced import BulkView
from .bulk import BulkFuture, Group, message_future, request_content
from .items import Items
from .collective import CollectiveBroadcastView, CollectiveDirectView


class Client(ipyparallel.Client):
    """A client whose views have collective verbs and bulk maps."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._queue_handlers["ipmpi_bulk_reply"] = self._handle_bulk_reply

    def direct_view(self, targets="all", **kwargs) -> CollectiveDirectView:
        single = isinstance(targets, int)
        if targets != "all":  # "all" is looked up at each use
            targets = self._build_targets(targets)[1]
        if single:
            targets = targets[0]
        return CollectiveDirectView(client=self, socket=self._mux_stream,
                                    targets=targets, **kwargs)

    def broadcast_view(self, targets="all", is_coalescing=False, **kwargs
                       ) -> CollectiveBroadcastView:
        view = CollectiveBroadcastView(
            client=self, socket=self._broadcast_stream,
            targets=self._build_targets(targets)[1], **kwargs)
        view.is_coalescing = is_coalescing
        return view

    def load_balanced_view(self, targets=None, **kwargs) -> BulkView:
        if targets == "all":
            targets = None
        if targets is not None:
            targets = self._build_targets(targets)[1]
        return BulkView(client=self, socket=self._task_stream,
                        targets=targets, **kwargs)

    # ---- bulk jobs ------------------------------------------------------

    def send_bulk_request(self, socket, function: list, items: Items,
                          star: bool, metadata: dict, group: Group
                          ) -> BulkFuture:
        """Sends one bulk job.

        function: as pack_apply_message packs it
        star:     whether items are tuples of arguments
        """
        if self._closed:
            raise OSError("Connections have been closed.")
        msg = self.session.msg(
            "ipmpi_bulk_request", metadata=metadata,
            content=request_content(items, star, group.item_s))
        future = self._expect_bulk(msg["header"], len(items), group,
                                   metadata["label"])
        future.bytes = items.bytes
        buffers = [*items.buffers, *function]
        self._io_loop.add_callback(lambda: self.session.send(
            socket, msg, buffers=buffers))
        return future

    def _expect_bulk(self, header: dict, count: int, group: Group,
                     label: str | None) -> BulkFuture:
        msg_id = header["msg_id"]
        future = BulkFuture(msg_id, header, count, group)
        output = future.output = message_future(msg_id, header)
        output.metadata = self.metadata[msg_id]
        output.metadata.update(submitted=util.utcnow(), label=label)
        self.outstanding.add(msg_id)
        self.history.append(msg_id)
        self._futures[msg_id] = future
        self._output_futures[msg_id] = output

        def forget(_) -> None:
            for table in (self.results, self._futures, self._output_futures,
                          self.metadata):
                table.pop(msg_id, None)

        multi_future([future, output]).add_done_callback(forget)
        return future

    def _handle_bulk_reply(self, msg: dict) -> None:
        msg_id = msg["parent_header"]["msg_id"]
        future = self._futures.get(msg_id)
        content = msg["content"]
        if future is None or future.done():
            return
        if "first" in content:
            uuid = msg["metadata"].get("engine")
            engine = {"engine_uuid": uuid,
                      "engine_id": self._engines.get(uuid)}
            future.take(content, msg["buffers"], engine)
            return
        failure = None
        if content["status"] == "aborted":
            failure = error.TaskAborted(msg_id)
        elif content["status"] == "error":
            failure = error.unwrap_exception(content)
        future.finish(failure)
        self.outstanding.discard(msg_id)
        future.output.metadata.update(self._extract_metadata(msg))
        if failure is not None and not future.output.done():
            future.output.set_result(None)  # it may never have begun
        self.results[msg_id] = future.results
        future.set_result(future.results)
