"""Writes the demo model as a Hugging Face folder, from its GGUF: config.json, tokenizer.json, model.safetensors.

    python3 export_folder.py ../shimmy-demo.gguf FOLDER

Needs nothing but Python. The weights are those of the GGUF as F32, bit for bit; with --convert-type q8_0 they become its blocks again.
"""
import array
import json
import os
import struct
import sys

VALUES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY, Q8_0 = 8, 9, 8
NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = 1, 2, 3, 4, 5, 6    # llama.cpp's kinds of tokens
NAMES = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
         "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}


class Gguf:
    """Metadata and tensors of a GGUF file."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        self.at = 8
        tensors, keys = self.number("Q"), self.number("Q")
        self.keys = {}
        for _ in range(keys):
            name = self.text()
            self.keys[name] = self.value(self.number("I"))
        infos = []
        for _ in range(tensors):
            name = self.text()
            shape = [self.number("Q") for _ in range(self.number("I"))]
            infos.append((name, shape[::-1], self.number("I"), self.number("Q")))
        start = (self.at + 31) // 32 * 32
        self.tensors = {name: (shape, self.floats(shape, kind, start + offset)) for name, shape, kind, offset in infos}

    def number(self, kind):
        value = struct.unpack_from("<" + kind, self.data, self.at)[0]
        self.at += struct.calcsize(kind)
        return value

    def text(self):
        length = self.number("Q")
        self.at += length
        return self.data[self.at - length:self.at].decode()

    def value(self, kind):
        if kind == STRING:
            return self.text()
        if kind == ARRAY:
            element, count = self.number("I"), self.number("Q")
            return [self.value(element) for _ in range(count)]
        return self.number(VALUES[kind])

    def floats(self, shape, kind, at):
        count = 1
        for dimension in shape:
            count *= dimension
        if kind != Q8_0:
            return array.array("f", self.data[at:at + 4 * count])
        values = array.array("f")
        for block in range(at, at + count // 32 * 34, 34):
            scale = struct.unpack_from("<e", self.data, block)[0]
            values.extend(scale * weight for weight in struct.unpack_from("<32b", self.data, block + 2))
        return values


def halves(values, rows, width, heads):
    """From llama.cpp's neighbouring pairs back to rotary halves."""
    per_head = rows // heads
    out = array.array("f", bytes(4 * rows * width))
    for row in range(rows):
        head, within = divmod(row, per_head)
        target = head * per_head + within % 2 * (per_head // 2) + within // 2
        out[target * width:(target + 1) * width] = values[row * width:(row + 1) * width]
    return out


def tokenizer(keys):
    """The pieces as BPE: every pair of pieces that makes a third is a merge, the best score first."""
    tokens, scores, kinds = (keys["tokenizer.ggml." + name] for name in ("tokens", "scores", "token_type"))
    pieces = {token: score for token, score, kind in zip(tokens, scores, kinds) if kind == NORMAL}
    merges = []
    for token, score in pieces.items():
        for cut in range(1, len(token)):
            if token[:cut] in pieces and token[cut:] in pieces:
                merges.append((-score, f"{token[:cut]} {token[cut:]}"))
    merges.sort(key=lambda merge: merge[0])
    added = [{"id": id, "content": token, "special": kind != USER} for id, (token, kind) in enumerate(zip(tokens, kinds)) if kind in (UNKNOWN, CONTROL, USER)]
    return {"added_tokens": added, "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}, "pre_tokenizer": None,
            "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]},
            "model": {"type": "BPE", "byte_fallback": True, "unk_token": tokens[0],
                      "vocab": {token: id for id, (token, kind) in enumerate(zip(tokens, kinds)) if kind in (NORMAL, UNKNOWN, BYTE)}, "merges": [merge for _, merge in merges]}}


def write(gguf, folder):
    os.makedirs(folder, exist_ok=True)
    keys = gguf.keys
    llama = lambda name: keys["llama." + name]
    heads, kv_heads = llama("attention.head_count"), llama("attention.head_count_kv")
    token = lambda name: keys["tokenizer.ggml.tokens"][keys[f"tokenizer.ggml.{name}_token_id"]]
    files = {
        "config.json": {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": llama("embedding_length"), "intermediate_size": llama("feed_forward_length"),
                        "num_hidden_layers": llama("block_count"), "num_attention_heads": heads, "num_key_value_heads": kv_heads, "max_position_embeddings": llama("context_length"),
                        "rms_norm_eps": llama("attention.layer_norm_rms_epsilon"), "rope_theta": llama("rope.freq_base"), "vocab_size": llama("vocab_size"),
                        "tie_word_embeddings": True, "torch_dtype": "float32", "hidden_act": "silu",
                        "bos_token_id": keys["tokenizer.ggml.bos_token_id"], "eos_token_id": keys["tokenizer.ggml.eos_token_id"], "pad_token_id": keys["tokenizer.ggml.padding_token_id"]},
        "tokenizer_config.json": {"bos_token": token("bos"), "eos_token": token("eos"), "unk_token": token("unknown"), "pad_token": token("padding"), "add_bos_token": False,
                                  "add_eos_token": False, "add_prefix_space": False, "chat_template": keys["tokenizer.chat_template"]},
        "generation_config.json": {"temperature": round(keys["general.sampling.temp"], 6), "top_k": keys["general.sampling.top_k"], "top_p": round(keys["general.sampling.top_p"], 6),
                                   "repetition_penalty": keys["general.sampling.penalty_repeat"], "eos_token_id": keys["tokenizer.ggml.eos_token_id"]},
        "tokenizer.json": tokenizer(keys),
    }
    for name, value in files.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            json.dump(value, file, ensure_ascii=False, indent=1)

    header, data = {}, bytearray()
    for name, (shape, values) in gguf.tensors.items():
        parts = name.split(".")
        target = {"token_embd": "model.embed_tokens.weight", "output_norm": "model.norm.weight"}.get(parts[0]) or f"model.layers.{parts[1]}.{NAMES[parts[2]]}.weight"
        if parts[-2] in ("attn_q", "attn_k"):
            values = halves(values, *shape, heads if parts[-2] == "attn_q" else kv_heads)
        header[target] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + 4 * len(values)]}
        data += values.tobytes()
    text = json.dumps(header).encode()
    with open(os.path.join(folder, "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


if __name__ == "__main__":
    write(Gguf(sys.argv[1]), sys.argv[2])
