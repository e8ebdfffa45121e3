#!/usr/bin/env python3
"""Scenes with one small shape somewhere on clutter: the images that Scenes-96 is trained, calibrated and judged on.

usage: scenes.py OUT.npz IMAGES SEED [--no-labels]

Writes `images` (uint8, N x 96 x 96 x 3) and `labels` (int64). Needs numpy only; the same seed gives the same images.
Seeds 1 and 2 are training and held-back images, 3 is meant for calibration.
"""
import math
import sys

import numpy as np

CLASSES = ["disc", "ring", "square", "frame", "triangle", "star", "cross", "bars", "crescent", "checker"]
SIDE = 96


def clutter(rng):
    """A ground that shades from corner to corner, with noise, lines and dots."""
    axis = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE * 2 - 1
    corners = rng.random((2, 2, 3), dtype=np.float32) * 0.4 + 0.3
    share = (axis + 1) / 2
    sides = corners[:, :1] * (1 - share)[None, :, None] + corners[:, 1:] * share[None, :, None]
    image = sides[0][None] * (1 - share)[:, None, None] + sides[1][None] * share[:, None, None]
    image = image + rng.normal(0, 0.05, (SIDE, SIDE, 3)).astype(np.float32)
    for _ in range(rng.integers(0, 3)):
        a, b, c = rng.normal(size=3)
        away = np.abs(a * axis[None] + b * axis[:, None] + c * 0.6) / math.hypot(a, b)
        image[away < rng.uniform(0.008, 0.02)] = rng.random(3)
    for _ in range(rng.integers(3, 9)):
        row, column = rng.integers(0, SIDE - 3, 2)
        image[row : row + rng.integers(1, 4), column : column + rng.integers(1, 4)] = rng.random(3)
    return image


def shape(kind, size, turn):
    """The mask of a shape of a radius in pixels, on a square just wide enough."""
    reach = math.ceil(size * 1.4)
    axis = np.arange(-reach, reach + 1) / size
    x, y = axis[None], axis[:, None]
    u, v = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    r, angle = np.hypot(u, v), np.arctan2(v, u)
    box = np.maximum(np.abs(u), np.abs(v))
    return {
        "disc": r < 0.9,
        "ring": (r < 0.95) & (r > 0.55),
        "square": box < 0.8,
        "frame": (box < 0.9) & (box > 0.5),
        "triangle": (v > -0.6) & (np.abs(u) < (0.9 - v) * 0.6),
        "star": r < 0.62 + 0.33 * np.cos(5 * angle),
        "cross": (box < 0.95) & (np.minimum(np.abs(u), np.abs(v)) < 0.28),
        "bars": (box < 0.9) & (np.mod(u * 1.7, 1) < 0.5),
        "crescent": (r < 0.95) & (np.hypot(u - 0.4, v) > 0.75),
        "checker": (box < 0.9) & ((np.floor(u * 1.7) + np.floor(v * 1.7)) % 2 == 0),
    }[kind]


def scene(rng, kind):
    """One image: clutter, and a shape of 6 to 11 pixels' radius anywhere on it."""
    image = clutter(rng)
    mask = shape(kind, rng.uniform(6, 11), rng.uniform(0, 2 * math.pi))
    side = len(mask)
    row, column = rng.integers(0, SIDE - side + 1, 2)
    there = image[row : row + side, column : column + side]
    away = rng.normal(size=3)
    color = there[mask].mean(0) + away / np.linalg.norm(away) * rng.uniform(0.1, 0.45)
    there[mask] = color + rng.normal(0, 0.05, (int(mask.sum()), 3))
    return np.clip(image * 255, 0, 255).astype(np.uint8)


def scenes(count, seed):
    """`count` images, classes in turn, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % len(CLASSES)
    images = np.stack([scene(rng, CLASSES[k]) for k in labels])
    return images, labels.astype(np.int64)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    drawn, kinds = scenes(int(sys.argv[2]), int(sys.argv[3]))
    arrays = {"images": drawn} if "--no-labels" in sys.argv else {"images": drawn, "labels": kinds}
    np.savez(sys.argv[1], **arrays)
