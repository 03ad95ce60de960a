"""Cells that a student made up: nbgrader fails on a graded cell that it never handed out."""

from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor


class ForgetForged(NbGraderPreprocessor):
    """Takes nbgrader's metadata from cells that are not the source's, so that they are a
    student's own cells like any other."""

    def preprocess(self, nb, resources):
        about = resources["nbgrader"]
        with Gradebook(about["db_url"]) as book:
            notebook = book.find_notebook(about["notebook"], about["assignment"])
            known = {cell.name for cell in notebook.source_cells}
        for cell in nb.cells:
            if cell.metadata.get("nbgrader", {}).get("grade_id") not in known:
                cell.metadata.pop("nbgrader", None)
        return nb, resources
