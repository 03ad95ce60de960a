"""A comparison is fair, can be cut off and taken up, and is never done twice."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from pi05lite import lab
from pi05lite.errors import ConfigError, DataError
from pi05lite.lab import budget, costs, runs, statistics
from pi05lite.lab.variant import Variant
from pi05lite.model.expert import MixedTime
from pi05lite.model.layers import FeedForward

VARIANTS = {"pi0.5": lab.part(), "time mixed in": lab.part(time=MixedTime)}


def compare(base, out, variants=VARIANTS, **options):
    options = {"budget": lab.Budget(steps=10), "seeds": (0, 1), "progress": False,
               "evaluate": {"flow error": lab.flow_error(base.mixture, count=12)},
               "accelerator": "cpu", **options}
    return lab.compare(variants, base, out=out, **options)


@pytest.fixture(scope="module")
def done(base, tmp_path_factory):
    out = tmp_path_factory.mktemp("lab")
    return out, compare(base, out)


class Counted:
    """An evaluation that counts its calls."""

    calls = 0

    def __call__(self, policy, seed):
        self.calls += 1
        return [float(seed), 1.0, 2.0]


def test_every_variant_and_seed_has_a_row_with_all_its_figures(done):
    out, comparison = done
    assert comparison.names == list(VARIANTS) and len(comparison.results) == 4
    head, *rows = comparison.rows()
    assert {len(row) for row in rows} == {len(head)} and all(all(row[:8]) for row in rows)
    assert {"loss tokens/waves/low", "loss tokens/words", "loss flow", "flow error"} <= set(head)
    assert "95 %" in str(comparison) and "<table>" in comparison._repr_html_()
    a, b = (comparison.of(name)[0] for name in VARIANTS)
    assert a["parameters"] > b["parameters"] and a["steps"] == b["steps"] == 10
    for r in comparison.results:
        assert r["gflop_a_step"] > 0 and r["megabytes"] > 0 and r["act_seconds"] > 0
        assert r["versions"]["torch"] and r["seconds"] > 0
    assert any("MixedTime" in line for line in b["changes"]) and a["changes"] == []


def test_results_are_small_files_that_suffice_for_table_and_figure(done):
    out, comparison = done
    files = sorted(p.name for p in out.glob("*.json"))
    assert len(files) == 5 and all((out / f).stat().st_size < 20_000 for f in files)
    again = lab.read(out)
    assert str(again) == str(comparison)
    figure = again.figure()
    assert [t.x for t in again.curves().data]
    means = [t for t in figure.data if t.error_x.array]
    assert len(means) == 3  # two values, one difference
    assert means[0].x[0] == pytest.approx(comparison.measured("flow error")["pi0.5"][0])


def test_a_second_call_reuses_what_is_there(done, base):
    out, comparison = done
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*")}
    assert str(compare(base, out)) == str(comparison)
    assert before == {p: p.stat().st_mtime_ns for p in out.rglob("*")}


def test_a_new_metric_is_evaluated_on_what_was_trained(done, base):
    out, _ = done
    trained = {p: p.stat().st_mtime_ns for p in out.rglob("model.safetensors")}
    count = Counted()
    found = compare(base, out, evaluate={"counted": count})
    assert count.calls == 4 and found.metrics == ["flow error", "counted"]
    assert trained == {p: p.stat().st_mtime_ns for p in out.rglob("model.safetensors")}
    assert found.values("counted", "pi0.5").tolist() == [[0, 1, 2], [1, 1, 2]]


def test_a_new_variant_joins_the_others(done, base):
    out, _ = done
    variants = {"pi0.5": lab.part(), "insulated": lab.numbers(insulate=True)}
    found = compare(base, out, variants)
    assert found.names == list(variants)
    assert set(lab.read(out).names) == {*VARIANTS, "insulated"}


def test_another_variant_under_an_old_name_is_refused(done, base):
    class Halved(FeedForward):
        def forward(self, x):
            return super().forward(x) / 2  # the same weights, other arithmetic

    out, _ = done
    changed = [("first loss", lab.part(feed_forward=Halved)), ("other weights", lab.part(
        time=MixedTime)), ("recipe.alpha", lab.numbers(alpha=3.0))]
    for word, swap in changed:
        with pytest.raises(ConfigError, match=word):
            compare(base, out, {"pi0.5": swap})


def test_a_run_that_was_cut_off_goes_on_to_the_same_end(done, base, tmp_path):
    class Stop(Exception):
        pass

    def cut(policy, seed):
        raise Stop

    with pytest.raises(Stop):  # trained, not evaluated
        compare(base, tmp_path, evaluate={"flow error": cut})
    file = tmp_path / "pi0.5.seed-0.json"
    assert json.loads(file.read_text())["done"]
    found = compare(base, tmp_path)
    for name in VARIANTS:
        np.testing.assert_allclose(found.values("flow error", name),
                                   done[1].values("flow error", name))


def test_all_variants_see_the_same_data_in_the_same_order(base):
    a, b = (swap(base).run(1, 4).mixture for swap in VARIANTS.values())
    assert [a.draw(i) for i in range(50)] == [b.draw(i) for i in range(50)]
    other = base.run(2, 4).mixture
    assert [a.draw(i) for i in range(50)] != [other.draw(i) for i in range(50)]


def test_the_same_seconds_buy_fewer_steps_where_a_step_takes_longer():
    b = lab.Budget(seconds=10)
    assert b.steps_at(0.1) == 100 and b.steps_at(0.2) == 50
    assert lab.Budget(steps=7).steps_at(0.3) == 7


@pytest.mark.parametrize("options", [{}, {"steps": 1, "seconds": 1}, {"steps": 0}])
def test_a_budget_is_one_of_two(options):
    with pytest.raises(ConfigError, match="budget"):
        lab.Budget(**options)


def test_a_later_variant_is_timed_beside_the_first_and_scaled(monkeypatch):
    calls = []

    def timed(asked, rounds):
        calls.append(list(asked))
        return {"a": 2.0, "b": 6.0}

    monkeypatch.setattr(budget, "side_by_side", timed)
    monkeypatch.setattr(budget, "Stepper", lambda variant, device: None)
    # "a" took 1 s when the machine was idle, 2 s now: "b" would have taken 3 s then.
    assert budget.speeds({"a": 0, "b": 0}, {"a": 1.0}, None) == {"a": 1.0, "b": 3.0}
    assert calls == [["a", "b"]]
    assert budget.speeds({"a": 0}, {"a": 1.0}, None) == {"a": 1.0} and len(calls) == 1


def test_side_by_side_takes_turns_and_leaves_the_first_out():
    order = []
    spent = budget.side_by_side({n: partial(order.append, n) for n in "ab"}, 2)
    assert order == list("ababab") and set(spent) == {"a", "b"}


def test_costs_count_what_is_there(base):
    found = costs.costs(base, torch.device("cpu"))
    weights = sum(p.numel() for p in base.model().parameters())
    assert found["parameters"] == found["trained"] == weights
    assert found["megabytes"] > 5 * 4 * weights / 1e6
    twice = replace(base, recipe=replace(base.recipe, batch_size=16))
    more = costs.costs(twice, torch.device("cpu"))
    assert 1.7 < more["gflop_a_step"] / found["gflop_a_step"] < 2.3


def test_arithmetic_is_counted_whichever_product_runs(base, monkeypatch):
    from pi05lite.model import linear
    plain = costs.costs(base, torch.device("cpu"))["gflop_a_step"]
    if linear.onednn_pays():
        monkeypatch.setattr(linear, "SMALL", 0)
    assert costs.costs(base, torch.device("cpu"))["gflop_a_step"] == pytest.approx(plain, rel=1e-6)


def test_what_is_no_swap_is_refused_with_the_way_out(base, tmp_path):
    with pytest.raises(ConfigError, match="lab.part"):
        compare(base, tmp_path, {"mine": lambda v: v.build})
    with pytest.raises(ConfigError, match="lab.Budget"):
        compare(base, tmp_path, budget=100)


def test_names_become_files_without_meeting():
    assert runs.slug("pi0.5") == "pi0.5" and "/" not in runs.slug("a/b")
    assert runs.slug("a/b") != runs.slug("a b")


def test_reading_an_empty_folder_says_so(tmp_path):
    with pytest.raises(DataError, match="lab.compare"):
        lab.read(tmp_path)


def test_jobs_go_to_an_executor_one_a_device():
    import threading

    class Executor:
        def __init__(self):
            self.lock, self.busy, self.seen = threading.Lock(), set(), []

        def submit(self, job, **options):
            executor = self

            class Job:
                def result(self):
                    (device,) = options["devices"]
                    with executor.lock:
                        assert device not in executor.busy
                        executor.busy.add(device)
                        executor.seen.append(device)
                    job(**options)
                    with executor.lock:
                        executor.busy.discard(device)
            return Job()

    done, executor = [], Executor()
    jobs = [lambda i=i, **more: done.append(i) for i in range(6)]
    lab.spread(executor, devices=[0, 1])(jobs)
    assert sorted(done) == list(range(6)) and set(executor.seen) <= {0, 1}


@pytest.mark.slow
def test_jobs_run_in_other_processes_of_this_machine(tmp_path):
    submitit = pytest.importorskip("submitit")
    executor = submitit.LocalExecutor(tmp_path / "log")
    executor.update_parameters(timeout_min=2)
    jobs = [lambda i=i, **more: (tmp_path / str(i)).write_text(str(more)) for i in range(2)]
    lab.spread(executor, devices=[3])(jobs)
    assert (tmp_path / "1").read_text() == str({"devices": [3], "accelerator": "gpu"})
    lab.spread(executor)(jobs[:1])
    assert (tmp_path / "0").read_text() == "{}"


# ---- statistics


def equal_pair(g, S, of_seeds, of_trials, single, N=40):
    """Differences (S, N) of two equal variants: what seeds, trials and single runs do to them."""
    return (of_seeds * g.normal(size=(S, 1)) + of_trials * g.normal(size=(1, N))
            + single * g.normal(size=(S, N)))


@pytest.mark.parametrize("S", [2, 3, 5])
@pytest.mark.parametrize("spread", [(1, 0, 0), (1, 0, 1), (0, 0, 1), (0.3, 0, 1), (0, 1, 0.3),
                                    (0.16, 1, 0.1)], ids=str)
def test_equal_variants_are_told_apart_no_oftener_than_promised(S, spread):
    """95 % intervals: at most 5 % false alarms, here up to 7 % for the luck of 1,000 tries."""
    g = np.random.default_rng(S)
    made = (equal_pair(g, S, *spread) for _ in range(1000))
    assert sum(statistics.difference(d, np.zeros_like(d))[3] for d in made) <= 70


def test_drawing_again_among_two_seeds_would_not_keep_that_promise():
    """The rule that Student's t has replaced: what the test above must be able to find."""
    g, false = np.random.default_rng(0), 0
    for _ in range(300):
        seeds = equal_pair(g, 2, 1, 0, 1).mean(axis=1)
        low, high = np.quantile(g.choice(seeds, (500, 2)).mean(axis=1), [0.025, 0.975])
        false += low > 0 or high < 0
    assert false > 100


