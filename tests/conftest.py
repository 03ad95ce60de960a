"""Fixtures shared by all tests."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

import pi05lite  # noqa: F401  # first: it lets torchvision import next to a CPU-only torch
from tests.model.toy import PARITY


def pytest_configure():
    """Each of several workers, and what it starts, takes its share of the cores."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
    if workers > 1:
        import torch

        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, os.cpu_count() // workers)))
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A file's tests stay on one worker, for what they share; notebooks share nothing.

    Not by xdist's groups: with pytest 9.2 its 3.8 puts no test in any.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.partition("::")[0]
            return nodeid if file.endswith("test_notebooks.py") else file

    return ByFile(config, log)


def pytest_sessionfinish(session):
    """One of several workers hands over what it noted."""
    if hasattr(session.config, "workeroutput"):
        rows = session.config.stash.get(PARITY, {})
        session.config.workeroutput["parity"] = [[*key, gap] for key, gap in rows.items()]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """What a worker noted joins what the others did."""
    rows = node.config.stash.setdefault(PARITY, {})
    for thing, name, gap in getattr(node, "workeroutput", {}).get("parity", []):
        rows[thing, name] = gap


def pytest_terminal_summary(terminalreporter, config):
    """How far our figures are from those of the other implementations."""
    rows = config.stash.get(PARITY, {})
    if rows:
        terminalreporter.section("parity: largest difference over largest entry")
        for thing in dict.fromkeys(what for what, _ in rows):
            gaps = [f"{name} {rows[thing, name]:.1e}" for name in ("pi05", "pi0")
                    if (thing, name) in rows]
            terminalreporter.line(f"{thing:28}" + "   ".join(gaps))


@pytest.fixture(scope="session")
def real_data():
    """The folder of real robot subsets named by PI05LITE_DATA; skips where there is none."""
    folder = os.environ.get("PI05LITE_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("no real data: set PI05LITE_DATA to the folder that holds it")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def toy_setup(tmp_path_factory):
    """The kit's own robot data at nano size: mixture, processor, held-out episodes."""
    from pi05lite import config
    from pi05lite.tokens.fast import FastTokenizer
    from pi05lite.train.setup import prepare

    folder = tmp_path_factory.mktemp("toy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PI05LITE_CACHE", str(folder / "cache"))
        patch.setenv("PI05LITE_DOWNLOADS", str(folder / "none"))
        patch.delenv("PI05LITE_DATA", raising=False)
        c = replace(config.nano(), horizon=10, max_tokens=96)
        return prepare(["toy"], c, FastTokenizer(320), words=False)


@pytest.fixture(scope="session")
def toy_model(toy_setup):
    """An untrained nano model for the toy data, its adaptive norms opened: at the start of training
    they are closed, and the expert would look at nothing."""
    import torch

    from pi05lite.model.pi05 import Pi05

    torch.manual_seed(0)
    model = Pi05(toy_setup.config).eval()
    with torch.no_grad():
        for name, p in model.expert.named_parameters():
            if "modulation" in name:
                p.normal_(0, 0.5)
    return model


@pytest.fixture
def toy_policy(toy_model, toy_setup):
    """A fresh policy round the untrained model."""
    from pi05lite.policy import Policy

    return Policy(toy_model, toy_setup.processor)


@pytest.fixture(scope="session")
def toy_observation(toy_setup):
    """What the toy robot senses in the middle of a held-out episode."""
    from pi05lite.policy import Observation

    example = toy_setup.held_out["toy"].example(1, 30)
    return Observation("toy", example.images, example.state)
