# SPDX-License-Identifier: GPL-2.0-only
"""The types (BTF) of a kernel, read from its image: what a survey of its hooks needs, without booting it."""
import lzma
import struct
import zlib

SETUP_SECTORS = 0x1f1  # Documentation/arch/x86/boot.rst
PROTOCOL = 0x206
PAYLOAD = 0x248
SECTOR = 512
ARM64_MAGIC_AT, ARM64_MAGIC = 0x38, b"ARM\x64"  # Documentation/arch/arm64/booting.rst
BTF_START, BTF_HEADER = b"\x9f\xeb\x01\x00", 24  # Documentation/bpf/btf.rst: magic, version, flags; struct btf_header
LZ4_BLOCK = 8 << 20


class NoTypes(Exception):
    """What is not as it should be, in words."""


def of_lz4(payload):
    """LZ4's legacy frame: blocks, each after its length."""
    import lz4.block
    parts, at = [], 4
    while at + 4 <= len(payload):
        length, = struct.unpack_from("<I", payload, at)
        # The size of all stands behind the last.
        if length == 0 or at + 4 + length > len(payload):
            break
        parts.append(lz4.block.decompress(payload[at + 4:at + 4 + length], uncompressed_size=LZ4_BLOCK))
        at += 4 + length
    return b"".join(parts)


def of_zstd(payload):
    import zstandard
    return zstandard.ZstdDecompressor().decompressobj().decompress(payload)


def decompressed(payload):
    """The vmlinux in the image's payload; what follows it (its size, or padding) is let lie."""
    if payload.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(payload)
    if payload.startswith(b"\x28\xb5\x2f\xfd"):
        return of_zstd(payload)
    if payload.startswith(b"\x02\x21\x4c\x18"):
        return of_lz4(payload)
    if payload.startswith(b"\x1f\x8b"):
        return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(payload)
    if payload.startswith(b"\x7fELF"):
        return payload
    raise NoTypes(f"its payload is compressed in a way that is not known here ({payload[:4].hex()})")


def vmlinux(image):
    """The ELF file in a bzImage."""
    if len(image) < PAYLOAD + 8 or image[0x202:PROTOCOL] != b"HdrS":
        raise NoTypes("it is no image with Linux' boot header")
    offset, length = struct.unpack_from("<II", image, PAYLOAD)
    begin = (image[SETUP_SECTORS] + 1) * SECTOR + offset
    return decompressed(image[begin:begin + length])


def section(elf, wanted):
    """The bytes of a section of a 64-bit little-endian ELF file."""
    if elf[:6] != b"\x7fELF\x02\x01":
        raise NoTypes("what it holds is no 64-bit ELF file")
    table, = struct.unpack_from("<Q", elf, 0x28)
    size, count, names = struct.unpack_from("<HHH", elf, 0x3a)
    rows = [struct.unpack_from("<IIQQQQ", elf, table + number * size) for number in range(count)]
    names_at = rows[names][4]
    for name, _, _, _, offset, length in rows:
        at = names_at + name
        if elf[at:elf.index(b"\0", at)].decode() == wanted:
            return elf[offset:offset + length]
    raise NoTypes(f"it has no section {wanted}")


def in_memory_image(image):
    """The types in an arm64 Image, which is the memory itself, without a table of sections: found by their header."""
    at = -1
    while (at := image.find(BTF_START, at + 1)) >= 0:
        if len(image) < at + BTF_HEADER:
            break
        length, types_at, types, strings_at, strings = struct.unpack_from("<IIIII", image, at + 4)
        end = at + length + strings_at + strings
        if length == BTF_HEADER and types_at == 0 and strings_at == types and strings > 0 and end <= len(image):
            return image[at:end]
    raise NoTypes("it has no types (BTF)")


def btf(path):
    """The BTF of the kernel in this image."""
    image = path.read_bytes()
    if image[ARM64_MAGIC_AT:ARM64_MAGIC_AT + 4] == ARM64_MAGIC:
        return in_memory_image(image)
    return section(vmlinux(image), ".BTF")