@pytest.mark.parametrize("S, shift, least", [(3, 2.0, 0.5), (5, 1.0, 0.8), (10, 0.6, 0.8)])
def test_real_differences_are_found_with_enough_seeds(S, shift, least):
    g = np.random.default_rng(S)
    pairs = [shift + equal_pair(g, S, 0.5, 0, 1) for _ in range(200)]
    found = [statistics.difference(d, np.zeros_like(d)) for d in pairs]
    assert np.mean([f[3] and f[1] > 0 for f in found]) > least


def test_shares_are_held_too_and_a_clear_gap_is_found():
    """Successes of 100 trials: 0.3 of all, other luck with each seed and trial; then 0.3 more."""
    g, false, found = np.random.default_rng(1), 0, 0
    for _ in range(300):
        luck = 0.3 + 0.1 * g.normal(size=(2, 3, 1)) + 0.1 * g.normal(size=(1, 1, 100))
        a, b = g.random((2, 3, 100)) < luck
        false += statistics.difference(a, b)[3]
        found += statistics.difference(g.random((3, 100)) < luck[0] + 0.4, b)[3]
    assert false <= 24 and found > 180


def test_one_seed_is_never_a_verdict_however_clear_its_trials():
    a = np.random.default_rng(0).normal(5, 1, size=(1, 50))
    mean, low, high, sure = statistics.difference(a, np.zeros((1, 50)))
    assert low > 4 and not sure
    row = {"name": "x", "seed": 0, "device": "cpu", "losses": {}, "values": {"m": [1.0, 2.0]}}
    one = lab.Comparison([row]).note
    two = lab.Comparison([row, row | {"seed": 1}]).note
    assert "One seed" in one and "these trained models" in one and "no *" in one
    assert "One seed" not in two and "Student" in two


