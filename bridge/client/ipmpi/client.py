"""`ipmpi.Client`: an ipyparallel.Client for clusters of ipmpi.

Whatever works with ipyparallel's works with this one. Its direct and broadcast
views have collective verbs besides (ipmpi.collective).
"""

from __future__ import annotations

import ipyparallel

from .collective import CollectiveBroadcastView, CollectiveDirectView


class Client(ipyparallel.Client):
    """A client whose views have collective verbs."""

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
