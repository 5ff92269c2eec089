"""The projector: what turns a picture into embeddings that the demo model reads as if they were tokens. llama.cpp's kind `mlp`: a vision
transformer (CLIP's form: patches, a class token, layers with norms before them), then two matrices into the model's width.

llama.cpp computes this kind in its own way, and training does as it does: the last layer of a file is left out (export_projector.py writes one
more), the class token stands behind the patches, and the first row is the one that is dropped.
"""
import math
import struct
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from model import Model, Shape

SIDE, PATCH = 96, 16
TOKENS = (SIDE // PATCH) ** 2
MEAN, DEVIATION = 0.5, 0.25
EPSILON = 1e-5


def cut(pictures, patch):
    """The patches of pictures (batch, side, side, 3) as rows of values: (batch, patches, 3 * patch * patch)."""
    b, side, _, _ = pictures.shape
    x = ((pictures / 255 - MEAN) / DEVIATION).view(b, side // patch, patch, side // patch, patch, 3)
    return x.permute(0, 1, 3, 5, 2, 4).reshape(b, (side // patch) ** 2, 3 * patch * patch)


class Layer(nn.Module):
    def __init__(self, width, heads, hidden):
        super().__init__()
        self.heads = heads
        self.ln1, self.ln2 = nn.LayerNorm(width, EPSILON), nn.LayerNorm(width, EPSILON)
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x):
        b, t, w = x.shape
        # One product for the three: cheaper than three.
        h = F.linear(self.ln1(x), torch.cat((self.q.weight, self.k.weight, self.v.weight)), torch.cat((self.q.bias, self.k.bias, self.v.bias)))
        q, k, v = h.view(b, t, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        mixed = torch.softmax(q @ k.transpose(-1, -2) / (w // self.heads) ** 0.5, -1) @ v
        x = x + self.out(mixed.transpose(1, 2).reshape(b, t, w))
        h = self.up(self.ln2(x))
        return x + self.down(h * torch.sigmoid(1.702 * h))                 # CLIP's quick GELU


class Projector(nn.Module):
    def __init__(self, width=128, layers=4, heads=4, hidden=256, middle=384, out=256, side=SIDE, patch=PATCH):
        super().__init__()
        self.side, self.patch, self.heads = side, patch, heads
        self.patches = nn.Conv2d(3, width, patch, patch, bias=False)
        self.extra = nn.Parameter(torch.zeros(width))
        self.positions = nn.Parameter(torch.randn((side // patch) ** 2 + 1, width) * 0.02)
        self.before, self.after = nn.LayerNorm(width, EPSILON), nn.LayerNorm(width, EPSILON)
        self.layers = nn.ModuleList(Layer(width, heads, hidden) for _ in range(layers))
        self.mm0, self.mm2 = nn.Linear(width, middle), nn.Linear(middle, out)

    def forward(self, pictures):
        """Pictures (batch, side, side, 3) from 0 to 255; embeddings (batch, patches, out)."""
        x = F.linear(cut(pictures, self.patch), self.patches.weight.flatten(1))
        x = torch.cat((x, self.extra.expand(len(x), 1, -1)), 1) + self.positions
        x = self.before(x)
        for layer in self.layers:
            x = layer(x)
        return self.mm2(F.gelu(self.mm0(self.after(x)[:, 1:]), approximate="tanh"))


@torch.no_grad()
def prepare(projector, pictures, code=32, peak=1.2):
    """A better beginning than chance: patches as their principal components, whitened; positions as waves, of which the heads of the first two
    layers make a look at one neighbour each, as a convolution has it. Training may change all of it."""
    width, grid = projector.extra.numel(), projector.side // projector.patch
    rows = cut(pictures, projector.patch).flatten(0, 1)
    mean = rows.mean(0)
    values, vectors = torch.linalg.eigh((rows - mean).t() @ (rows - mean) / len(rows))
    values, vectors = values.flip(0)[:width - code], vectors.flip(1)[:, :width - code]
    kernel = torch.zeros(width, rows.shape[1])
    kernel[:width - code] = (vectors / (values + 0.02 * values[0]).sqrt()).t()
    waves = torch.arange(1, code // 4 + 1) * (math.pi / 4)
    along = torch.outer(torch.arange(grid).float(), waves)
    one = torch.cat((along.cos(), along.sin()), 1)
    projector.patches.weight.copy_(kernel.view_as(projector.patches.weight))
    projector.positions.zero_()
    projector.positions[:-1, width - code:] = torch.cat((one[:, None].expand(-1, grid, -1), one[None].expand(grid, -1, -1)), 2).reshape(grid * grid, code)
    projector.positions[:-1, :width - code] = -(kernel @ mean)[:width - code]
    projector.positions[-1].normal_()
    steps = [[(0, -1), (0, 1), (-1, 0), (1, 0)], [(-1, -1), (-1, 1), (1, -1), (1, 1)]]
    size = width // projector.heads
    for layer, offsets in zip(projector.layers, steps):
        layer.q.weight.mul_(0.1), layer.k.weight.mul_(0.1)
        for head, offset in enumerate(offsets):
            n = code // 4
            turn = torch.zeros(code, code)
            for axis, step in enumerate(offset):
                for i in range(n):
                    c, s, at = math.cos(float(waves[i]) * step), math.sin(float(waves[i]) * step), axis * 2 * n + i
                    turn[at, at], turn[at, at + n], turn[at + n, at], turn[at + n, at + n] = c, -s, s, c
            layer.q.weight[head * size:head * size + code, width - code:] = turn * peak * size ** 0.5
            layer.k.weight[head * size:head * size + code, width - code:] = torch.eye(code)


def tensors_of(path):
    """All tensors of a GGUF file as float arrays, by name."""
    with open(path, "rb") as file:
        data = file.read()
    at = 0

    def read(form):
        nonlocal at
        value = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return value[0]

    def text():
        nonlocal at
        n = read("Q")
        at += n
        return data[at - n:at].decode("utf-8", "replace")

    def value(kind):
        if kind == 8:
            return text()
        if kind == 9:
            kind = read("I")
            return [value(kind) for _ in range(read("Q"))]
        return read({0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}[kind])

    read("I"), read("I")
    count, keys = read("Q"), read("Q")
    meta = {}
    for _ in range(keys):
        key = text()
        meta[key] = value(read("I"))
    infos = [(text(), [read("Q") for _ in range(read("I"))], read("I"), read("Q")) for _ in range(count)]
    start = (at + 31) // 32 * 32
    found = {}
    for name, dims, kind, offset in infos:
        n = int(np.prod(dims))
        if kind == 0:
            flat = np.frombuffer(data, "<f4", n, start + offset)
        elif kind == 1:
            flat = np.frombuffer(data, "<f2", n, start + offset).astype(np.float32)
        else:
            blocks = np.frombuffer(data, [("scale", "<f2"), ("weights", "i1", 32)], n // 32, start + offset)
            flat = (blocks["scale"].astype(np.float32)[:, None] * blocks["weights"]).reshape(-1)
        found[name] = flat.reshape(list(reversed(dims)))
    return found, meta


def language_model(path):
    """The demo model from its file, as it is: nothing of it is trained again."""
    tensors, meta = tensors_of(path)
    model = Model(Shape(meta["llama.vocab_size"]))
    s = model.shape

    def halves(weight, heads):
        rows, width = weight.shape
        return weight.reshape(heads, rows // heads // 2, 2, width).swapaxes(1, 2).reshape(rows, width)

    state = {"embedding.weight": tensors["token_embd.weight"], "norm.weight": tensors["output_norm.weight"]}
    for i in range(s.layers):
        block = lambda name: tensors[f"blk.{i}.{name}.weight"]
        state |= {f"blocks.{i}.attention_norm.weight": block("attn_norm"), f"blocks.{i}.q.weight": halves(block("attn_q"), s.heads), f"blocks.{i}.k.weight": halves(block("attn_k"), s.kv_heads),
                  f"blocks.{i}.v.weight": block("attn_v"), f"blocks.{i}.o.weight": block("attn_output"), f"blocks.{i}.feed_norm.weight": block("ffn_norm"),
                  f"blocks.{i}.gate.weight": block("ffn_gate"), f"blocks.{i}.up.weight": block("ffn_up"), f"blocks.{i}.down.weight": block("ffn_down")}
    model.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in state.items()})
    for p in model.parameters():
        p.requires_grad_(False)
    return model
