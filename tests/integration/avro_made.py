"""Makes Avro for the tests, from the format's description alone: bodies, framed messages, files.

Values are plain Python: a decimal is written as text ("12.50"), bytes as {"hex": "00ff"}, the branch of a
union is the first that fits. No package is needed."""
import json
import struct
import zlib


def number(value):
    """Zigzag, seven bits a byte, lowest first."""
    bits, out = (value << 1) ^ (value >> 63), bytearray()
    bits &= (1 << 64) - 1
    while bits > 0x7F:
        out.append(bits & 0x7F | 0x80)
        bits >>= 7
    return bytes(out + bytes([bits]))


def sized(data):
    return number(len(data)) + data


def unscaled(text, scale):
    sign, text = (-1, text[1:]) if text.startswith("-") else (1, text)
    whole, _, fraction = text.partition(".")
    return sign * int(whole + fraction.ljust(scale, "0"))


def fits(schema, value, names):
    kind = schema if isinstance(schema, str) else schema["type"]
    if kind in names:
        return fits(names[kind], value, names)
    kinds = {"null": type(None), "boolean": bool, "int": int, "long": int, "float": float, "double": float, "string": str, "enum": str,
             "array": list, "map": dict, "record": dict}
    if kind in ("bytes", "fixed"):
        return isinstance(value, dict) and "hex" in value or isinstance(schema, dict) and "scale" in schema and isinstance(value, str)
    return isinstance(value, kinds[kind]) and not (kinds[kind] is int and isinstance(value, bool))


def encode(schema, value, names=None):
    names = {} if names is None else names
    if isinstance(schema, list):
        branch = next(i for i, one in enumerate(schema) if fits(one, value, names))
        return number(branch) + encode(schema[branch], value, names)
    if isinstance(schema, str):
        schema = names.get(schema, {"type": schema})
    kind = schema["type"]
    if not isinstance(kind, str) or kind in names:
        return encode(kind, value, names)
    if "name" in schema:
        names[schema["name"]] = schema
    if kind == "record":
        return b"".join(encode(field["type"], value.get(field["name"]), names) for field in schema["fields"])
    if kind == "enum":
        return number(schema["symbols"].index(value))
    if kind == "array":
        return (number(len(value)) + b"".join(encode(schema["items"], one, names) for one in value) if value else b"") + b"\0"
    if kind == "map":
        inside = b"".join(sized(key.encode()) + encode(schema["values"], one, names) for key, one in value.items())
        return (number(-len(value)) + number(len(inside)) + inside if value else b"") + b"\0"
    if kind in ("bytes", "fixed"):
        if isinstance(value, str):
            whole = unscaled(value, schema.get("scale", 0))
            data = whole.to_bytes(schema.get("size", (whole.bit_length() + 8) // 8), "big", signed=True)
        else:
            data = bytes.fromhex(value["hex"])
        return data if kind == "fixed" else sized(data)
    return {"null": lambda v: b"", "boolean": lambda v: bytes([v]), "int": number, "long": number, "string": lambda v: sized(v.encode()),
            "float": lambda v: struct.pack("<f", v), "double": lambda v: struct.pack("<d", v)}[kind](value)


def framed(schema_id, schema, value):
    return b"\0" + struct.pack(">I", schema_id) + encode(schema, value)


def container(schema, records, codec="null", per_block=2):
    """An Avro file, per_block records to a block."""
    mark = bytes(range(16))
    meta = {"avro.schema": json.dumps(schema).encode(), "avro.codec": codec.encode()}
    out = b"Obj\x01" + number(len(meta)) + b"".join(sized(k.encode()) + sized(v) for k, v in meta.items()) + b"\0" + mark
    for at in range(0, len(records), per_block):
        block = records[at:at + per_block]
        data = b"".join(encode(schema, one) for one in block)
        if codec == "deflate":
            packer = zlib.compressobj(9, zlib.DEFLATED, -15)
            data = packer.compress(data) + packer.flush()
        out += number(len(block)) + sized(data) + mark
    return out
