"""Plans, profiles, and narrower models."""

import numpy
import pytest

import snapprune

QUICK = dict(cpu=True, threads=1, progress=False)
SCALING = dict(mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5])


def test_a_plan_is_made_saved_edited_and_applied(models, db, tmp_path, recorded):
    net = models / "shapes96_misaligned.onnx"
    plan = snapprune.plan(net, profile=recorded, db=db, progress=False)
    assert plan.groups and plan.weights and "groups" in repr(plan)
    plan.save(tmp_path / "plan.json")
    same = snapprune.Plan.load(tmp_path / "plan.json")
    assert same == plan
    del same.data["groups"][1:]
    applied = snapprune.apply(net, same, progress=False)
    assert applied.carrying_channels_removed == 0 and applied.outputs["max_rel_diff"] < 1e-3
    whole = snapprune.apply(net, tmp_path / "plan.json", progress=False)
    assert len(whole.model) > len(applied.model)
    with pytest.raises(snapprune.errors.PlanError, match="other file|another file"):
        snapprune.apply(models / "shapes96.onnx", plan, progress=False)
    (tmp_path / "no.json").write_text("no plan")
    with pytest.raises(snapprune.errors.UsageError, match="not a plan"):
        snapprune.Plan.load(tmp_path / "no.json")


def test_a_narrower_model_is_fitted_to_arrays(models, db, images):
    pixels, labels = images
    result = snapprune.optimize(
        models / "shapes96.onnx", target_macs=0.9, allow_slower=True, calib=pixels[:100], eval=(pixels, labels), dynamic="off", db=db,
        staircases=0, distill=3, **SCALING, **QUICK,
    )  # fmt: skip
    data = result.report.data
    assert data["calibration"]["samples"] == 100 and data["curve"]
    assert data["calibration"]["distillation"]["steps"] == 3
    assert result.report.top1["original"] > 0.9, "the images were scaled"
    assert result.model is not None, result.report.declined
    assert data["macs"]["after"] <= 0.9 * data["macs"]["before"]
    assert result.report.top1["static"] > 0.8


def test_a_profile_is_shown_saved_and_used(models, db, tmp_path):
    net = models / "shapes96.onnx"
    found = snapprune.profile(net, step=64, reach=1.01, db=db, **QUICK)
    assert found.latency_steps and found.device["kind"] == "cpu"
    assert found._repr_html_().startswith("<iframe") and "layers on" in repr(found)
    assert found.nodes and abs(sum(n["ms"] for n in found.nodes) - found.totals["nodes_ms"]) < 1e-6
    assert found.limits["flops_per_ms"]["f32"] > 0
    found.save(tmp_path / "profile.json")
    for given in (found, tmp_path / "profile.json"):
        plan = snapprune.plan(net, profile=given, db=tmp_path / "own.db", time_budget=0, **QUICK)
        assert plan is None or plan.groups


def test_shapes_and_symbolic_dimensions_are_set_by_name(models, db):
    net = models / "shapes96.onnx"
    result = snapprune.optimize(net, shapes={"image": (2, 3, 96, 96)}, db=db, staircases=0, time_budget=0, **QUICK)
    assert result.report.data["model"]["inputs"][0]["dims"] == [2, 3, 96, 96]
    result = snapprune.optimize(net, batch=2, db=db, staircases=0, time_budget=0, **QUICK)
    assert result.report.data["model"]["inputs"][0]["dims"] == [2, 3, 96, 96]
    with pytest.raises(snapprune.errors.UsageError, match="symbolic dimension"):
        snapprune.optimize(net, dims={"height": 4}, db=db, staircases=0, **QUICK)


def test_numpy_numbers_are_numbers(models, db):
    result = snapprune.optimize(
        models / "shapes96.onnx", batch=numpy.int64(1), seed=numpy.int32(3), db=db, staircases=0, time_budget=0, **QUICK
    )
    assert result.report.data["model"]["inputs"][0]["dims"][0] == 1
