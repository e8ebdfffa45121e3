#!/usr/bin/env python3
"""Sequences of frames with known truth: objects that move over a still, textured ground.

usage: video_scenes.py OUT [--frames N] [--size WxH] [--changed SHARE] [--objects N] [--noise LEVELS] [--drift LEVELS]
                       [--shake PIXELS] [--cuts FRAME,FRAME,...] [--pause SHARE] [--restless] [--seed N]
                       [--background FILE] [--sprites FOLDER] [--tile HxW]

OUT.npz gets `images` (uint8, N x H x W x 3) and the truth: `boxes` (N x objects x 4: left, top, width, height in pixels; zeros where an object
is not), `changed` (N x rows x columns of tiles: where the ground truth, without noise and drift, differs from the frame before). Any other OUT
is a folder for PNGs in order of name, with OUT_truth.npz beside it. The same seed gives the same frames.

  --changed   about so much of the frame changes from one frame to the next: sizes of objects follow from it (0.08)
  --noise     standard deviation of the sensor's noise, in levels of 0..255
  --drift     light drifts by so many levels and back over the sequence
  --shake     the camera moves by up to so many pixels every frame
  --cuts      at these frames another scene begins
  --pause     in this share of the frames nothing moves
  --restless  everything changes in every frame
  --background, --sprites   an image, and a folder of images (a fourth channel is what is opaque): for models that have to find something.
              They need Pillow; all else needs numpy only.
"""
import argparse
import math
import pathlib
import struct
import zlib

import numpy as np


