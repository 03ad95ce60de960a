"""The limits of a submission as a whole: time over all cells, and what a cell may print."""

import copy
import time

import nbformat
import pytest

pytest.importorskip("nbgrader")

from nbgrader.preprocessors import Execute  # noqa: E402

from pi05lite.classroom.execute import Limited  # noqa: E402


def code(source):
    """A code cell."""
    return nbformat.v4.new_code_cell(source)


def limited(left=100, **limits):
    """A Limited in the middle of a submission that has so many seconds left."""
    step = Limited(**limits)
    step.deadline = time.monotonic() + left
    step.printed, step.ended = {}, set()
    return step


def errors(cell):
    """The errors among its outputs."""
    return [o.ename for o in cell.outputs if o.output_type == "error"]


def test_a_cell_gets_its_own_limit_or_what_is_left_of_the_submissions():
    cell = code("1")
    assert limited(left=1000, timeout=60)._get_timeout(cell) == 60
    assert 15 <= limited(left=20, timeout=60)._get_timeout(cell) <= 20
    assert limited(left=-5, timeout=60)._get_timeout(cell) == 1  # never "no limit", which 0 is
    assert 15 <= limited(left=20, timeout=None)._get_timeout(cell) <= 20


def test_after_the_submissions_limit_no_cell_is_run_and_each_says_so():
    step, cell = limited(left=-1, submission_timeout=600), code("raise SystemExit")
    cell.outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "4"})]
    step.preprocess_cell(cell, {}, 3)  # there is no process: running it would raise
    assert errors(cell) == ["SubmissionTimeoutError"]
    assert "600 s" in cell.outputs[0].evalue and len(cell.outputs) == 1  # no points are left over
    words = nbformat.v4.new_markdown_cell("an answer")
    assert step.preprocess_cell(words, {}, 4)[0] == words


def test_what_a_cell_prints_beyond_its_limit_is_cut_and_errors_are_kept(monkeypatch):
    taken = []
    monkeypatch.setattr(Execute, "output", lambda self, outs, msg, *a: taken.append(msg))
    step = limited(output_kb=1)
    print_ = {"msg_type": "stream", "content": {"name": "stdout", "text": "x" * 300}}
    error = {"msg_type": "error", "content": {"ename": "ValueError", "evalue": "y" * 300}}
    for _ in range(20):
        step.output([], copy.deepcopy(print_), "", 0)
    texts = [msg["content"]["text"] for msg in taken]
    assert 3 <= len(texts) <= 4 and texts[0] == "x" * 300  # of 1 KiB
    assert "cut here" in texts[-1] and sum(t.count("x") for t in texts) <= 1024
    step.output([], error, "", 0)
    assert taken[-1] is error
    step.output([], print_, "", 1)  # the next cell has its own
    assert taken[-1] is print_ and "cut" not in print_["content"]["text"]


def test_what_is_printed_in_one_go_is_cut_and_not_lost(monkeypatch):
    taken = []
    monkeypatch.setattr(Execute, "output", lambda self, outs, msg, *a: taken.append(msg))
    step = limited(output_kb=2)
    told = {"name": "stdout", "text": "a" * 9999}
    step.output([], {"msg_type": "stream", "content": told}, "", 0)
    step.output([], {"msg_type": "display_data", "content": {"data": {}}}, "", 0)
    (message,) = taken
    text = message["content"]["text"]
    assert text.startswith("a" * 2048) and len(text) < 2200


class FromTheFirstCell(Limited):
    """Counts the submission's time from where its process is there, whatever starting took."""

    def start_new_kernel_client(self):
        """As nbclient calls it, once the process answers."""
        client = super().start_new_kernel_client()
        self.deadline = time.monotonic() + self.submission_timeout
        return client


@pytest.mark.slow
def test_a_real_submission_is_ended_at_its_limit_and_its_output_cut():
    """Three cells of which the second would take an hour, in 20 s and 2 KiB."""
    notebook = nbformat.v4.new_notebook(cells=[
        code("for i in range(2000): print('line', i)\nprint('e' * 9)"),
        code("import time\nfor _ in range(3600): time.sleep(1)"), code("print('late')")])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    step = FromTheFirstCell(timeout=3600, submission_timeout=20, output_kb=2, grace=5)
    begin = time.monotonic()
    step.preprocess(notebook, {"nbgrader": {"student": "slow"}, "metadata": {}})
    talks, sleeps, late = notebook.cells
    printed = "".join(o.get("text", "") for o in talks.outputs)
    assert errors(talks) == [] and printed.startswith("line 0") and "cut here" in printed
    assert len(printed) < 2400
    assert "CellTimeoutError" in errors(sleeps)
    assert errors(late) == ["SubmissionTimeoutError"]
    assert time.monotonic() - begin < 400
