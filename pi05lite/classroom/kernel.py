"""The process that a submission runs in: limits first, and checks judged apart from student names.

A check cell runs in names of its own: those of the locked cells, and what the student defined where
it hides neither these nor Python's. Its points go back in the reply to the request, not as an
output that other code could print as well. execute.py starts this file.
"""

import ast
import builtins
import contextlib
import io
import json
import linecache
import logging
import os
import sys
import traceback
import warnings
from numbers import Real

from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp

LIMITS = "PI05LITE_LIMITS"
CHECK, GIVEN = "check", "given"


def limit(memory_mb, file_mb, cpu_seconds):
    """Hold this process to memory, size of a file and processor time, where the system can."""
    try:
        import resource
    except ImportError:  # Windows
        return
    wanted = {resource.RLIMIT_DATA: memory_mb * 2**20, resource.RLIMIT_FSIZE: file_mb * 2**20,
              resource.RLIMIT_CPU: cpu_seconds, resource.RLIMIT_CORE: 0}
    for what, amount in wanted.items():
        hard = resource.getrlimit(what)[1]
        amount = int(amount) if hard == resource.RLIM_INFINITY else min(int(amount), hard)
        resource.setrlimit(what, (amount, amount))


class JudgingKernel(IPythonKernel):
    """A Python kernel that runs marked cells as given or as a check, and all others as ever."""

    secret, guard = None, None

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.given = {}

    async def do_execute(self, code, silent, *args, **kwargs):
        """Run a cell, as its mark in the first line says."""
        mark, _, rest = code.partition("\n")
        kind = mark.rpartition(":")[2] if mark.startswith(f"#{self.secret}:") else None
        if kind == CHECK:
            return self.judge(rest)
        names = self.shell.user_ns
        before = dict(names)
        reply = await super().do_execute(rest if kind else code, silent, *args, **kwargs)
        if kind == GIVEN:
            self.given |= {name: value for name, value in names.items() if name[:1] != "_"
                           and (name not in before or before[name] is not value)}
        return reply

    def judge(self, code):
        """Run a check: its value in the reply, an error also as an output."""
        changed = JudgingKernel.guard.put_back()
        if changed:
            print("put back before this check:", ", ".join(changed))
        names = {name: value for name, value in self.shell.user_ns.items()
                 if not hasattr(builtins, name)} | self.given | {"__name__": "__main__"}
        reply = {"execution_count": self.execution_count, "payload": [], "user_expressions": {}}
        try:
            with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
                warnings.simplefilter("ignore")
                value = last_value(code, names)
            points = None if value is None else number(value)
            reply["user_expressions"] = {"judged": True, "points": points}
            return reply | {"status": "ok"}
        except BaseException as error:  # a check ends here whatever student code raises
            told = {"ename": type(error).__name__, "evalue": str(error),
                    "traceback": [said(error)]}
            self.send_response(self.iopub_socket, "error", told)
            return reply | told | {"status": "error"}


def last_value(code, names):
    """Run the code of a cell and return the value of its last line, None where that is none."""
    linecache.cache["<check>"] = (len(code), None, code.splitlines(keepends=True), "<check>")
    body = ast.parse(code, "<check>").body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), "<check>", "exec"), names)
    return last and eval(compile(ast.Expression(last.value), "<check>", "eval"), names)


def number(value):
    """The points as a plain number; nbgrader takes anything else for all of them."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"a check must end in its points, a number; got {type(value).__name__}")
    return int(value) if float(value).is_integer() else float(value)


def said(error):
    """The traceback from the check's own line on."""
    tail = error.__traceback__
    while tail and tail.tb_frame.f_code.co_filename == __file__:
        tail = tail.tb_next
    return "".join(traceback.format_exception(type(error), error, tail))


def main():
    """Start: limits, the kit, what to put back, and only then the kernel."""
    told = json.loads(os.environ.pop(LIMITS))
    JudgingKernel.secret = told.pop("secret")
    limit(**told)
    from pi05lite.classroom.guard import Guard

    app = IPKernelApp.instance(kernel_class=JudgingKernel)
    app.log.addFilter(lambda record: record.levelno >= logging.ERROR)
    app.initialize(sys.argv[1:])
    JudgingKernel.guard = Guard()
    app.start()


if __name__ == "__main__":
    sys.path.pop(0)  # this folder; the submission's own comes in only with the kernel
    from pi05lite.classroom import kernel  # under the name that others import it by

    kernel.main()