def smooth(rng, height, width, cell):
    """Noise that changes over `cell` pixels, from 0 to 1: height x width x 3."""
    rows, columns = -(-height // cell) + 2, -(-width // cell) + 2
    grid = rng.random((rows, columns, 3), dtype=np.float32)

    def along(values, axis, length):
        at = np.arange(length, dtype=np.float32) / cell
        low = at.astype(int)
        share = (at - low).reshape([-1 if a == axis else 1 for a in range(3)])
        return np.take(values, low, axis) * (1 - share) + np.take(values, low + 1, axis) * share

    return along(along(grid, 0, height), 1, width)


def ground(rng, height, width):
    """A still ground: shades, texture of several sizes, and a few hard edges."""
    image = 0.5 * smooth(rng, height, width, max(height // 3, 2)) + 0.3 * smooth(rng, height, width, 12)
    image += 0.2 * rng.random((height, width, 3), dtype=np.float32)
    for _ in range(6):
        top, left = rng.integers(height), rng.integers(width)
        image[top : top + rng.integers(4, height // 2 + 5), left : left + rng.integers(4, width // 2 + 5)] *= rng.uniform(0.6, 1.2)
    return np.clip(image * 255, 0, 255)


def disc(rng, side):
    """A textured disc with its mask."""
    axis = (np.arange(side, dtype=np.float32) + 0.5) / side * 2 - 1
    mask = (axis[:, None] ** 2 + axis[None] ** 2 <= 1).astype(np.float32)[..., None]
    color = rng.random(3, dtype=np.float32) * 255
    return np.clip(color + 80 * (smooth(rng, side, side, 5) - 0.5), 0, 255), mask


def loaded(path, side=None, size=None):
    """An image of a file and what of it is opaque, with its longer side or both sides as given."""
    from PIL import Image

    with Image.open(path) as file:
        image = file.convert("RGBA")
    if size is None:
        scale = side / max(image.size)
        size = [max(round(s * scale), 1) for s in image.size]
    pixels = np.asarray(image.resize(size), np.float32)
    return pixels[..., :3], pixels[..., 3:] / 255


class Scene:
    """A ground and objects on their way over it."""

    def __init__(self, rng, args, height, width):
        self.margin = math.ceil(args.shake)
        tall, wide = height + 2 * self.margin, width + 2 * self.margin
        self.ground = loaded(args.background, size=(wide, tall))[0] if args.background else ground(rng, tall, wide)
        # What an object leaves and what it enters changes: about its own place, once and a little more.
        side = math.sqrt(args.changed * height * width / max(args.objects, 1) / 1.2)
        side = int(np.clip(side, 4, 0.9 * min(height, width)))
        files = sorted(p for p in pathlib.Path(args.sprites).iterdir() if p.is_file()) if args.sprites else []
        picked = [files[k] for k in rng.permutation(len(files))[: args.objects]]
        self.sprites = [loaded(p, side) for p in picked] or [disc(rng, side) for _ in range(args.objects)]
        sizes = np.array([s.shape[:2] for s, _ in self.sprites], float).reshape(-1, 2)
        self.room = np.maximum(np.array([tall, wide]) - sizes, 1)
        self.place = rng.random(sizes.shape) * self.room
        angle = rng.uniform(0, 2 * math.pi, len(sizes))
        self.step = np.stack([np.sin(angle), np.cos(angle)], 1) * rng.uniform(1.5, 4, (len(sizes), 1))

    def move(self):
        """One frame further; objects turn back at the edges."""
        self.place += self.step
        out = (self.place < 0) | (self.place > self.room)
        self.step[out] *= -1
        self.place = np.clip(self.place, 0, self.room)

    def picture(self, shift, height, width):
        """The frame that a camera sees which is `shift` pixels off, and the boxes of the objects in it."""
        image = self.ground.copy()
        boxes = []
        for (pixels, mask), (top, left) in zip(self.sprites, np.rint(self.place).astype(int)):
            rows, columns = pixels.shape[:2]
            where = image[top : top + rows, left : left + columns]
            mask = mask[: where.shape[0], : where.shape[1]]
            where += (pixels[: where.shape[0], : where.shape[1]] - where) * mask
            boxes.append((left, top, columns, rows))
        down, right = self.margin + shift[0], self.margin + shift[1]
        seen = image[down : down + height, right : right + width]
        return seen, [cropped(box, right, down, width, height) for box in boxes]


def cropped(box, right, down, width, height):
    """A box in the frame; zeros where nothing of it is seen."""
    left, top = box[0] - right, box[1] - down
    low = max(left, 0), max(top, 0)
    size = min(left + box[2], width) - low[0], min(top + box[3], height) - low[1]
    return (*low, *size) if min(size) > 0 else (0, 0, 0, 0)


def tiles_that_differ(before, after, tile):
    """For each tile whether two frames differ in it; tiles at the far edges may be smaller."""
    away = np.abs(after - before).max(axis=2) > 0.5
    rows, columns = (range(0, side, step) for side, step in zip(away.shape, tile))
    return np.array([[away[r : r + tile[0], c : c + tile[1]].any() for c in columns] for r in rows])


def sequence(args):
    """The frames, boxes and changed tiles, one after the other."""
    rng = np.random.default_rng(args.seed)
    width, height = args.size
    scene, before = Scene(rng, args, height, width), None
    for k in range(args.frames):
        if args.restless or k in args.cuts:
            scene = Scene(rng, args, height, width)
        elif k and rng.random() >= args.pause:
            scene.move()
        shift = rng.integers(-args.shake, args.shake + 1, 2) if args.shake else (0, 0)
        seen, boxes = scene.picture(shift, height, width)
        changed = tiles_that_differ(seen if before is None else before, seen, args.tile) | (before is None)
        before = seen
        light = args.drift * math.sin(2 * math.pi * k / max(args.frames, 1))
        noise = rng.normal(0, args.noise, seen.shape) if args.noise else 0
        yield np.clip(np.rint(seen + light + noise), 0, 255).astype(np.uint8), boxes, changed


def png(path, image):
    """Writes an image."""
    height, width, _ = image.shape
    lines = np.concatenate([np.zeros((height, 1), np.uint8), image.reshape(height, -1)], 1).tobytes()

    def part(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", zlib.compress(lines, 1)) + part(b"IEND", b""))


def pair(text):
    a, b = (int(n) for n in text.lower().split("x"))
    return a, b


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--size", type=pair, default=(320, 240))
    parser.add_argument("--changed", type=float, default=0.08)
    parser.add_argument("--objects", type=int, default=2)
    for flag in ("noise", "drift", "pause"):
        parser.add_argument(f"--{flag}", type=float, default=0.0)
    parser.add_argument("--shake", type=int, default=0)
    parser.add_argument("--cuts", type=lambda text: {int(n) for n in text.split(",")}, default=set())
    parser.add_argument("--restless", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--background")
    parser.add_argument("--sprites")
    parser.add_argument("--tile", type=pair, default=(16, 16))
    args = parser.parse_args()
    frames, boxes, changed = zip(*sequence(args))
    truth = {"boxes": np.array(boxes, np.int32).reshape(len(frames), -1, 4), "changed": np.array(changed)}
    if args.out.suffix == ".npz":
        np.savez_compressed(args.out, images=np.stack(frames), **truth)
    else:
        args.out.mkdir(parents=True, exist_ok=True)
        for k, frame in enumerate(frames):
            png(args.out / f"{k:06}.png", frame)
        np.savez_compressed(args.out.with_name(f"{args.out.name}_truth.npz"), **truth)
    share = truth["changed"][1:].mean() if len(frames) > 1 else 0.0
    print(f"{len(frames)} frames, {100 * share:.1f} % of the tiles changed from frame to frame")


if __name__ == "__main__":
    main()
