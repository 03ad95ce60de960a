"""The classroom: assignments made from the chapters' sources, handed out and graded by nbgrader.

    students.py   the seed that belongs to a student
    table.py      what an assignment asks: exercises, points, minutes
    course.py     a course folder with release and instructor versions
    execute.py    how a submission is run: limits in time and size, and it goes on after a crash
    forged.py     cells that a student made up
    kernel.py     the process that student code runs in, and that judges it
    guard.py      puts back what student code has changed, before each check
    grading.py    collect, grade, feedback, marks

nbgrader itself is an extra, `pip install -c constraints.txt -e ".[classroom]"`; a learner needs
none of this.
"""

from pi05lite.classroom.students import student_seed  # noqa: F401
