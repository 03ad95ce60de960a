"""The command `pi05lite`. Heavy imports happen only inside the command that runs."""

import argparse
import sys

from pi05lite import __version__, allocator
from pi05lite.errors import Pi05Error


def main(argv=None):
    """Run one command and return its exit code; known errors print without a traceback (2)."""
    args = commands().parse_args(argv)
    if argv is None and getattr(args, "long", False):
        allocator.start_again()
    try:
        return args.run(args)
    except Pi05Error as error:
        print(f"pi05lite: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\npi05lite: stopped", file=sys.stderr)
        return 130


def commands():
    """Build the parser: the one place that lists all commands."""
    parser = argparse.ArgumentParser("pi05lite", description="Learn and research pi0.5.")
    parser.add_argument("--version", action="version", version=f"pi05lite {__version__}")
    known = parser.add_subparsers(required=True, metavar="COMMAND")

    command = known.add_parser("doctor", help="say what works here and what is missing")
    command.set_defaults(run=run_doctor)

    data = known.add_parser("data", help="list and get datasets")
    known_data = data.add_subparsers(required=True, metavar="COMMAND")

    command = known_data.add_parser("list", help="datasets here, and public ones to get")
    command.set_defaults(run=run_data_list)

    command = known_data.add_parser("get", help="get episodes of a public dataset from the Hub")
    command.add_argument("name", help="a name from `pi05lite data list`, or a Hub id owner/name")
    command.add_argument("--episodes", help='"0:20", "3" or "0,4,7"; all where left out')
    command.add_argument("--out", help="the folder to put the dataset folder into")
    command.add_argument("--revision", help="another tag, branch or commit than the pinned one")
    command.set_defaults(run=run_data_get)

    tokens = known.add_parser("tokens", help="measure action tokenizers, train the codebook")
    known_tokens = tokens.add_subparsers(required=True, metavar="COMMAND")

    command = known_tokens.add_parser(
        "measure", help="rate, distortion and speed on held-out episodes, tokens by control rate")
    command.add_argument("--out", help="the result file; data/results/tokens.json where left out")
    command.set_defaults(run=run_tokens_measure)

    command = known_tokens.add_parser(
        "learn", help="pre-train one tiny policy with one tokenizer and measure it; adds a row")
    command.add_argument("tokenizer", help="bins, FAST or VQ")
    command.add_argument("--seconds", type=float, default=120, help="of training; 120")
    command.add_argument("--horizon", type=int, default=10, help="steps of a chunk; 10")
    command.add_argument("--out", help="data/results/token_learning.json where left out")
    command.set_defaults(run=run_tokens_learn)

    command = known_tokens.add_parser(
        "codebook", help="train the codebook for chunks of 50 x 7 that the kit carries")
    command.add_argument("--out", help="the folder; data/vq_50x7 where left out")
    command.add_argument("--seed", type=int, default=0)
    command.set_defaults(run=run_tokens_codebook)

    homes = known.add_parser("homes", help="the small world: its training data")
    known_homes = homes.add_subparsers(required=True, metavar="COMMAND")

    command = known_homes.add_parser("data", help="write the six sources as LeRobot datasets")
    command.add_argument("out", help="the folder to put the datasets into")
    command.add_argument("--sources", default="MM,ME,CE,HL,VI,WD", help="which of the six")
    command.add_argument("--episodes", type=int, default=600, help="of a whole set of six")
    command.add_argument("--seed", type=int, default=0, help="the same seed, the same bytes")
    command.add_argument("--homes", type=int, help="how many homes MM and VI are recorded in")
    command.add_argument("--size", type=int, default=64, help="pixels of a picture")
    command.add_argument("--every", type=int, help="actions (of 50 a second) for each picture")
    command.add_argument("--workers", type=int, help="processes; one a core where left out")
    command.add_argument("--no-photos", action="store_true",
                         help="leave real photographs out of WD even where they are found")
    command.add_argument("--video", action="store_true", help="H.264 in place of exact pictures")
    command.set_defaults(run=run_homes_data)

    train = known.add_parser("train", help="the two stages in homes, resumable")
    known_train = train.add_subparsers(required=True, metavar="STAGE")
    for stage, help in (("pretrain", "words and pictures, then all sources, by next-token loss"),
                        ("posttrain", "text, action tokens and flow, from a pre-trained run")):
        command = known_train.add_parser(stage, help=help)
        command.add_argument("--data", required=True, help="the folder of `pi05lite homes data`")
        command.add_argument("--out", required=True, help="the run folder")
        command.add_argument("--reweight", action="store_true", help="go on without sources that "
                             "are missing, the others sharing their place")
        command.add_argument("--devices", type=int, default=1, help="processes that share each "
                             "batch: GPUs of this machine, or without one its CPU; 1")
        command.add_argument("--precision", help="Lightning's, bf16-mixed or 32-true; where left "
                             "out, the quicker one on this machine")
        if stage == "pretrain":
            command.add_argument("--steps", type=int, nargs=2, metavar=("LOOK", "PRETRAIN"))
        else:
            command.add_argument("--steps", type=int, nargs=3,
                                 metavar=("EXPERT", "TOGETHER", "SETTLE"))
            command.add_argument("--from", dest="begin", required=True, help="the pre-trained run")
            command.add_argument("--evaluate-every", type=int, default=2000, metavar="STEPS",
                                 help="24 short skills in new homes every so often; 0: never")
            command.add_argument("--insulate", action="store_true", help="knowledge insulation: "
                                 "no flow gradient in the VLM, alpha = 1")
        command.set_defaults(run=run_train, stage=stage, long=True)

    command = known_train.add_parser("ship", help="a run as a small folder, with a model card")
    command.add_argument("--from", dest="begin", required=True, help="the run or checkpoint")
    command.add_argument("--out", required=True, help="a folder that is not there yet")
    command.add_argument("--results", nargs="*", default=(), help="files of pi05lite evaluate")
    command.add_argument("--about", default="", help="a sentence for the card")
    command.set_defaults(run=run_ship)

    command = known.add_parser("evaluate", help="a policy in homes it has never seen")
    command.add_argument("--checkpoint", required=True, help='a folder, "scripted" or "random"')
    command.add_argument("--suite", default="short", help="short, perception, skill, semantics, "
                         "language, language_new, long, train, train_long; subtasks: what the high "
                         "level says while the script does long tasks")
    command.add_argument("--count", type=int, default=200, help="how many trials")
    command.add_argument("--seed", type=int, default=0, help="the same seed, the same trials")
    command.add_argument("--high", default="own", help="subtasks: own, none, script or outsider")
    command.add_argument("--execute", type=int, default=25, help="steps done of each chunk")
    command.add_argument("--out", help="a .json file for the results")
    command.add_argument("--films", type=int, default=0, help="how many trials are filmed")
    command.add_argument("--pretty", action="store_true", help="draw the films' room by OpenGL")
    command.add_argument("--against", help="a results file to compare with, trial by trial")
    command.set_defaults(run=run_evaluate)

    lab = known.add_parser("lab", help="the paper's findings in miniature")
    known_lab = lab.add_subparsers(required=True, metavar="COMMAND")

    command = known_lab.add_parser(
        "findings", help="train, try and compare what the paper's questions ask; goes on where it "
        "was stopped, and does nothing twice")
    command.add_argument("numbers", nargs="*", type=int, metavar="NUMBER",
                         help="1 to 7; all where left out")
    command.add_argument("--data", help="the folder of `pi05lite homes data`")
    command.add_argument("--out", default="notebooks/results", help="where result files go")
    command.add_argument("--runs", default="runs/findings", help="trained stages and rollouts")
    command.add_argument("--budget", type=float, default=12, metavar="HOURS", help="of two CPU "
                         "cores for all seven; it settles the steps of every stage")
    command.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    command.add_argument("--count", type=int, default=200, help="rollouts a point, at least")
    command.add_argument("--policy", nargs="+", default=(), help="checkpoints, one a seed: answer "
                         "what needs no training of its own (6, and part of 3)")
    command.add_argument("--execute", type=int, default=50, help="steps done of each chunk")
    command.add_argument("--estimate", action="store_true", help="only print runs and minutes")
    command.set_defaults(run=run_lab_findings, long=True)

    room = known.add_parser("classroom", help="assignments, and their grading by nbgrader")
    known_room = room.add_subparsers(required=True, metavar="COMMAND")

    command = known_room.add_parser("table", help="exercises, points and minutes, as Markdown")
    command.set_defaults(run=run_classroom_table)

    command = known_room.add_parser("build", help="make or renew a course folder: releases")
    command.add_argument("course", help="the course folder")
    command.add_argument("assignments", nargs="*", help="such as 02_tokens; all where left out")
    command.set_defaults(run=run_classroom_build)

    command = known_room.add_parser("collect", help="take in what a learning platform gave out")
    command.add_argument("course")
    command.add_argument("assignment")
    command.add_argument("folder", help="with STUDENT_NAME.ipynb files, or archives of them")
    command.set_defaults(run=run_classroom_collect)

    command = known_room.add_parser("grade", help="run and grade submissions, within limits")
    command.add_argument("course")
    command.add_argument("assignment")
    command.add_argument("students", nargs="*", help="all where left out")
    command.set_defaults(run=run_classroom_grade)

    command = known_room.add_parser("feedback", help="write a page for each graded submission")
    command.add_argument("course")
    command.add_argument("assignment")
    command.set_defaults(run=run_classroom_feedback)

    command = known_room.add_parser("marks", help="write all marks as CSV")
    command.add_argument("course")
    command.add_argument("--out", help="marks.csv in the course folder where left out")
    command.set_defaults(run=run_classroom_marks)
    return parser


