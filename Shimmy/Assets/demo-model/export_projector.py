"""Writes a trained projector as llama.cpp's GGUF of kind `mlp`.

    python3 export_projector.py RUN ../shimmy-demo.mmproj.gguf
"""
import os
import sys
import numpy as np
import torch
from export import BOOL, F32, STRING, U32, array, entry, save
from projector import DEVIATION, EPSILON, MEAN, Projector


def write(projector, path):
    state = {k: v.float().numpy() for k, v in projector.state_dict().items()}
    width, layers = projector.positions.shape[1], len(projector.layers)
    meta = [entry("general.architecture", STRING, "clip"), entry("general.type", STRING, "mmproj"), entry("general.name", STRING, "shimmy-demo"),
            entry("general.license", STRING, "MIT"), entry("general.organization", STRING, "Shimmy"), entry("general.file_type", U32, 7), entry("general.quantization_version", U32, 2),
            entry("clip.has_vision_encoder", BOOL, True), entry("clip.projector_type", STRING, "mlp"), entry("clip.use_gelu", BOOL, False),
            entry("clip.vision.image_size", U32, projector.side), entry("clip.vision.patch_size", U32, projector.patch), entry("clip.vision.embedding_length", U32, width),
            entry("clip.vision.feed_forward_length", U32, projector.layers[0].up.out_features), entry("clip.vision.block_count", U32, layers + 1),
            entry("clip.vision.projection_dim", U32, projector.mm2.out_features), entry("clip.vision.attention.head_count", U32, projector.heads),
            entry("clip.vision.attention.layer_norm_epsilon", F32, EPSILON), array("clip.vision.image_mean", F32, [MEAN] * 3), array("clip.vision.image_std", F32, [DEVIATION] * 3)]
    tensors = [("v.class_embd", state["extra"]), ("v.patch_embd.weight", state["patches.weight"]), ("v.position_embd.weight", state["positions"])]
    pair = lambda name, own: [(f"{name}.weight", state[f"{own}.weight"]), (f"{name}.bias", state[f"{own}.bias"])]
    tensors += pair("v.pre_ln", "before") + pair("v.post_ln", "after")
    names = [("ln1", "ln1"), ("ln2", "ln2"), ("attn_q", "q"), ("attn_k", "k"), ("attn_v", "v"), ("attn_out", "out"), ("ffn_up", "up"), ("ffn_down", "down")]
    for i in range(layers):
        for name, own in names:
            tensors += pair(f"v.blk.{i}.{name}", f"layers.{i}.{own}")
    # The layer that is never computed, but must be there.
    tensors += [(name.replace(f"v.blk.{layers - 1}.", f"v.blk.{layers}."), np.zeros_like(value)) for name, value in tensors if name.startswith(f"v.blk.{layers - 1}.")]
    return save(path, meta, tensors + pair("mm.0", "mm0") + pair("mm.2", "mm2"))


if __name__ == "__main__":
    projector = Projector()
    projector.load_state_dict(torch.load(os.path.join(sys.argv[1], "projector.pt"), map_location="cpu")["projector"])
    print(write(projector, sys.argv[2]), "bytes")