def test_one_number_a_seed_gives_the_paired_t_interval():
    from scipy import stats

    a, b = np.random.default_rng(0).normal(size=(2, 4, 1))
    known = stats.ttest_rel(a[:, 0], b[:, 0]).confidence_interval(0.95)
    assert statistics.difference(a, b)[1:3] == pytest.approx((known.low, known.high))


@pytest.mark.parametrize("df", [1, 2, 3, 4, 7, 30, 199])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99, 0.999])
def test_students_t_is_that_of_scipy(df, level):
    from scipy import stats

    assert statistics.student(df, level) == pytest.approx(stats.t.ppf((1 + level) / 2, df))


def test_trials_that_all_seeds_find_hard_are_in_the_interval():
    """Seeds that agree to the last digit: what is left to chance is which trials were drawn."""
    trials = np.random.default_rng(0).normal(size=30)
    mean, low, high = statistics.interval(np.stack([trials, trials]))
    assert (high - low) / 2 == pytest.approx(2.045 * trials.std(ddof=1) / 30**0.5, rel=1e-3)


def test_seeds_that_disagree_are_never_significant():
    a = np.stack([np.ones(50), -0.9 * np.ones(50)]) + np.random.default_rng(0).normal(
        scale=0.01, size=(2, 50))
    assert not statistics.difference(a, np.zeros((2, 50)))[3]