def run_doctor(args):
    """Print the report; exit code 1 where something that is needed is missing."""
    from pi05lite import doctor

    return 0 if doctor.show() else 1


def run_data_list(args):
    """Print the datasets found on this machine and the public ones of the manifest."""
    from pi05lite.data import manifest, paths

    for folder in paths.data_folders():
        found = [*paths.datasets(folder), *paths.vision_language(folder)]
        names = ", ".join(dataset.relative_to(folder).as_posix() for dataset in found)
        print(f"In {folder}: {names or 'no dataset'}")
    print("\nOn the Hugging Face Hub, with `pi05lite data get NAME`:")
    for entry in manifest.entries():
        print(f"  {entry.name:<13} {entry.about}")
        print(f"  {'':<13} {entry.repo} {entry.revision}, licence {entry.license}")
    return 0


def run_data_get(args):
    """Download, then say how to use the folder."""
    from pi05lite.data import hub

    folder = hub.get(args.name, args.episodes, args.out, revision=args.revision)
    print(f"ready: {folder}")
    return 0


def run_tokens_measure(args):
    """Write the table and the curve that the notebooks read."""
    from pi05lite.evaluate import results, tokens

    sets, table = tokens.rate_distortion()
    content = {"command": "pi05lite tokens measure", "seed": 0, "sets": sets, "table": table,
               "rates": tokens.control_rates()}
    print("written:", results.save(content, args.out or results.FOLDER / "tokens.json"))
    return 0


