"""How a submission is run: in a process of its own, with limits, and past what crashes or hangs.

`Limited` takes the place of nbgrader's Execute; the course's nbgrader_config.py says so, and
therefore `nbgrader autograde` and JupyterLab's formgrader use it too.
"""

import copy
import json
import os
import re
import secrets
import shutil
import sys
import tempfile
import time
from math import ceil

from jupyter_client.utils import ensure_async, run_sync
from nbclient.exceptions import DeadKernelError
from nbformat.v4 import new_output
from nbgrader import utils
from nbgrader.converters.autograde import Autograde
from nbgrader.preprocessors import Execute
from traitlets import Bool, Integer, List, Unicode

from pi05lite.classroom import kernel
from pi05lite.classroom.forged import ForgetForged
from pi05lite.classroom.kernel import CHECK, GIVEN, LIMITS

PRIVATE = re.compile(r"TOKEN|SECRET|PASSWORD|CREDENTIAL|_KEY|^PWD$|^OLDPWD$", re.I)


def steps():
    """nbgrader's steps before and while autograding, `Limited` in place of Execute."""
    traits = Autograde.class_traits()
    before, during = (traits[f"{name}_preprocessors"].make_dynamic_default()
                      for name in ("sanitize", "autograde"))
    return [ForgetForged, *before], [Limited if step is Execute else step for step in during]


