# SPDX-License-Identifier: GPL-2.0-only
"""Reads a recording as doc/recording.md lays it down, without a line of the tool's own code: meta, then every record.

    python3 tests/live/recording_reader.py FILE     kind and time of each record, a line each
"""
import json
import struct
import sys
import zlib

import zstandard

FILE_MAGIC = b"TCPWHY\r\n"
CHUNK = struct.Struct("<4sHHIIIIQIIII")
META, SEED, EVENTS, INDEX, END = range(1, 6)
COMPRESSED, BY_KIND, BY_STATE, REQUIRED = 1, 2, 4, 0x8000
GROUP = {BY_KIND: struct.Struct("<HHI"), BY_STATE: struct.Struct("<HHHHI")}  # kind, size, then states and 0, records


def chunks(data):
    """(type, flags, lost before, raw length, payload) of each."""
    assert data[:8] == FILE_MAGIC and zlib.crc32(data[:12]) == struct.unpack_from("<I", data, 12)[0]
    assert struct.unpack_from("<I", data, 8)[0] in (1, 2)
    at = 16
    while True:
        magic, kind, flags, stored, unpacked, raw, count, _time, lost, _, payload_crc, crc = CHUNK.unpack_from(data, at)
        assert magic == b"TWCK" and zlib.crc32(data[at:at + CHUNK.size - 4]) == crc
        payload = data[at + CHUNK.size:at + CHUNK.size + stored]
        assert zlib.crc32(payload) == payload_crc
        if flags & COMPRESSED:
            payload = zstandard.ZstdDecompressor().decompress(payload, max_output_size=unpacked)
        yield kind, flags, lost, raw, count, payload
        at += CHUNK.size + stored
        if kind == END:
            index, magic, crc = struct.unpack_from("<Q4sI", data, at)
            assert magic == b"TWEN" and zlib.crc32(data[at:at + 12]) == crc and data[index:index + 4] == b"TWCK"
            return


def restored(payload, arrangement):
    """Records in the stream's order."""
    (count,) = struct.unpack_from("<I", payload)
    row = GROUP[arrangement]
    groups = [row.unpack_from(payload, 4 + row.size * i) for i in range(count)]
    at = 4 + row.size * count
    total = sum(group[-1] for group in groups)
    order = payload[at:at + total]
    at += total
    columns = []
    for _kind, size, *_states, records in groups:
        columns.append([payload[at + c * records:at + (c + 1) * records] for c in range(size)])
        at += size * records
    rows = [0] * count
    newest = [None] * count
    by_id = {group[:2]: {} for group in groups}
    time = 0
    for g in order:
        size = groups[g][1]
        family = by_id[groups[g][:2]]
        cells = bytes(column[rows[g]] for column in columns[g])
        rows[g] += 1
        record = bytearray(size)
        time = (time + struct.unpack_from("<Q", cells)[0]) % (1 << 64)
        struct.pack_into("<Q", record, 0, time)
        before = newest[g]
        same = before
        if size >= 24:
            for i in range(16, 24):
                record[i] = (cells[i] + (before[i] if before else 0)) % 256
            same = family.get(bytes(record[16:24]))
        for i in range(8, size):
            if size < 24 or not 16 <= i < 24:
                other = before if i < 64 and not same else same
                record[i] = (cells[i] + (other[i] if other else 0)) % 256
        newest[g] = family[bytes(record[16:24])] = bytes(record)
        yield newest[g]


def split(payload):
    at = 0
    while at < len(payload):
        size = struct.unpack_from("<H", payload, at + 10)[0]
        yield payload[at:at + size]
        at += size


def read(path):
    """META, END, and all records."""
    with open(path, "rb") as file:
        data = file.read()
    meta, end, records = None, None, []
    for kind, flags, lost, raw, count, payload in chunks(data):
        if kind == META:
            meta = json.loads(payload)
        elif kind == END:
            end = json.loads(payload)
        elif kind in (SEED, EVENTS):
            new = list(restored(payload, flags & (BY_KIND | BY_STATE)) if flags & (BY_KIND | BY_STATE) else split(payload))
            assert lost == 0 and len(new) == count and sum(map(len, new)) == raw
            records += new
        else:
            assert kind == INDEX or not flags & REQUIRED
    return meta, end, records


def header(record):
    """Time in ns since boot, kind, size."""
    return struct.unpack_from("<QHH", record)


STATES = ["CLOSE", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT",
          "LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV"]


def transition(record):
    """Of a record of kind 1: id, ports, namespace, from, to, snd_nxt, comm of the owner where it has one."""
    identity, _addresses, local, remote, netns, before, after = struct.unpack_from("<Q32sHHIBB", record, 16)
    _, snd_nxt, _, _, pid, _, comm = struct.unpack_from("<IIIIII16s", record, 72)
    owner = comm.split(b"\0")[0].decode(errors="replace") if pid else ""
    return identity, local, remote, netns, STATES[before], STATES[after], snd_nxt, owner


if __name__ == "__main__":
    for one in read(sys.argv[1])[2]:
        print(header(one)[1], header(one)[0])
