"""The numbers that unit tests of `src/task` and `src/score/loss` hold theirs against, from pycocotools, scikit-learn and NumPy.

    pip install numpy pycocotools scikit-learn scipy
    python tests/python/task_numbers.py

Inputs come from a generator that both sides have, so only the results stand in the Rust tests.
"""

from __future__ import annotations

import contextlib
import io

import numpy as np


class Draws:
    """The generator of `src/task/draws.rs`: a linear congruential one."""

    def __init__(self, seed: int) -> None:
        self.state = seed

    def below(self, n: int) -> int:
        self.state = (self.state * 1103515245 + 12345) % (1 << 31)
        return (self.state >> 8) % n


def scene(seed: int, images: int):
    """What is there, and what was found: (image, class, x1, y1, x2, y2, crowd) and (image, class, x1, y1, x2, y2, score)."""
    draw = Draws(seed)
    there, found = [], []
    for image in range(images):
        for _ in range(draw.below(5)):
            cls, x, y = draw.below(3), draw.below(300), draw.below(300)
            w, h = 10 + draw.below(120), 10 + draw.below(120)
            crowd = draw.below(12) == 0
            there.append((image, cls, x, y, x + w, y + h, crowd))
            for _ in range(draw.below(3)):
                dx, dy, dw, dh = (draw.below(17) - 8 for _ in range(4))
                other = draw.below(3) if draw.below(6) == 0 else cls
                score = (1 + draw.below(999)) / 1000
                found.append((image, other, x + dx, y + dy, x + dx + max(w + dw, 4), y + dy + max(h + dh, 4), score))
        for _ in range(draw.below(3)):
            cls, x, y, w, h = draw.below(3), draw.below(300), draw.below(300), 10 + draw.below(90), 10 + draw.below(90)
            found.append((image, cls, x, y, x + w, y + h, (1 + draw.below(600)) / 1000))
    return there, found


def coco_map(there, found, images: int) -> tuple[float, float]:
    """mAP50 and mAP50-95 by pycocotools."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": i + 1} for i in range(images)],
            "categories": [{"id": c + 1} for c in sorted({t[1] for t in there} | {f[1] for f in found})],
            "annotations": [
                {
                    "id": k + 1, "image_id": i + 1, "category_id": c + 1, "iscrowd": int(crowd),
                    "bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1),
                }
                for k, (i, c, x1, y1, x2, y2, crowd) in enumerate(there)
            ],
        }  # fmt: skip
        truth.createIndex()
        results = truth.loadRes(
            [
                {"image_id": i + 1, "category_id": c + 1, "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score}
                for i, c, x1, y1, x2, y2, score in found
            ]
        )
        judge = COCOeval(truth, results, "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return float(judge.stats[1]), float(judge.stats[0])


def strings() -> tuple[list[list[int]], list[list[int]]]:
    """Strings, and others that some edits lead to."""
    draw = Draws(11)
    there, found = [], []
    for _ in range(30):
        own = [1 + draw.below(6) for _ in range(1 + draw.below(12))]
        other = []
        for letter in own:
            die = draw.below(8)
            if die == 0:
                continue
            other.append(1 + draw.below(6) if die == 1 else letter)
            if die == 2:
                other.append(1 + draw.below(6))
        there.append(own)
        found.append(other)
    return there, found


def edits(a: list[int], b: list[int]) -> int:
    """Edits from one string to another, by the whole table (Wagner and Fischer, 1974)."""
    table = np.zeros((len(a) + 1, len(b) + 1), int)
    table[:, 0], table[0] = range(len(a) + 1), range(len(b) + 1)
    for i, x in enumerate(a, 1):
        for j, y in enumerate(b, 1):
            table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (x != y))
    return int(table[-1, -1])


def places() -> tuple[float, float]:
    """How far scores (over the energy of the first ones) and boxes (by the square of the best score) of places are from others."""
    draw = Draws(17)
    scores = np.array([[draw.below(1000) / 1000 for _ in range(2 * 3)] for _ in range(40)]).reshape(40, 2, 3)
    corners = []
    for _ in range(40):
        x, y, w, h = draw.below(300), draw.below(300), 10 + draw.below(90), 10 + draw.below(90)
        moved = [draw.below(33) - 16 for _ in range(4)]
        corners.append(([x, y, x + w, y + h], [x + moved[0], y + moved[1], x + w + moved[2], y + h + moved[3]]))
    own, other = (np.array([c[k] for c in corners], float) for k in (0, 1))
    a, b = scores[:, 0], scores[:, 1]
    size = np.stack([own[:, 2] - own[:, 0], own[:, 3] - own[:, 1]] * 2, axis=1)
    error = np.minimum(np.mean(((own - other) / size) ** 2, axis=1) / 0.25, 1)
    return float(np.sum((a - b) ** 2) / np.sum(a**2)), float(np.average(error, weights=a.max(axis=1) ** 2 + 1e-5))


def main() -> None:
    for seed, images in [(1, 12), (7, 40), (23, 5)]:
        there, found = scene(seed, images)
        at_50, all_of_them = coco_map(there, found, images)
        print(f"mAP, seed {seed}, {images} images: {at_50:.10f} {all_of_them:.10f}")

    from scipy.stats import entropy
    from sklearn.metrics import jaccard_score, r2_score
    from sklearn.metrics.pairwise import cosine_similarity

    draw = Draws(5)
    a = np.array([draw.below(4) for _ in range(600)])
    b = np.array([draw.below(4) if draw.below(3) == 0 else c for c in a])
    print(f"mIoU: {jaccard_score(a, b, average='macro'):.10f}")

    draw = Draws(9)
    x = np.array([draw.below(1000) / 500 - 1 for _ in range(40)]).reshape(8, 5)
    y = x + np.array([draw.below(1000) / 1000 - 0.5 for _ in range(40)]).reshape(8, 5)
    print(f"cosine: {np.mean(np.diag(cosine_similarity(x, y))):.10f}")
    near = lambda v: np.argmax(cosine_similarity(v) - 4 * np.eye(len(v)), axis=1)  # noqa: E731
    print(f"nearest: {np.mean(near(x) == near(y)):.10f}")
    print(f"r2: {r2_score(x, y):.10f}")
    print(f"columns: {np.mean(np.mean((x - y) ** 2, axis=0) / np.var(x, axis=0)):.10f}")
    softmax = lambda v: np.exp(v) / np.exp(v).sum(axis=1, keepdims=True)  # noqa: E731
    print(f"divergence: {np.mean(entropy(softmax(x), softmax(y), axis=1)):.10f}")
    unit = lambda v: v / np.linalg.norm(v, axis=1, keepdims=True)  # noqa: E731
    print(f"directions: {np.mean(np.sum((unit(x) - unit(y)) ** 2, axis=1)) / np.sum(np.var(unit(x), axis=0)):.10f}")
    there, found = strings()
    print(f"equal: {np.mean([a == b for a, b in zip(there, found)]):.10f}")
    print(f"edits: {sum(map(edits, there, found)) / sum(map(len, there)):.10f}")
    print("scores and boxes: {:.10f} {:.10f}".format(*places()))


if __name__ == "__main__":
    main()