def test_more_comparisons_ask_for_more():
    a, b = np.random.default_rng(0).normal(size=(2, 2, 30))
    one, many = (statistics.difference(a, b, m) for m in (1, 20))
    assert many[1] < one[1] < one[2] < many[2]


def test_shares_of_one_seed_have_wilsons_interval():
    from pi05lite.evaluate.intervals import wilson

    assert statistics.interval([[1, 0, 1, 1]]) == (0.75, *wilson(3, 4))


def test_shares_stay_within_bounds_and_no_success_at_all_is_no_certainty():
    from pi05lite.evaluate.intervals import wilson

    assert statistics.interval(np.zeros((2, 20))) == (0, *wilson(0, 20))
    mean, low, high = statistics.interval([[0] * 20, [0] * 17 + [1] * 3])
    assert low == 0 and 0.3 < high <= 1


def test_other_trials_are_not_compared():
    with pytest.raises(DataError, match="same seeds and trials"):
        statistics.difference(np.zeros((1, 3)), np.zeros((2, 3)))


def test_a_variant_fits_its_schedule_to_its_steps(base):
    made = base.run(3, 300)
    assert isinstance(made, Variant) and made.recipe.steps == 300 and made.recipe.seed == 3
    assert made.recipe.warmup == 10 * base.recipe.warmup
