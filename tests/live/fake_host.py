# SPDX-License-Identifier: GPL-2.0-only
"""Rewrites a recording as another host's: name, boot id and wall clock of its META; only what happened in one network
namespace, and without what one kernel knows of both ends."""
import json
import struct
import zlib

import recording_reader
from recording_reader import CHUNK, END, EVENTS, INDEX, META, SEED

FIRST_OF_SOCKETS, LAST_OF_SOCKETS = 1, 10
SYNACK_RETRANSMIT, SEED_END, MIB = 4, 34, 39
NETNS_AT, MIB_NETNS_AT = 60, 16
CLIENT_OWNER, CLIENT = slice(224, 264), slice(272, 288)
RECORDS_IN_A_CHUNK = 4096


def of_namespace(record, netns):
    """The record as a host would have it whose sockets are all in this namespace; None where it would not."""
    kind = recording_reader.header(record)[1]
    at = NETNS_AT if FIRST_OF_SOCKETS <= kind <= LAST_OF_SOCKETS else MIB_NETNS_AT if kind == MIB else None
    if at is not None and struct.unpack_from("<I", record, at)[0] != netns:
        return None
    if kind == SYNACK_RETRANSMIT:
        record = bytearray(record)
        record[CLIENT_OWNER] = bytes(40)
        record[CLIENT] = bytes(16)
    return bytes(record)


class Writer:
    def __init__(self, file):
        self.file = file
        self.index = b""
        self.chunks = 0
        head = recording_reader.FILE_MAGIC + struct.pack("<I", 2)
        file.write(head + struct.pack("<I", zlib.crc32(head)))

    def chunk(self, kind, payload, records=0, time=0):
        size = len(payload)
        head = CHUNK.pack(b"TWCK", kind, 0, size, size, size, records, time, 0, 0, zlib.crc32(payload), 0)[:-4]
        if kind != INDEX:
            self.index += struct.pack("<QHHIQII", self.file.tell(), kind, 0, 0, time, records, 0)
            self.chunks += 1
        self.file.write(head + struct.pack("<I", zlib.crc32(head)) + payload)

    def records(self, kind, records):
        batch = []
        for record in records:
            batch.append(record)
            if len(batch) >= RECORDS_IN_A_CHUNK:
                self.flush(kind, batch)
        self.flush(kind, batch)

    def flush(self, kind, batch):
        if batch:
            self.chunk(kind, b"".join(batch), len(batch), recording_reader.header(batch[0])[0])
        batch.clear()

    def finish(self, end):
        index = self.file.tell()
        self.chunk(INDEX, self.index, self.chunks)
        self.chunk(END, json.dumps(end).encode())
        trailer = struct.pack("<Q4s", index, b"TWEN")
        self.file.write(trailer + struct.pack("<I", zlib.crc32(trailer)))


def rewrite(source, target, host, boot_id, ahead_ns, netns):
    """ahead_ns: how far the host's wall clock is ahead of this machine's."""
    meta, end, records = recording_reader.read(source)
    meta.update(host=host, boot_id=boot_id, wall_offset_ns=meta["wall_offset_ns"] + ahead_ns)
    kept = [record for record in (of_namespace(record, netns) for record in records) if record]
    seeded = next((i + 1 for i, record in enumerate(kept) if recording_reader.header(record)[1] == SEED_END), 0)
    with open(target, "wb") as file:
        writer = Writer(file)
        writer.chunk(META, json.dumps(meta).encode())
        writer.records(SEED, kept[:seeded])
        writer.records(EVENTS, kept[seeded:])
        writer.finish(end)
