"""A recording of all that crosses a Docker network, by a packet socket on its
bridge. Needs root."""
from __future__ import annotations

import ctypes
import ipaddress
import socket
import struct
import threading

from standin.placing import docker

SOL_PACKET, ADD_MEMBERSHIP, STATISTICS, PROMISCUOUS = 263, 1, 6, 1
ETH_P_ALL, IPV4, TCP, UDP = 3, 0x0800, 6, 17
RCVBUFFORCE = 33


class Recorder:
    """Records from its making until close. `frames` are as they were seen;
    `streams` has what each sender said to each receiver, put together."""

    def __init__(self, network: str) -> None:
        ident = docker("network", "inspect", "--format", "{{.Id}}", network)
        bridge = f"br-{ident[:12]}"
        self.frames: list[bytes] = []
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW,
                                    socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, RCVBUFFORCE, 256 << 20)
        self.socket.bind((bridge, 0))
        # What the bridge passes from container to container, too.
        self.socket.setsockopt(SOL_PACKET, ADD_MEMBERSHIP, struct.pack(
            "iHH8s", socket.if_nametoindex(bridge), PROMISCUOUS, 0, b""))
        self.socket.settimeout(0.2)
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        while not self.stopped.is_set():
            try:
                self.frames.append(self.socket.recv(1 << 16))
            except TimeoutError:
                continue

    def close(self) -> int:
        """Ends the recording; how many frames it missed."""
        self.stopped.set()
        self.thread.join()
        _, missed = struct.unpack("II", self.socket.getsockopt(
            SOL_PACKET, STATISTICS, ctypes.sizeof(ctypes.c_uint32) * 2))
        self.socket.close()
        return missed

    def streams(self) -> dict[tuple, bytes]:
        """By (sender, receiver, protocol, ports): a key that is split over
        two packets is in one piece here."""
        found: dict[tuple, bytearray] = {}
        for frame in self.frames:
            if struct.unpack("!H", frame[12:14])[0] != IPV4:
                continue
            packet = frame[14:]
            packet = packet[:struct.unpack("!H", packet[2:4])[0]]
            payload = packet[(packet[0] & 15) * 4:]
            protocol = packet[9]
            if protocol not in (TCP, UDP):
                continue
            head = (payload[12] >> 4) * 4 if protocol == TCP else 8
            ends = [str(ipaddress.IPv4Address(packet[at:at + 4]))
                    for at in (12, 16)]
            key = (*ends, protocol, *struct.unpack("!HH", payload[:4]))
            found.setdefault(key, bytearray()).extend(payload[head:])
        return {key: bytes(data) for key, data in found.items()}
