"""Writes a trained checkpoint as GGUF: matrices as Q8_0, norms as F32, the vocabulary and the chat template beside them.

    python3 export.py RUN shimmy-demo.gguf
"""
import os
import struct
import sys
import numpy as np
import torch
from model import Shape
from tokenizer import END_OF_TEXT, TURN_END, Tokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
U32, F32, BOOL, STRING, ARRAY, I32 = 4, 6, 7, 8, 9, 5       # GGUF's value types
TENSOR_F32, TENSOR_Q8_0 = 0, 8                               # ggml's tensor types
ALIGNMENT = 32


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def pack(kind, value):
    if kind == STRING:
        return text(value)
    return struct.pack({U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}[kind], value)


def entry(key, kind, value):
    return text(key) + struct.pack("<I", kind) + pack(kind, value)


def array(key, kind, values):
    return text(key) + struct.pack("<IIQ", ARRAY, kind, len(values)) + b"".join(pack(kind, v) for v in values)


def q8_0(matrix):
    """Blocks of 32 weights: a half-precision scale, then the weights as signed bytes."""
    blocks = matrix.reshape(-1, 32)
    scale = (np.abs(blocks).max(1, keepdims=True) / 127).astype(np.float32)
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    data = np.zeros(len(blocks), dtype=[("scale", "<f2"), ("weights", "i1", 32)])
    data["scale"], data["weights"] = scale[:, 0], np.rint(blocks * inverse)
    return data.tobytes()


def neighbours(weight, heads):
    """From rotary halves, as the training has them, to llama.cpp's neighbouring pairs."""
    rows, width = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, width).swapaxes(1, 2).reshape(rows, width)


def save(path, meta, tensors):
    """The GGUF file; tensors are (name, floats): matrices whose rows are whole blocks become Q8_0 (positions are only added), all else F32."""
    infos, data = b"", b""
    for name, value in tensors:
        value = np.ascontiguousarray(value, dtype=np.float32)
        small = value.ndim == 2 and value.shape[1] % 32 == 0 and name.endswith(".weight") and "position" not in name
        kind, raw = (TENSOR_Q8_0, q8_0(value)) if small else (TENSOR_F32, value.tobytes())
        infos += text(name) + struct.pack("<I", value.ndim) + b"".join(struct.pack("<Q", d) for d in reversed(value.shape)) + struct.pack("<IQ", kind, len(data))
        data += raw + b"\0" * (-len(raw) % ALIGNMENT)
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(meta)) + b"".join(meta) + infos
    with open(path, "wb") as file:
        file.write(head + b"\0" * (-len(head) % ALIGNMENT) + data)
    return os.path.getsize(path)


def write(state, tokenizer, template, path):
    s = Shape(len(tokenizer.pieces))
    meta = [entry("general.architecture", STRING, "llama"), entry("general.name", STRING, "shimmy-demo"), entry("general.basename", STRING, "shimmy-demo"),
            entry("general.type", STRING, "model"), entry("general.size_label", STRING, "3M"), entry("general.license", STRING, "MIT"), entry("general.organization", STRING, "Shimmy"),
            entry("general.description", STRING, "A tiny demo model of Shimmy's own, trained on text that a script generated."),
            entry("general.file_type", U32, 7), entry("general.quantization_version", U32, 2),
            entry("general.sampling.temp", F32, 0.3), entry("general.sampling.top_k", I32, 20), entry("general.sampling.top_p", F32, 0.9), entry("general.sampling.penalty_repeat", F32, 1.0),
            entry("llama.vocab_size", U32, s.vocabulary), entry("llama.context_length", U32, s.context), entry("llama.embedding_length", U32, s.width),
            entry("llama.block_count", U32, s.layers), entry("llama.feed_forward_length", U32, s.hidden), entry("llama.attention.head_count", U32, s.heads),
            entry("llama.attention.head_count_kv", U32, s.kv_heads), entry("llama.attention.layer_norm_rms_epsilon", F32, s.epsilon),
            entry("llama.rope.dimension_count", U32, s.width // s.heads), entry("llama.rope.freq_base", F32, s.rope_base),
            entry("tokenizer.ggml.model", STRING, "llama"), entry("tokenizer.ggml.pre", STRING, "default"),
            array("tokenizer.ggml.tokens", STRING, [p[0] for p in tokenizer.pieces]), array("tokenizer.ggml.scores", F32, [p[1] for p in tokenizer.pieces]),
            array("tokenizer.ggml.token_type", I32, [p[2] for p in tokenizer.pieces]),
            entry("tokenizer.ggml.unknown_token_id", U32, 0), entry("tokenizer.ggml.bos_token_id", U32, END_OF_TEXT), entry("tokenizer.ggml.eos_token_id", U32, TURN_END),
            entry("tokenizer.ggml.eot_token_id", U32, TURN_END), entry("tokenizer.ggml.padding_token_id", U32, END_OF_TEXT),
            entry("tokenizer.ggml.add_bos_token", BOOL, False), entry("tokenizer.ggml.add_eos_token", BOOL, False), entry("tokenizer.ggml.add_space_prefix", BOOL, False),
            entry("tokenizer.chat_template", STRING, template)]

    tensors = [("token_embd.weight", state["embedding.weight"]), ("output_norm.weight", state["norm.weight"])]
    for i in range(s.layers):
        block = lambda name: state[f"blocks.{i}.{name}.weight"]
        tensors += [(f"blk.{i}.attn_norm.weight", block("attention_norm")), (f"blk.{i}.attn_q.weight", neighbours(block("q"), s.heads)), (f"blk.{i}.attn_k.weight", neighbours(block("k"), s.kv_heads)),
                    (f"blk.{i}.attn_v.weight", block("v")), (f"blk.{i}.attn_output.weight", block("o")), (f"blk.{i}.ffn_norm.weight", block("feed_norm")),
                    (f"blk.{i}.ffn_gate.weight", block("gate")), (f"blk.{i}.ffn_up.weight", block("up")), (f"blk.{i}.ffn_down.weight", block("down"))]

    return save(path, meta, tensors)


if __name__ == "__main__":
    state = {k: v.float().numpy() for k, v in torch.load(os.path.join(sys.argv[1], "checkpoint.pt"), map_location="cpu")["model"].items()}
    with open(os.path.join(HERE, "chat_template.jinja"), encoding="utf-8") as file:
        template = file.read()
    print(write(state, Tokenizer.load(os.path.join(HERE, "vocabulary.json")), template, sys.argv[2]), "bytes")