def run_tokens_learn(args):
    """Put the row of one tokenizer and horizon into the result file."""
    from pi05lite.evaluate import results, token_learning

    row = token_learning.measure(args.tokenizer, args.seconds, args.horizon)
    command = (f"pi05lite tokens learn {args.tokenizer} --seconds {args.seconds:g} "
               f"--horizon {args.horizon}")
    path = args.out or results.FOLDER / "token_learning.json"
    row["command"] = command
    print("written:", results.add_row(path, row, ("tokenizer", "robot", "horizon")))
    return 0


def run_tokens_codebook(args):
    """Train and save the default codebook, with where it comes from."""
    from pi05lite.evaluate import codebook

    print("written:", codebook.train(args.out, args.seed))
    return 0


def run_homes_data(args):
    """Write the sources, or go on with a run that was stopped."""
    from pi05lite.homes import factory

    folders = factory.make(args.out, args.sources.split(","), args.episodes, args.seed, args.homes,
                           args.size, args.every, args.workers, args.video,
                           not args.no_photos)
    print("\n".join(f"ready: {folder}" for folder in folders))
    return 0


def run_train(args):
    """Train a stage, or go on with it."""
    from pi05lite.train import command

    same = dict(reweight=args.reweight, precision=args.precision, devices=args.devices)
    if args.stage == "pretrain":  # no actions yet that a home could be entered with
        command.pretrain(args.data, args.out, args.steps, **same)
    else:
        command.posttrain(args.data, args.out, args.begin, args.steps, args.insulate,
                          evaluate_every=args.evaluate_every, **same)
    print("ready:", args.out)
    return 0