class Limited(Execute):
    """Runs a submission's cells; what ends one cell costs that cell and no other."""

    startup_timeout = Integer(180, help="Seconds the process may take to start.").tag(config=True)
    timeout = Integer(60, help="Seconds a cell may take.", allow_none=True).tag(config=True)
    iopub_timeout = Integer(10, help="Seconds to wait for outputs after a cell.").tag(config=True)
    raise_on_iopub_timeout = Bool(False)  # on a busy machine; points do not come that way
    submission_timeout = Integer(600, help="Seconds a submission may take.").tag(config=True)
    memory_mb = Integer(4096, help="Memory of its process, in MiB.").tag(config=True)
    file_mb = Integer(256, help="Size of a file that it may write, in MiB.").tag(config=True)
    output_kb = Integer(100, help="What a cell may print, in KiB; more is cut.").tag(config=True)
    grace = Integer(10, help="Seconds to answer in after an interrupt.").tag(config=True)
    wrap = List(Unicode(), help="A command put in front of the process, such as bwrap with its "
                "arguments.").tag(config=True)

    def preprocess(self, nb, resources, **kwargs):
        """Run all cells in a copy of the submission's folder, which is thrown away."""
        self.deadline = time.monotonic() + self.submission_timeout
        self.secret, self.ended, self.printed = secrets.token_hex(16), set(), {}
        self.student = resources["nbgrader"]["student"]
        folder = resources["metadata"].get("path")
        with tempfile.TemporaryDirectory() as own:
            if folder and os.path.isdir(folder):
                shutil.copytree(folder, own, dirs_exist_ok=True)
            resources["metadata"]["path"] = own
            try:
                return super().preprocess(nb, resources, **kwargs)
            finally:
                resources["metadata"]["path"] = folder

    def preprocess_cell(self, cell, resources, index):
        """Run one cell; a cell that ends the process gets the error and is left out from then."""
        if cell.cell_type != "code" or not cell.source.strip():
            return cell, resources
        cell.outputs = []
        if time.monotonic() > self.deadline:
            note(cell, "SubmissionTimeoutError", "the submission was over its time limit of "
                 f"{self.submission_timeout} s before this cell")
            return cell, resources
        try:
            self.run_marked(cell, index)
            timed_out = any(o.get("ename") == "CellTimeoutError" for o in cell.outputs)
            alive = not timed_out or self.answers()
        except DeadKernelError:
            note(cell, "DeadKernelError", "the process ended in this cell: it crashed, left by "
                 f"itself, or needed more than {self.memory_mb} MiB of memory")
            timed_out, alive = False, False
        if timed_out or not alive:
            self.ended.add(index)
        if not alive:
            self.begin_again(index)
        return cell, resources

    def run_marked(self, cell, index):
        """Execute a cell with its kind in a first line that only the kernel sees."""
        kind = CHECK if utils.is_grade(cell) else GIVEN if utils.is_locked(cell) else None
        source = cell.source
        try:
            if kind:
                cell.source = f"#{self.secret}:{kind}\n{source}"
            self.execute_cell(cell, index, store_history=True)
        finally:
            cell.source = source

    def on_cell_executed(self, **kwargs):
        """After a cell: nbgrader's own note of errors; points of a check from the reply alone."""
        super().on_cell_executed(**kwargs)
        cell, content = kwargs["cell"], kwargs["execute_reply"]["content"]
        if not utils.is_grade(cell):
            return
        cell.outputs = [o for o in cell.outputs if o.output_type != "execute_result"]
        told = content.get("user_expressions") or {}
        points, most = told.get("points"), cell.metadata.nbgrader["points"]
        if content["status"] == "ok" and not told.get("judged"):
            note(cell, "RuntimeError", "this check was not judged by pi05lite's kernel")
        elif points is not None and not 0 <= points <= most:
            note(cell, "ValueError", f"the check gave {points} points of {most}")
        elif points is not None:
            cell.outputs.append(new_output("execute_result", {"text/plain": str(points)},
                                           execution_count=content.get("execution_count")))

    def output(self, outs, msg, display_id, cell_index):
        """Take an output in, as long as the cell has not printed too much; the rest is cut.

        What is printed in one go comes in one message, so a message is cut and not left out.
        """
        content, printed = msg["content"], self.printed.get(cell_index, 0)
        room = 1024 * self.output_kb - printed
        self.printed[cell_index] = printed + len(str(content))
        if msg["msg_type"] != "error" and len(str(content)) > room:
            if msg["msg_type"] != "stream" or room <= 0:
                return None
            content["text"] = (f"{content['text'][:room]}\n[cut here: a cell may print "
                               f"{self.output_kb} KiB]\n")
        return super().output(outs, msg, display_id, cell_index)

    def _get_timeout(self, cell):
        """The cell's limit, or what is left of the submission's."""
        left = max(1, ceil(self.deadline - time.monotonic()))
        return min(super()._get_timeout(cell) or left, left)

    async def async_start_new_kernel(self, **kwargs):
        """Start our kernel by this very Python, in an environment without secrets."""
        self.km.kernel_spec.argv = [*self.wrap, sys.executable, kernel.__file__, "-f",
                                    "{connection_file}"]
        told = dict(memory_mb=self.memory_mb, file_mb=self.file_mb, secret=self.secret,
                    cpu_seconds=self.submission_timeout + 60)
        kept = {k: v for k, v in os.environ.items() if not PRIVATE.search(k)}
        kwargs["env"] = {"OMP_NUM_THREADS": "1"} | kept | {
            LIMITS: json.dumps(told), "PI05LITE_STUDENT": self.student}
        await super().async_start_new_kernel(**kwargs)

    start_new_kernel = run_sync(async_start_new_kernel)  # nbclient calls it by this name

    def answers(self):
        """Whether the process still listens, after an interrupt."""
        return run_sync(self.async_answers)()

    async def async_answers(self):
        try:
            await ensure_async(self.kc.wait_for_ready(timeout=self.grace))
            return True
        except RuntimeError:
            return False

    def begin_again(self, index):
        """A new process, with the cells before `index` that did no harm run once more."""
        run_sync(self.async_restart)()
        for earlier, cell in enumerate(self.nb.cells[:index]):
            if cell.cell_type != "code" or utils.is_grade(cell) or earlier in self.ended:
                continue
            try:
                self.run_marked(copy.deepcopy(cell), earlier)
            except DeadKernelError:  # it was near a limit the first time
                self.ended.add(earlier)
                return self.begin_again(index)

    async def async_restart(self):
        await ensure_async(self.km.restart_kernel(now=True))
        await ensure_async(self.kc.wait_for_ready(timeout=120))


def note(cell, name, text):
    """An error among a cell's outputs, which costs its points."""
    cell.outputs = [o for o in cell.outputs if o.output_type != "execute_result"]
    cell.outputs.append(new_output("error", ename=name, evalue=text,
                                   traceback=[f"{name}: {text}"]))
