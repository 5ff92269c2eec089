"""Averages the weights of two checkpoints of one run: what the late steps of training lose of earlier tasks, the mean keeps.

    python3 average.py FIRST.pt SECOND.pt SHARE RUN

SHARE is the second one's, 0 to 1; RUN is the folder for the mean's checkpoint.pt, which export.py reads.
"""
import os
import sys
import torch


def main():
    first, second, share, run = torch.load(sys.argv[1]), torch.load(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    os.makedirs(run, exist_ok=True)
    for name, value in first["model"].items():
        if value.is_floating_point():
            first["model"][name] = (1 - share) * value + share * second["model"][name]
    torch.save(first, os.path.join(run, "checkpoint.pt"))


if __name__ == "__main__":
    main()