def run_ship(args):
    """Write the folder and say how large it is."""
    from pi05lite.train.ship import ship

    print(f"{args.out}: {ship(args.begin, args.out, args.results, args.about) / 1e6:.1f} MB")
    return 0


def run_evaluate(args):
    """Run the suite, print its table, and the difference to another result where asked."""
    from pi05lite.evaluate import scores
    from pi05lite.evaluate.command import evaluate

    if args.suite == "subtasks":
        return say_subtasks(args)
    other = scores.load(args.against) if args.against else None
    outcomes = evaluate(args.checkpoint, args.suite, args.count, args.seed, args.high, args.out,
                        args.films, args.execute, pretty=args.pretty)
    print(scores.show(scores.summary(outcomes)))
    if other:
        table = {"rows": [outcome.row() for outcome in outcomes]}
        for figure in ("success", "progress"):
            mean, low, high = (100 * v for v in scores.compare(table, other, figure))
            print(f"{figure} - {args.against}: {mean:+.1f} [{low:+.1f}, {high:+.1f}], paired")
    return 0


def say_subtasks(args):
    """Ask the high level along scripted long tasks, print how often it is right."""
    from pi05lite.evaluate.command import make_driver
    from pi05lite.evaluate.subtasks import accuracy, save, subtasks

    driver, size, cameras = make_driver(args.checkpoint, "own", args.seed)
    rows = subtasks(driver, "long", args.count, args.seed, size=size, cameras=cameras)
    mean, low, high = (100 * v for v in accuracy(rows))
    print(f"subtask right: {mean:.1f} % [{low:.1f}, {high:.1f}], {len(rows)} questions in "
          f"{args.count} episodes")
    if args.out:
        save(args.out, rows)
    return 0


def run_lab_findings(args):
    """Print how long it would take, or run what is asked for."""
    from pi05lite.lab.findings import command

    if args.estimate:
        print(command.estimate(args.numbers, args.budget, args.seeds, args.count))
        return 0
    command.findings(args.numbers, args.data, args.out, args.runs, args.budget, args.seeds,
                     args.count, args.policy, args.execute)
    return 0


def run_classroom_table(args):
    """Print the table of all assignments."""
    from pi05lite.classroom.course import sources
    from pi05lite.classroom.table import table

    print(table(sources()))
    return 0


def run_classroom_build(args):
    """Build the releases and say what is new."""
    from pi05lite.classroom.course import build

    for name, news in build(args.course, args.assignments).items():
        print(f"{args.course}/release/{name}: {news}")
    return 0


def run_classroom_collect(args):
    """Collect and say from whom."""
    from pi05lite.classroom.grading import collect

    found = collect(args.course, args.assignment, args.folder)
    print(f"{len(found)} submissions of {args.assignment}: {', '.join(found)}")
    return 0


def run_classroom_grade(args):
    """Grade; exit code 1 where a submission could not be graded."""
    from pi05lite.classroom.grading import grade

    return int(any(m.failed for m in grade(args.course, args.assignment, args.students)))


def run_classroom_feedback(args):
    """Write the pages and say where."""
    from pi05lite.classroom.grading import feedback

    print("\n".join(str(path) for path in feedback(args.course, args.assignment)))
    return 0


def run_classroom_marks(args):
    """Write the marks and say how many are waiting to be read."""
    from pathlib import Path

    from pi05lite.classroom.grading import marks

    out = args.out or Path(args.course) / "marks.csv"
    rows = marks(args.course, out)
    waiting = sum(score is None for row in rows for score in row.scores.values())
    print(f"{out}: {len(rows)} lines, {waiting} answers to be read and marked by hand")
    return 0
